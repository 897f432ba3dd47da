package mining

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/crypto"

	"github.com/lodenet/lode/chain/consensus"
	"github.com/lodenet/lode/chain/types"
)

// win is an election won on a base.
type win struct {
	t      *Template // without what depends on the base alone: ticket, state, fees, messages
	rbase  types.BeaconEntry
	worker address.Address
	asked  asked
}

// round draws the election of a round and, when it is won, makes and publishes the block.
func (m *Miner) round(ctx context.Context, filter *SlashFilter, round abi.ChainEpoch) error {
	w, err := m.elect(ctx, m.d.Chain.Head(), round)
	if err != nil {
		return err
	}
	if w != nil {
		// Two-faced blocks of the base come out in this time; the store then has another head.
		if err := m.d.Clock.Until(ctx, m.epochs.Start(round-1).Add(m.d.Network.Propagation()+m.d.Network.Equivocation())); err != nil {
			return err
		}
		w, err = m.recheck(ctx, w, round)
	}
	if err != nil {
		return err
	}
	if w == nil {
		m.stats.nulls.Add(1)
		return nil
	}
	m.stats.won.Add(1)
	block, err := m.make(ctx, w)
	if err != nil {
		return err
	}
	due := time.Unix(int64(w.t.Timestamp), 0)
	if err := m.d.Clock.Until(ctx, due); err != nil {
		return err
	}
	if err := filter.Claim(ctx, block, w.t.Base); err != nil {
		if errors.Is(err, ErrSlashable) {
			return errors.Join(err, m.republish(ctx, filter))
		}
		return err
	}
	late := m.d.Clock.Now().Sub(due)
	if err := m.d.Publisher.Publish(ctx, block); err != nil {
		return fmt.Errorf("publish block %s: %w", block.Cid(), err)
	}
	m.stats.published.Add(1)
	if late > m.d.Network.Propagation() {
		m.stats.late.Add(1)
		m.d.Log.Warn("block was late; is the machine too slow for the epoch?", "epoch", round, "late", late)
	}
	m.d.Log.Info("mined a block", "miner", m.d.Miner, "epoch", round, "block", block.Cid(), "messages", len(w.t.Messages), "wins", w.t.Election.WinCount)
	return nil
}

// elect draws the election of a round on a base and proves the winning sector. It returns nil
// when there is nothing to mine.
func (m *Miner) elect(ctx context.Context, base *types.TipSet, round abi.ChainEpoch) (*win, error) {
	w, err := m.draw(ctx, base, round)
	if w == nil || err != nil {
		return nil, err
	}
	if w.t.WinPoSt, err = m.winningPoSt(ctx, round, w.asked); err != nil {
		return nil, fmt.Errorf("winning PoSt: %w", err)
	}
	return w, nil
}

// draw draws the election of a round on a base. It returns nil when there is nothing to mine.
func (m *Miner) draw(ctx context.Context, base *types.TipSet, round abi.ChainEpoch) (*win, error) {
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
	random, err := consensus.ElectionDraw(rbase, m.d.Miner, round)
	if err != nil {
		return nil, err
	}
	vrf, err := m.vrf(ctx, mb.Worker, random)
	if err != nil {
		return nil, fmt.Errorf("election: %w", err)
	}
	wins := consensus.WinCount(vrf, mb.MinerPower, mb.TotalPower)
	if wins < 1 {
		return nil, nil
	}
	winning, err := consensus.WinningDraw(rbase, m.d.Miner, round)
	if err != nil {
		return nil, err
	}
	return &win{rbase: rbase, worker: mb.Worker, asked: asked{sectors: mb.Sectors, randomness: winning}, t: &Template{
		Miner: m.d.Miner, Base: base, Height: round, Timestamp: m.epochs.Timestamp(round), Beacons: mb.Beacons,
		Election: &types.ElectionProof{WinCount: wins, VRFProof: vrf},
	}}, nil
}

