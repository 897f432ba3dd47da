package sealing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/cbor"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"

	"github.com/lodenet/lode/chain/outbox"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/storage/sector"
)

// Entropy is what a miner's randomness is drawn with: its ID address in CBOR.
func Entropy(maddr address.Address) ([]byte, error) {
	var buf bytes.Buffer
	err := maddr.MarshalCBOR(&buf)
	return buf.Bytes(), err
}

// Worker is the key address that a miner's messages come from.
func Worker(ctx context.Context, v *view.View, maddr address.Address) (address.Address, error) {
	info, err := v.MinerInfo(ctx, maddr)
	if err != nil {
		return address.Undef, err
	}
	return v.KeyAddress(ctx, info.Worker)
}

// Debt is what a miner's balance lacks to pay its fees. The chain takes no pre-commit and no
// recovery before they are paid, so these bring it along.
func Debt(ctx context.Context, v *view.View, maddr address.Address) (abi.TokenAmount, error) {
	st, _, err := v.Miner(ctx, maddr)
	if err != nil {
		return big.Zero(), err
	}
	act, err := v.Actor(ctx, maddr)
	if err != nil {
		return big.Zero(), err
	}
	unlocked, err := st.GetUnlockedBalance(act.Balance)
	if err != nil {
		return big.Zero(), fmt.Errorf("balance of %s: %w", maddr, err)
	}
	return big.Max(big.Zero(), big.Sub(st.FeeDebt, unlocked)), nil
}

func allocatedNumbers(ctx context.Context, v *view.View, maddr address.Address) (bitfield.BitField, error) {
	st, store, err := v.Miner(ctx, maddr)
	if err != nil {
		return bitfield.BitField{}, err
	}
	var allocated bitfield.BitField
	if err := store.Get(ctx, st.AllocatedSectors, &allocated); err != nil {
		return bitfield.BitField{}, fmt.Errorf("allocated sector numbers: %w", err)
	}
	return allocated, nil
}

// send hands a message to the outbox under a key of the sector and the try, so that a repeat
// after a crash is the same message.
func (s *Sealing) send(ctx context.Context, v *view.View, what string, sec sector.Sector, try uint64, method abi.MethodNum, value abi.TokenAmount, params cbor.Marshaler) (string, error) {
	from, err := Worker(ctx, v, s.deps.Miner)
	if err != nil {
		return "", err
	}
	var buf bytes.Buffer
	if err := params.MarshalCBOR(&buf); err != nil {
		return "", because(sector.Fatal, "%s message: %w", what, err)
	}
	if err := s.point("send"); err != nil {
		return "", err
	}
	id, err := SendOnce(ctx, s.deps.Messages, outbox.Intent{
		Key:  fmt.Sprintf("%s/%s/%d", what, s.files.stem(sec.Number), try),
		From: from, To: s.deps.Miner, Value: value, Method: method, Params: buf.Bytes(), MaxFee: s.opt.MaxFee,
	})
	if err != nil {
		return "", err
	}
	if err := s.point("sent"); err != nil {
		return "", err
	}
	return strconv.FormatInt(int64(id), 10), nil
}

