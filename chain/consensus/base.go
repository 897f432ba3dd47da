package consensus

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/proof"
	"github.com/filecoin-project/specs-actors/v8/actors/states"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
)

// lookbackEpochs is how far below a block the power table and the worker keys are read (spec
// chain.md e.1).
const lookbackEpochs = 900

// lookback is the tipset whose power table counts for a block at height h on a parent, and
// the state after executing it (spec chain.md e.3). When more epochs than the look-back had
// no block, the parent itself serves, so that a network can go on after a long silence.
func (e *Engine) lookback(ctx context.Context, parent *types.TipSet, h abi.ChainEpoch) (*types.TipSet, cid.Cid, error) {
	lbr := max(0, h-lookbackEpochs)
	if lbr >= parent.Height() {
		root, _, err := e.State(ctx, parent)
		return parent, root, err
	}
	next, err := e.chain.TipSetAfter(ctx, lbr+1, parent)
	if err != nil {
		return nil, cid.Undef, fmt.Errorf("look-back of height %d from %s: %w", h, parent, err)
	}
	at, err := e.chain.TipSet(ctx, next.Parents())
	if err != nil {
		return nil, cid.Undef, fmt.Errorf("look-back of height %d from %s: %w", h, parent, err)
	}
	return at, next.ParentState(), nil
}

// MiningBase is what a miner has to know to make a block at a round, and a validator to check
// it. Without a worker the miner did not exist at the look-back, and nothing else is set.
type MiningBase struct {
	// MinerPower and TotalPower are quality-adjusted, in bytes, at the look-back.
	MinerPower, TotalPower abi.StoragePower
	// Eligible tells whether the miner may mine at all; Reason why it may not.
	Eligible bool
	Reason   string
	// Worker is the key address that signs.
	Worker address.Address
	// Sectors is the set that a winning PoSt draws from, by number.
	Sectors []proof.SectorInfo
	// PoStProof is the kind of the winning PoSt.
	PoStProof abi.RegisteredPoStProof
	// PrevBeacon is the latest entry of the chain, Beacons those of the new block.
	PrevBeacon types.BeaconEntry
	Beacons    []types.BeaconEntry
}

// LastBeacon is the entry that the draws of the new block use (spec chain.md e.2).
func (b *MiningBase) LastBeacon() types.BeaconEntry {
	if n := len(b.Beacons); n > 0 {
		return b.Beacons[n-1]
	}
	return b.PrevBeacon
}

// MiningBase tells what a miner needs for a block at a round on a tipset. It waits for the
// round's beacon entry. A miner that may not mine is no error.
func (e *Engine) MiningBase(ctx context.Context, ts *types.TipSet, round abi.ChainEpoch, miner address.Address) (*MiningBase, error) {
	if round <= ts.Height() {
		return nil, fmt.Errorf("round %d is not above %s", round, ts)
	}
	at, root, err := e.lookback(ctx, ts, round)
	if err != nil {
		return nil, err
	}
	lb := view.At(e.chain, root)
	b := &MiningBase{MinerPower: big.Zero(), TotalPower: big.Zero()}
	if b.Worker, err = worker(ctx, lb, miner); err != nil {
		if errors.Is(err, ErrInvalid) {
			b.Reason = err.Error()
			return b, nil
		}
		return nil, err
	}
	if b.MinerPower, b.TotalPower, err = power(ctx, lb, miner); err != nil {
		return nil, err
	}
	if b.Reason, err = e.ineligible(ctx, at, ts, miner); err != nil {
		return nil, err
	}
	if b.PoStProof, b.Sectors, err = provingSet(ctx, lb, miner); err != nil {
		return nil, err
	}
	if b.Reason == "" && len(b.Sectors) == 0 {
		b.Reason = "no active sector at the look-back"
	}
	b.Eligible = b.Reason == ""
	if b.PrevBeacon, err = e.prevBeacon(ctx, ts); err != nil {
		return nil, err
	}
	if b.Beacons, err = e.beacon.EntriesFor(ctx, round, ts.Height(), b.PrevBeacon); err != nil {
		return nil, fmt.Errorf("beacon entries of epoch %d: %w", round, err)
	}
	return b, nil
}