// recheck looks at the head again. Of the same tipset only the blocks that are still there
// count, and none that came meanwhile, so that two-faced miners are left out and cannot split
// the others by being late (spec chain.md e.12). On another chain the election is drawn anew.
func (m *Miner) recheck(ctx context.Context, w *win, round abi.ChainEpoch) (*win, error) {
	base, head := w.t.Base, m.d.Chain.Head()
	if head.Equals(base) || head.Height() >= round {
		return w, nil
	}
	if head.Height() != base.Height() || head.Parents() != base.Parents() {
		return m.elect(ctx, head, round)
	}
	still := slices.DeleteFunc(slices.Clone(base.Blocks()), func(b *types.BlockHeader) bool {
		return !slices.Contains(head.Cids(), b.Cid())
	})
	switch len(still) {
	case len(base.Blocks()):
		return w, nil
	case 0:
		return m.elect(ctx, head, round)
	}
	fewer, err := types.NewTipSet(still)
	if err != nil {
		return nil, err
	}
	// Parents and height are the same, and so are the election's draws, unless the beacon
	// entry was that of the block left out; drawing again is simple and always right.
	return m.elect(ctx, fewer, round)
}

// make completes a block on its base and signs it. When what the pool selected is not valid,
// the block is made without messages: the chain must go on.
func (m *Miner) make(ctx context.Context, w *win) (*types.FullBlock, error) {
	t := w.t
	random, err := consensus.TicketDraw(w.rbase, m.d.Miner, t.Height, t.Base)
	if err != nil {
		return nil, err
	}
	vrf, err := m.vrf(ctx, w.worker, random)
	if err != nil {
		return nil, fmt.Errorf("ticket: %w", err)
	}
	t.Ticket = &types.Ticket{VRFProof: vrf}
	if t.State, t.Receipts, err = m.d.Rules.State(ctx, t.Base); err != nil {
		return nil, fmt.Errorf("state of the base: %w", err)
	}
	if t.BaseWeight, err = m.d.Rules.Weight(ctx, t.Base); err != nil {
		return nil, fmt.Errorf("weight of the base: %w", err)
	}
	if t.BaseFee, err = m.d.Rules.BaseFee(ctx, t.Base); err != nil {
		return nil, fmt.Errorf("base fee: %w", err)
	}
	if t.Messages, err = m.d.Messages.Select(ctx, t.Base, quality(t.Ticket)); err == nil {
		var b *types.FullBlock
		if b, err = m.build(ctx, w); err == nil || len(t.Messages) == 0 {
			return b, err
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	m.d.Log.Error("cannot use the selected messages, making an empty block", "epoch", t.Height, "messages", len(t.Messages), "err", err)
	t.Messages = nil
	b, err := m.build(ctx, w)
	if err == nil {
		m.stats.emptied.Add(1)
	}
	return b, err
}

// build makes the block of a complete template, signs it, and checks it as others will.
func (m *Miner) build(ctx context.Context, w *win) (*types.FullBlock, error) {
	b, err := Block(ctx, m.d.Chain, *w.t)
	if err != nil {
		return nil, err
	}
	signing, err := b.Header.SigningBytes()
	if err != nil {
		return nil, err
	}
	if b.Header.BlockSig, err = m.d.Signer.Sign(ctx, w.worker, signing); err != nil {
		return nil, fmt.Errorf("sign the block: %w", err)
	}
	// A block of ours that is not valid would be signed for ever, and keep us from making
	// another on the same parents.
	if err := m.d.Rules.ValidateBlock(ctx, b); err != nil && !errors.Is(err, consensus.ErrTemporal) {
		return nil, fmt.Errorf("check our own block: %w", err)
	}
	return b, nil
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

// quality is how likely the ticket is to be the first of its round: 1 − hash/2^256.
func quality(t *types.Ticket) float64 {
	h := t.Hash()
	return 1 - float64(binary.BigEndian.Uint64(h[:8]))/math.MaxUint64
}
