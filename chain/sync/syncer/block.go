package syncer

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/chain/store"
	"github.com/lodenet/lode/chain/types"
)

// InBlock takes a whole block: validates it, stores it and offers it as a head. The node's
// own blocks come with an empty from. Blocks that are known already are fine; own ones are
// offered again. With ErrNoParent a peer's block becomes a target.
func (s *Syncer) InBlock(ctx context.Context, b *types.FullBlock, from peer.ID) error {
	known, err := s.known(ctx, b.Header)
	if err != nil || known && from != "" {
		return err
	}
	ts, err := types.NewTipSet([]*types.BlockHeader{b.Header})
	if err != nil {
		return err
	}
	if known {
		// A stop or a kill can come between the store's write of a block and the weighing of
		// its tipset. A network's only miner has no block but this one to go on with.
		return s.place(ctx, ts)
	}
	if err := s.parentsReady(ctx, b.Header); err != nil {
		if errors.Is(err, ErrNoParent) && from != "" {
			s.later(b.Header, from)
		}
		return err
	}
	// A child that waits for this block finds it in its place, not only judged.
	err = s.flights.do(ctx, b.Cid(), func() error {
		if err := s.judge(ctx, b); err != nil {
			return err
		}
		return s.place(ctx, ts)
	})
	if err != nil {
		if from != "" && s.classify(err) != Invalid && !errors.Is(err, ErrBeyond) && ctx.Err() == nil {
			s.later(b.Header, from)
		}
		return fmt.Errorf("block %s of %s: %w", b.Cid(), b.Header.Miner, err)
	}
	// The flight may have been a sync's, which places whole tipsets and can end before that.
	if known, err := s.known(ctx, b.Header); err != nil || known {
		return err
	}
	return s.place(ctx, ts)
}

// later makes a target of a block that cannot be taken now. It does not stand for the head
// of the peer that passed it on.
func (s *Syncer) later(h *types.BlockHeader, from peer.ID) {
	s.offer(from, types.NewTipSetKey(h.Cid()), h.Height, h.ParentWeight, false)
}

// known tells whether a block is validated. A bad one gives an error.
func (s *Syncer) known(ctx context.Context, h *types.BlockHeader) (bool, error) {
	c := h.Cid()
	bad, is, err := s.chain.Bad(ctx, c)
	switch {
	case err != nil:
		return false, fmt.Errorf("look for a bad mark of %s: %w", c, err)
	case is:
		return false, fmt.Errorf("%w %s: %s", ErrInvalid, c, bad.Reason)
	}
	valid, err := s.chain.IsValid(ctx, h)
	if err != nil {
		return false, fmt.Errorf("look up block %s: %w", c, err)
	}
	return valid, nil
}

// parentsReady tells whether the parents of a block are validated. Those that are being
// validated are waited for: gossip often brings a block a moment after its parents.
func (s *Syncer) parentsReady(ctx context.Context, h *types.BlockHeader) error {
	key := types.NewTipSetKey(h.Parents...)
	if err := s.flights.wait(ctx, h.Parents); err != nil {
		return err
	}
	ts, err := s.chain.TipSet(ctx, key)
	switch {
	case ipld.IsNotFound(err) || errors.Is(err, types.ErrNoTipSet) || errors.Is(err, store.ErrBrokenChain) || key.IsEmpty():
		return fmt.Errorf("block %s: %w", h.Cid(), ErrNoParent)
	case err != nil:
		return fmt.Errorf("parents of block %s: %w", h.Cid(), err)
	}
	for _, p := range ts.Blocks() {
		valid, err := s.chain.IsValid(ctx, p)
		if err != nil {
			return fmt.Errorf("look up block %s: %w", p.Cid(), err)
		}
		if !valid && p.Height > 0 {
			return fmt.Errorf("block %s: %w", h.Cid(), ErrNoParent)
		}
	}
	return nil
}

// validate judges a block once, however many ask at the same time.
func (s *Syncer) validate(ctx context.Context, b *types.FullBlock) error {
	return s.flights.do(ctx, b.Cid(), func() error { return s.judge(ctx, b) })
}

// judge validates a block and stores it when it is valid. One that is provably invalid is
// marked.
func (s *Syncer) judge(ctx context.Context, b *types.FullBlock) error {
	c := b.Cid()
	known, err := s.known(ctx, b.Header)
	if err != nil || known {
		return err
	}
	if err := s.engine.ValidateBlock(ctx, b); err != nil {
		if s.classify(err) == Invalid && ctx.Err() == nil {
			s.log.Warn("invalid block", "block", c, "height", b.Header.Height, "miner", b.Header.Miner, "err", err)
			if err := s.chain.MarkBad(ctx, c, err.Error(), s.clk.Now()); err != nil {
				return fmt.Errorf("mark block %s as bad: %w", c, err)
			}
			return fmt.Errorf("%w %s: %w", ErrInvalid, c, err)
		}
		return err
	}
	if err := s.chain.PutFullBlock(ctx, b); err != nil {
		return fmt.Errorf("store block %s: %w", c, err)
	}
	return nil
}

// classify tells what an error means for a block.
func (s *Syncer) classify(err error) Class {
	switch {
	case errors.Is(err, ErrInvalid):
		return Invalid
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), ipld.IsNotFound(err):
		return Retry
	default:
		return s.opt.Classify(err)
	}
}

// place offers a validated tipset to the store.
func (s *Syncer) place(ctx context.Context, ts *types.TipSet) error {
	_, err := s.chain.Offer(ctx, ts, s.engine.Weight)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrForkTooLong), errors.Is(err, store.ErrCheckpoint), errors.Is(err, store.ErrGenesisMismatch):
		return fmt.Errorf("%w: %w", ErrBeyond, err)
	default:
		return fmt.Errorf("offer tipset %s: %w", ts, err)
	}
}

// flights runs one task per block at a time: its validation, and for gossip its placing.
type flights struct {
	mu sync.Mutex
	m  map[cid.Cid]*flight // guarded by mu
}

type flight struct {
	done chan struct{}
	err  error // set before done is closed
}

// do runs f for a block, or waits for the run under way. When that run was given up by its
// own caller, f runs again for this one.
func (f *flights) do(ctx context.Context, c cid.Cid, run func() error) error {
	for {
		f.mu.Lock()
		other, busy := f.m[c]
		if !busy {
			mine := &flight{done: make(chan struct{})}
			f.m[c] = mine
			f.mu.Unlock()
			mine.err = run()
			f.mu.Lock()
			delete(f.m, c)
			f.mu.Unlock()
			close(mine.done)
			return mine.err
		}
		f.mu.Unlock()
		select {
		case <-other.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if !errors.Is(other.err, context.Canceled) && !errors.Is(other.err, context.DeadlineExceeded) {
			return other.err
		}
	}
}

// wait waits for the tasks of these blocks that are under way.
func (f *flights) wait(ctx context.Context, cids []cid.Cid) error {
	for _, c := range cids {
		f.mu.Lock()
		other, busy := f.m[c]
		f.mu.Unlock()
		if !busy {
			continue
		}
		select {
		case <-other.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