// worker is the key address of a miner's worker; ErrWorker when there is none.
func worker(ctx context.Context, v *view.View, miner address.Address) (address.Address, error) {
	info, err := v.MinerInfo(ctx, miner)
	if err != nil {
		return address.Undef, lookup(ErrWorker, err)
	}
	key, err := v.KeyAddress(ctx, info.Worker)
	if err != nil {
		return address.Undef, lookup(ErrWorker, err)
	}
	if key.Protocol() != address.BLS {
		return address.Undef, broken(ErrWorker, "%s of %s", key, miner)
	}
	return key, nil
}

// power is a miner's and everyone's power in a state. The total counts only miners above the
// minimum (spec chain.md e.6).
func power(ctx context.Context, v *view.View, miner address.Address) (its, total abi.StoragePower, err error) {
	st, store, err := v.Power(ctx)
	if err != nil {
		return big.Zero(), big.Zero(), err
	}
	claim, found, err := st.GetClaim(store, miner)
	if err != nil {
		return big.Zero(), big.Zero(), fmt.Errorf("claim of %s: %w", miner, err)
	}
	if !found {
		return big.Zero(), st.TotalQualityAdjPower, nil
	}
	return claim.QualityAdjPower, st.TotalQualityAdjPower, nil
}

// ineligible tells why a miner may not mine on a parent, or "" (spec chain.md e.6).
func (e *Engine) ineligible(ctx context.Context, lookback, parent *types.TipSet, miner address.Address) (string, error) {
	st, store, err := view.At(e.chain, lookback.ParentState()).Power(ctx)
	if err != nil {
		return "", err
	}
	if _, found, err := st.GetClaim(store, miner); err != nil {
		return "", fmt.Errorf("claim of %s: %w", miner, err)
	} else if !found {
		return "no power claim before the look-back", nil
	}
	if enough, err := st.MinerNominalPowerMeetsConsensusMinimum(store, miner); err != nil {
		return "", fmt.Errorf("power of %s: %w", miner, err)
	} else if !enough {
		return "power is below the consensus minimum", nil
	}
	now := view.At(e.chain, parent.ParentState())
	mst, store, err := now.Miner(ctx, miner)
	if err != nil {
		if errors.Is(lookup(ErrIneligible, err), ErrInvalid) {
			return err.Error(), nil
		}
		return "", err
	}
	pst, _, err := now.Power(ctx)
	if err != nil {
		return "", err
	}
	ok, err := states.MinerEligibleForElection(store, mst, pst, miner, parent.Height())
	if err != nil {
		return "", fmt.Errorf("eligibility of %s: %w", miner, err)
	}
	if !ok {
		return "no power, fee debt, or a consensus fault", nil
	}
	return "", nil
}

// provingSet is the active sectors of a miner by number, and the kind of winning PoSt that
// proves them (spec chain.md e.7).
func provingSet(ctx context.Context, v *view.View, miner address.Address) (abi.RegisteredPoStProof, []proof.SectorInfo, error) {
	info, err := v.MinerInfo(ctx, miner)
	if err != nil {
		return 0, nil, err
	}
	kind, err := winningProof(info.WindowPoStProofType)
	if err != nil {
		return 0, nil, fmt.Errorf("miner %s: %w", miner, err)
	}
	sectors, err := v.ActiveSectors(ctx, miner)
	if err != nil {
		return 0, nil, err
	}
	out := make([]proof.SectorInfo, len(sectors))
	for i, s := range sectors {
		out[i] = proof.SectorInfo{SealProof: s.SealProof, SectorNumber: s.SectorNumber, SealedCID: s.SealedCID}
	}
	return kind, out, nil
}

// winningProof is the winning PoSt for sectors of a window PoSt's size: its number is lower
// by the number of sizes.
func winningProof(window abi.RegisteredPoStProof) (abi.RegisteredPoStProof, error) {
	const sizes = abi.RegisteredPoStProof_StackedDrgWindow2KiBV1 - abi.RegisteredPoStProof_StackedDrgWinning2KiBV1
	if window < sizes || window >= 2*sizes {
		return 0, fmt.Errorf("window PoSt type %d has no winning PoSt", window)
	}
	return window - sizes, nil
}
