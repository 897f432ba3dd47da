package mining

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/proof"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/consensus"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
)

// Chain is the chain as the store holds it.
type Chain interface {
	types.Blocks
	Head() *types.TipSet
}

// Rules are the consensus rules that a block must meet (chain/consensus).
type Rules interface {
	MiningBase(ctx context.Context, base *types.TipSet, round abi.ChainEpoch, miner address.Address) (*consensus.MiningBase, error)
	State(ctx context.Context, ts *types.TipSet) (state, receipts cid.Cid, err error)
	Weight(ctx context.Context, ts *types.TipSet) (big.Int, error)
	BaseFee(ctx context.Context, ts *types.TipSet) (abi.TokenAmount, error)
}

// Selector picks the messages of a block on ts; quality is that of the ticket, 0 to 1.
type Selector interface {
	Select(ctx context.Context, ts *types.TipSet, quality float64) ([]*types.SignedMessage, error)
}

// Prover proves the sectors that an election challenges.
type Prover interface {
	WinningPoSt(ctx context.Context, miner address.Address, sectors []proof.SectorInfo, randomness abi.PoStRandomness) ([]proof.PoStProof, error)
}

// Signer signs with the worker's key.
type Signer interface {
	Sign(ctx context.Context, a address.Address, msg []byte) (*crypto.Signature, error)
}

// Publisher takes a block into our own chain and hands it to the network. A block that the
// chain has already is no error.
type Publisher interface {
	Publish(ctx context.Context, b *types.FullBlock) error
}

// Deps are what a miner works with; all are needed.
type Deps struct {
	Miner     address.Address // ID address
	Network   types.Network
	DB        *sql.DB
	Chain     Chain
	Rules     Rules
	Messages  Selector
	Prover    Prover
	Signer    Signer
	Publisher Publisher
	Clock     clock.Clock
	Log       *slog.Logger
}

// Stats counts what became of rounds since the miner was made.
type Stats struct {
	Rounds    uint64 // tried
	Won       uint64 // with at least one win
	Published uint64
	Late      uint64 // published after their time
	Failed    uint64 // won and not published
}

// Miner makes the blocks of one miner actor.
type Miner struct {
	d      Deps
	epochs clock.Epochs
	stats  struct{ rounds, won, published, late, failed atomic.Uint64 }
}

// New makes a miner.
func New(d Deps) *Miner {
	return &Miner{d: d, epochs: clock.Epochs{Genesis: d.Network.GenesisTime, Seconds: d.Network.EpochSeconds}}
}

// Stats reads the counters. Safe from any goroutine.
func (m *Miner) Stats() Stats {
	s := &m.stats
	return Stats{s.rounds.Load(), s.won.Load(), s.published.Load(), s.late.Load(), s.failed.Load()}
}

// Run mines round after round until ctx ends. What goes wrong in a round is logged and
// counted; the next round is tried all the same.
func (m *Miner) Run(ctx context.Context) error {
	filter, err := OpenSlashFilter(ctx, m.d.DB)
	if err != nil {
		return err
	}
	if b, err := filter.Last(ctx, m.d.Miner); err != nil {
		return err
	} else if b != nil {
		// We may have been killed between signing and publishing it.
		if err := m.d.Publisher.Publish(ctx, b); err != nil && ctx.Err() == nil {
			m.d.Log.Warn("cannot publish the last block signed before the restart", "block", b.Cid(), "err", err)
		}
	}
	var last abi.ChainEpoch
	for {
		round := max(m.epochs.At(m.d.Clock.Now())+1, last+1)
		last = round
		// The blocks of the round before have had time to arrive.
		if err := m.d.Clock.Until(ctx, m.epochs.Start(round-1).Add(m.d.Network.Propagation())); err != nil {
			return nil
		}
		m.stats.rounds.Add(1)
		err := m.round(ctx, filter, round)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			m.stats.failed.Add(1)
			m.d.Log.Warn("round lost", "miner", m.d.Miner, "epoch", round, "err", err)
		}
	}
}