// wait waits for a message to be on chain with confidence; an exit code other than 0 is a
// refusal.
func (s *Sealing) wait(ctx context.Context, what, text string) error {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return because(sector.Rejected, "%s message has no name: %w", what, err)
	}
	_, err = Await(ctx, s.deps.Messages, outbox.ID(id), s.opt.Confidence)
	if errors.Is(err, ErrRefused) {
		return because(sector.Rejected, "%s: %w", what, err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// withMargin adds the tenth that prices may move by until the message is executed.
func withMargin(v abi.TokenAmount) abi.TokenAmount {
	return big.Div(big.Mul(v, big.NewInt(110)), big.NewInt(100))
}

// power is the quality-adjusted power that the sector will have.
func power(ctx context.Context, v *view.View, sec sector.Sector, lifetime abi.ChainEpoch) (abi.StoragePower, error) {
	weight, verified := big.Zero(), big.Zero()
	for _, id := range sec.Deals() {
		p, _, err := v.Deal(ctx, id)
		if err != nil {
			return big.Zero(), err
		}
		spacetime := big.Mul(big.NewInt(int64(p.Duration())), big.NewIntUnsigned(uint64(p.PieceSize)))
		if p.VerifiedDeal {
			verified = big.Add(verified, spacetime)
		} else {
			weight = big.Add(weight, spacetime)
		}
	}
	return miner.QAPowerForWeight(abi.SectorSize(sec.Size()), lifetime, weight, verified), nil
}

// expiration is what a sector is committed until (spec markets.md C.2): long enough for the
// chain even when the message lands late and the proof at the last moment, and for its deals.
func (s *Sealing) expiration(sec sector.Sector, now abi.ChainEpoch) abi.ChainEpoch {
	least := now + miner.MaxProveCommitDuration[sec.SealProof] + miner.MinSectorExpiration + s.opt.Slack
	most := now + miner.MaxSectorExpirationExtension
	want := now + s.opt.Lifetime
	if end := sec.LastEnd(); end > 0 {
		want = end
	}
	return min(max(want, least), most)
}

// sendPreCommit sends the pre-commit, unless the chain has it.
func (s *Sealing) sendPreCommit(ctx context.Context, sec sector.Sector) (sector.Event, error) {
	head, v, err := s.at(ctx)
	if err != nil {
		return nil, err
	}
	if ev, err := s.onChain(ctx, v, sec); ev != nil || err != nil {
		return ev, err
	}
	if err := s.fresh(ctx, sec); err != nil {
		return nil, err
	}
	if sec.PreCommit.Try > 0 {
		// An earlier message may have landed and its pre-commit expired.
		allocated, err := allocatedNumbers(ctx, v, s.deps.Miner)
		if err != nil {
			return nil, err
		}
		used, err := allocated.IsSet(uint64(sec.Number))
		if err != nil {
			return nil, fmt.Errorf("allocated sector numbers: %w", err)
		}
		if used {
			return nil, because(sector.Fatal, "the chain has used the number up: an earlier pre-commit expired; remove the sector")
		}
	}
	expiration := s.expiration(sec, head.Height())
	qa, err := power(ctx, v, sec, expiration-head.Height())
	if err != nil {
		return nil, err
	}
	rew, err := v.Reward(ctx)
	if err != nil {
		return nil, err
	}
	pow, _, err := v.Power(ctx)
	if err != nil {
		return nil, err
	}
	deposit := miner.PreCommitDepositForPower(rew.ThisEpochRewardSmoothed, pow.ThisEpochQAPowerSmoothed, qa)
	debt, err := Debt(ctx, v, s.deps.Miner)
	if err != nil {
		return nil, err
	}
	value := big.Add(withMargin(deposit), debt)
	id, err := s.send(ctx, v, "precommit", sec, sec.PreCommit.Try, builtin.MethodsMiner.PreCommitSector, value,
		&miner.PreCommitSectorParams{
			SealProof: sec.SealProof, SectorNumber: sec.Number, SealedCID: sec.CommR,
			SealRandEpoch: sec.TicketEpoch, DealIDs: sec.Deals(), Expiration: expiration,
		})
	if err != nil {
		return nil, err
	}
	return sector.Sent{ID: id, Expiration: expiration}, nil
}

// onChain is the event of a sector that the chain knows already; nil when it does not.
func (s *Sealing) onChain(ctx context.Context, v *view.View, sec sector.Sector) (sector.Event, error) {
	on, found, err := v.Sector(ctx, s.deps.Miner, sec.Number)
	if err != nil {
		return nil, err
	}
	if found {
		if on.SealedCID != sec.CommR {
			return nil, because(sector.Fatal, "the chain has another replica under this number: %s, not %s", on.SealedCID, sec.CommR)
		}
		return sector.Activated{Activation: on.Activation, Expiration: on.Expiration}, nil
	}
	pc, found, err := v.PreCommit(ctx, s.deps.Miner, sec.Number)
	if err != nil || !found {
		return nil, err
	}
	if err := s.ours(sec, pc); err != nil {
		return nil, err
	}
	return sector.PreCommitted{Epoch: pc.PreCommitEpoch, Expiration: pc.Info.Expiration}, nil
}

func (s *Sealing) awaitPreCommit(ctx context.Context, sec sector.Sector) (sector.Event, error) {
	if err := s.wait(ctx, "pre-commit", sec.PreCommit.ID); err != nil {
		return nil, err
	}
	_, v, err := s.at(ctx)
	if err != nil {
		return nil, err
	}
	ev, err := s.onChain(ctx, v, sec)
	if ev == nil && err == nil {
		return nil, because(sector.Rejected, "the pre-commit is not on chain any more")
	}
	return ev, err
}

// current tells whether proof and deals are good for the chain as it is now.
func (s *Sealing) current(ctx context.Context, head *types.TipSet, v *view.View, sec sector.Sector) (*miner.SectorPreCommitOnChainInfo, error) {
	pc, err := s.preCommitted(ctx, v, sec)
	if err != nil {
		return nil, err
	}
	if pc.PreCommitEpoch != sec.PreCommitEpoch {
		return nil, because(sector.BadSeed, "a reorg moved the pre-commit from epoch %d to %d", sec.PreCommitEpoch, pc.PreCommitEpoch)
	}
	seed, err := s.drawSeed(ctx, head, sec.SeedEpoch)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(seed, sec.Seed) {
		return nil, because(sector.BadSeed, "a reorg changed the seed of epoch %d", sec.SeedEpoch)
	}
	if due := pc.PreCommitEpoch + miner.MaxProveCommitDuration[sec.SealProof]; head.Height() >= due {
		return nil, because(sector.Fatal, "the proof had to be on chain by epoch %d, it is %d: the deposit is lost", due, head.Height())
	}
	return pc, s.deals(ctx, v, sec, head.Height())
}

// sendCommit sends the proof.
func (s *Sealing) sendCommit(ctx context.Context, sec sector.Sector) (sector.Event, error) {
	head, v, err := s.at(ctx)
	if err != nil {
		return nil, err
	}
	if ev, err := s.onChain(ctx, v, sec); err != nil {
		return nil, err
	} else if on, ok := ev.(sector.Activated); ok {
		return on, nil
	}
	pc, err := s.current(ctx, head, v, sec)
	if err != nil {
		return nil, err
	}
	rew, err := v.Reward(ctx)
	if err != nil {
		return nil, err
	}
	pow, _, err := v.Power(ctx)
	if err != nil {
		return nil, err
	}
	supply, err := s.deps.Chain.CirculatingSupply(ctx, head)
	if err != nil {
		return nil, fmt.Errorf("circulating supply: %w", err)
	}
	qa := miner.QAPowerForWeight(abi.SectorSize(sec.Size()), pc.Info.Expiration-head.Height(), pc.DealWeight, pc.VerifiedDealWeight)
	pledge := miner.InitialPledgeForPower(qa, rew.ThisEpochBaselinePower, rew.ThisEpochRewardSmoothed, pow.ThisEpochQAPowerSmoothed, supply)
	// The deposit is released in the same moment. A repeat sends the whole pledge: the deposit
	// may have gone elsewhere.
	value := withMargin(pledge)
	if sec.Commit.Try == 0 {
		value = big.Max(big.Zero(), big.Sub(value, pc.PreCommitDeposit))
	}
	id, err := s.send(ctx, v, "provecommit", sec, sec.Commit.Try, builtin.MethodsMiner.ProveCommitSector, value,
		&miner.ProveCommitSectorParams{SectorNumber: sec.Number, Proof: sec.Proof})
	if err != nil {
		return nil, err
	}
	return sector.Sent{ID: id}, nil
}

// awaitCommit waits for the sector itself: the receipt of a prove-commit only tells that the
// proof was queued (spec markets.md C.2).
func (s *Sealing) awaitCommit(ctx context.Context, sec sector.Sector) (sector.Event, error) {
	waitErr := s.wait(ctx, "prove-commit", sec.Commit.ID)
	if waitErr != nil && failure(waitErr).Reason != sector.Rejected {
		return nil, waitErr
	}
	head, v, err := s.at(ctx)
	if err != nil {
		return nil, err
	}
	if ev, err := s.onChain(ctx, v, sec); err != nil {
		return nil, err
	} else if on, ok := ev.(sector.Activated); ok {
		return on, nil
	}
	if _, err := s.current(ctx, head, v, sec); err != nil {
		return nil, err
	}
	if waitErr != nil {
		return nil, waitErr
	}
	if err := s.verify(ctx, s.statement(sec)); err != nil {
		return nil, err
	}
	return nil, because(sector.Rejected, "the chain did not activate the sector, though the proof holds: the miner's balance may not cover the pledge")
}