// round draws the election of a round and, when it is won, makes and publishes the block.
func (m *Miner) round(ctx context.Context, filter *SlashFilter, round abi.ChainEpoch) error {
	t, err := m.try(ctx, round)
	if err != nil || t == nil {
		return err
	}
	// Two-faced blocks of the base come out in this time; the store then has another head.
	base := t.Base
	if err := m.d.Clock.Until(ctx, m.epochs.Start(round-1).Add(m.d.Network.Propagation()+m.d.Network.Equivocation())); err != nil {
		return err
	}
	if head := m.d.Chain.Head(); !head.Equals(base) && head.Height() < round {
		if t, err = m.try(ctx, round); err != nil || t == nil {
			return err
		}
	}
	m.stats.won.Add(1)
	block, err := Block(ctx, m.d.Chain, *t)
	if err != nil {
		return err
	}
	if err := m.sign(ctx, block.Header, t); err != nil {
		return err
	}
	if err := m.d.Clock.Until(ctx, time.Unix(int64(t.Timestamp), 0)); err != nil {
		return err
	}
	if err := filter.Claim(ctx, block, t.Base); err != nil {
		return err
	}
	late := m.d.Clock.Now().Sub(time.Unix(int64(t.Timestamp), 0))
	if err := m.d.Publisher.Publish(ctx, block); err != nil {
		return fmt.Errorf("publish block %s: %w", block.Cid(), err)
	}
	m.stats.published.Add(1)
	if late > m.d.Network.Propagation() {
		m.stats.late.Add(1)
		m.d.Log.Warn("block was late; is the machine too slow for the epoch?", "epoch", round, "late", late)
	}
	m.d.Log.Info("mined a block", "miner", m.d.Miner, "epoch", round, "block", block.Cid(), "messages", len(t.Messages), "wins", t.Election.WinCount)
	return nil
}

// try draws the election on the present head. It returns nil when there is nothing to mine.
func (m *Miner) try(ctx context.Context, round abi.ChainEpoch) (*Template, error) {
	base := m.d.Chain.Head()
	if base.Height() >= round {
		return nil, nil // someone's clock is ahead of ours, or a round was tried again
	}
	mb, err := m.d.Rules.MiningBase(ctx, base, round, m.d.Miner)
	if err != nil {
		return nil, fmt.Errorf("mining base on %d: %w", base.Height(), err)
	}
	if !mb.Eligible {
		return nil, nil
	}
	rbase := mb.LastBeacon()
	t := &Template{
		Miner: m.d.Miner, Base: base, Height: round, Timestamp: m.epochs.Timestamp(round), Beacons: mb.Beacons,
	}
	random, err := consensus.ElectionDraw(rbase, m.d.Miner, round)
	if err != nil {
		return nil, err
	}
	vrf, err := m.vrf(ctx, mb.Worker, random)
	if err != nil {
		return nil, fmt.Errorf("election: %w", err)
	}
	t.Election = &types.ElectionProof{WinCount: consensus.WinCount(vrf, mb.MinerPower, mb.TotalPower), VRFProof: vrf}
	if t.Election.WinCount < 1 {
		return nil, nil
	}
	if random, err = consensus.TicketDraw(rbase, m.d.Miner, round, base); err != nil {
		return nil, err
	}
	if vrf, err = m.vrf(ctx, mb.Worker, random); err != nil {
		return nil, fmt.Errorf("ticket: %w", err)
	}
	t.Ticket = &types.Ticket{VRFProof: vrf}
	winning, err := consensus.WinningDraw(rbase, m.d.Miner, round)
	if err != nil {
		return nil, err
	}
	if t.WinPoSt, err = m.d.Prover.WinningPoSt(ctx, m.d.Miner, mb.Sectors, winning); err != nil {
		return nil, fmt.Errorf("winning PoSt: %w", err)
	}
	if t.State, t.Receipts, err = m.d.Rules.State(ctx, base); err != nil {
		return nil, fmt.Errorf("state of the base: %w", err)
	}
	if t.BaseWeight, err = m.d.Rules.Weight(ctx, base); err != nil {
		return nil, fmt.Errorf("weight of the base: %w", err)
	}
	if t.BaseFee, err = m.d.Rules.BaseFee(ctx, base); err != nil {
		return nil, fmt.Errorf("base fee: %w", err)
	}
	if t.Messages, err = m.d.Messages.Select(ctx, base, quality(t.Ticket)); err != nil {
		return nil, fmt.Errorf("select messages: %w", err)
	}
	t.worker = mb.Worker
	return t, nil
}

func (m *Miner) vrf(ctx context.Context, worker address.Address, random []byte) ([]byte, error) {
	sig, err := m.d.Signer.Sign(ctx, worker, random)
	if err != nil {
		return nil, err
	}
	if sig.Type != crypto.SigTypeBLS {
		return nil, errors.New("worker key is not a BLS key")
	}
	return sig.Data, nil
}

func (m *Miner) sign(ctx context.Context, h *types.BlockHeader, t *Template) error {
	b, err := h.SigningBytes()
	if err != nil {
		return err
	}
	if h.BlockSig, err = m.d.Signer.Sign(ctx, t.worker, b); err != nil {
		return fmt.Errorf("sign the block: %w", err)
	}
	return nil
}

// quality is how likely the ticket is to be the first of its round: 1 − hash/2^256.
func quality(t *types.Ticket) float64 {
	h := t.Hash()
	return 1 - float64(binary.BigEndian.Uint64(h[:8]))/math.MaxUint64
}
