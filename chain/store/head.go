package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"

	"github.com/lodenet/lode/chain/types"
)

// Finality is how many tipsets a reorg may take back (spec chain.md e.11).
const Finality = 900

var (
	// ErrNoGenesis: the store is empty. Import a genesis first.
	ErrNoGenesis = errors.New("chain store has no genesis")
	// ErrGenesisMismatch: the block or chain belongs to another genesis. Never retry.
	ErrGenesisMismatch = errors.New("another genesis")
	// ErrForkTooLong: the reorg would take back more than Finality tipsets. Ignore the tipset.
	ErrForkTooLong = errors.New("fork is longer than finality")
	// ErrCheckpoint: the reorg would take back a finalized tipset. Ignore the tipset.
	ErrCheckpoint = errors.New("fork drops a finalized tipset")
)

// Weigh gives the weight of a tipset (consensus.Engine.Weight). It is called while no other
// head change can happen, so it must not change the head itself.
type Weigh = func(context.Context, *types.TipSet) (big.Int, error)

// Head is the heaviest tipset; nil before there is a genesis.
func (s *Store) Head() *types.TipSet { return s.head.Load() }

// Genesis is the tipset of the genesis block; nil before there is one.
func (s *Store) Genesis() *types.TipSet { return s.genesis.Load() }

// Checkpoint is the latest finalized tipset; nil when there is none.
func (s *Store) Checkpoint() *types.TipSet { return s.checkpoint.Load() }

// SetGenesis makes the block the root of the chain, and the head of an empty store. Doing it
// again is fine; another genesis is refused with ErrGenesisMismatch.
func (s *Store) SetGenesis(ctx context.Context, h *types.BlockHeader) error {
	s.headMu.Lock()
	defer s.headMu.Unlock()
	if h.Height != 0 {
		return fmt.Errorf("%w: block %s has height %d", ErrGenesisMismatch, h.Cid(), h.Height)
	}
	ts, err := types.NewTipSet([]*types.BlockHeader{h})
	if err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	if g := s.Genesis(); g != nil {
		if !g.Equals(ts) {
			return fmt.Errorf("%w: this store has %s, not %s", ErrGenesisMismatch, g.Cids()[0], h.Cid())
		}
		return nil
	}
	err = s.write(ctx, pebble.Sync, func(w *pebble.Batch) error {
		return errors.Join(
			putHeaders(w, ts.Blocks()),
			w.Set([]byte{keyGenesis}, h.Cid().Bytes(), nil),
			putValid(w, ts),
			w.Set(mainKey(0), ts.Key().Bytes(), nil),
			w.Set([]byte{keyHead}, ts.Key().Bytes(), nil),
		)
	})
	if err != nil {
		return err
	}
	s.genesis.Store(ts)
	s.announce(ts, nil)
	return nil
}

// Offer tells of a validated tipset, whose ancestors are all here, and moves the head to the
// heaviest tipset that can be formed at its height if that is heavier than the head (spec
// chain.md e.11). When the head lost blocks to equivocation, it is chosen anew from the
// heights around it and may get lighter. The new head is on disk before Offer returns.
func (s *Store) Offer(ctx context.Context, ts *types.TipSet, weigh Weigh) (moved bool, err error) {
	s.headMu.Lock()
	defer s.headMu.Unlock()
	head := s.Head()
	if head == nil {
		return false, ErrNoGenesis
	}
	if ts.Height() == 0 {
		if !ts.Equals(s.Genesis()) {
			return false, fmt.Errorf("%w: %s", ErrGenesisMismatch, ts)
		}
		return false, nil
	}
	err = s.write(ctx, pebble.NoSync, func(w *pebble.Batch) error {
		return errors.Join(putHeaders(w, ts.Blocks()), putValid(w, ts))
	})
	if err != nil {
		return false, err
	}
	if head.Height() == ts.Height() {
		liars, err := s.equivocators(ctx, head.Height())
		if err != nil {
			return false, err
		}
		for _, b := range head.Blocks() {
			if liars[b.Miner] {
				return s.reform(ctx, head, weigh)
			}
		}
	}
	cands, err := s.weighed(ctx, ts.Height(), weigh)
	if err != nil {
		return false, err
	}
	if s.headWeight == nil {
		w, err := weigh(ctx, head)
		if err != nil {
			return false, fmt.Errorf("weigh head %s: %w", head, err)
		}
		s.headWeight = &w
	}
	// The heaviest may be one that finality forbids; then the next best counts.
	var refused error
	for _, c := range cands {
		cmp := big.Cmp(c.weight, *s.headWeight)
		if cmp < 0 || c.ts.Equals(head) || (cmp == 0 && !types.BetterTieBreak(c.ts, head)) {
			continue
		}
		switch err := s.move(ctx, c.ts, &c.weight, Finality); {
		case err == nil:
			return true, nil
		case errors.Is(err, ErrCheckpoint) || errors.Is(err, ErrForkTooLong) || errors.Is(err, ErrGenesisMismatch):
			refused = errors.Join(refused, err)
		default:
			return false, err
		}
	}
	return false, refused
}

// reform chooses a head after the present one turned out to hold a block of a miner that
// made two: the heaviest of the heights around it, or its parent when there is none.
func (s *Store) reform(ctx context.Context, head *types.TipSet, weigh Weigh) (bool, error) {
	var best []weighed
	for h := head.Height() + 5; h >= max(head.Height()-4, 0); h-- {
		cands, err := s.weighed(ctx, h, weigh)
		if err != nil {
			return false, err
		}
		best = append(best, cands...)
	}
	sortWeighed(best)
	if len(best) == 0 {
		p, err := s.TipSet(ctx, head.Parents())
		if err != nil {
			return false, err
		}
		w, err := weigh(ctx, p)
		if err != nil {
			return false, fmt.Errorf("weigh %s: %w", p, err)
		}
		best = append(best, weighed{p, w})
	}
	var refused error
	for _, c := range best {
		if c.ts.Equals(head) {
			return false, nil
		}
		err := s.move(ctx, c.ts, &c.weight, Finality)
		if err == nil {
			return true, nil
		}
		refused = errors.Join(refused, err)
	}
	return false, refused
}

// SetHead makes a tipset the head whatever its weight: for an operator, and after a snapshot.
// Its ancestors must all be here. A finalized tipset is not dropped even so.
func (s *Store) SetHead(ctx context.Context, ts *types.TipSet) error {
	s.headMu.Lock()
	defer s.headMu.Unlock()
	if s.Head() == nil {
		return ErrNoGenesis
	}
	if ts.Equals(s.Head()) {
		return nil
	}
	return s.move(ctx, ts, nil, 1<<62)
}

// SetCheckpoint finalizes a tipset: no later head change drops it. When it is not on the main
// chain, the head moves to the heaviest validated tipset on top of it.
func (s *Store) SetCheckpoint(ctx context.Context, ts *types.TipSet, weigh Weigh) error {
	s.headMu.Lock()
	defer s.headMu.Unlock()
	head := s.Head()
	if head == nil {
		return ErrNoGenesis
	}
	if cp := s.Checkpoint(); cp != nil {
		if ts.Height() <= cp.Height() {
			on, err := s.TipSetAt(ctx, ts.Height(), cp)
			if err != nil {
				return err
			}
			if !on.Equals(ts) {
				return fmt.Errorf("%w: %s is not below %s", ErrCheckpoint, ts, cp)
			}
			return nil
		}
		if on, err := s.isAncestor(ctx, cp, ts); err != nil || !on {
			return errors.Join(err, fmt.Errorf("%w: %s is not on top of %s", ErrCheckpoint, ts, cp))
		}
	}
	on, err := s.isAncestor(ctx, ts, head)
	if err != nil {
		return err
	}
	if !on {
		to := weighed{ts: ts}
		cands, err := s.validFrom(ctx, ts.Height(), weigh)
		if err != nil {
			return err
		}
		for _, c := range cands {
			if above, err := s.isAncestor(ctx, ts, c.ts); err == nil && above {
				to = c
				break
			}
		}
		var w *big.Int
		if to.weight.Int != nil {
			w = &to.weight
		}
		if err := s.move(ctx, to.ts, w, 1<<62); err != nil {
			return err
		}
	}
	err = s.write(ctx, pebble.Sync, func(w *pebble.Batch) error {
		return w.Set([]byte{keyCheckpoint}, ts.Key().Bytes(), nil)
	})
	if err == nil {
		s.checkpoint.Store(ts)
	}
	return err
}

// isAncestor tells whether a is on b's chain, or b itself.
func (s *Store) isAncestor(ctx context.Context, a, b *types.TipSet) (bool, error) {
	if a.Height() > b.Height() {
		return false, nil
	}
	at, err := s.TipSetAt(ctx, a.Height(), b)
	if err != nil {
		return false, err
	}
	return at.Equals(a), nil
}

// move makes ts the head: the index, the head and everything written before go to disk
// together, and then the change is announced. weight is nil when not known. headMu is held.
func (s *Store) move(ctx context.Context, ts *types.TipSet, weight *big.Int, limit int) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	m := mainChain{s, s.db} // nobody else writes the index
	var up []*types.TipSet  // newest first
	base := ts
	for {
		on, err := m.has(base)
		if err != nil {
			return err
		}
		if on {
			break
		}
		if base.Height() == 0 {
			return fmt.Errorf("%w: %s", ErrGenesisMismatch, base)
		}
		up = append(up, base)
		if base, err = s.parent(base); err != nil {
			return fmt.Errorf("chain of %s: %w", ts, err)
		}
	}
	if cp := s.Checkpoint(); cp != nil && base.Height() < cp.Height() {
		return fmt.Errorf("%w: %s forks at %s below %s", ErrCheckpoint, ts, base, cp)
	}
	var down []abi.ChainEpoch
	err := m.each(base.Height()+1, func(t *types.TipSet) bool {
		down = append(down, t.Height())
		return len(down) <= limit
	})
	if err != nil {
		return err
	}
	if len(down) > limit {
		return fmt.Errorf("%w: %s forks at %s, more than %d tipsets below the head", ErrForkTooLong, ts, base, limit)
	}
	err = s.write(ctx, pebble.Sync, func(w *pebble.Batch) error {
		for _, h := range down {
			if err := w.Delete(mainKey(h), nil); err != nil {
				return err
			}
		}
		for _, t := range up {
			if err := w.Set(mainKey(t.Height()), t.Key().Bytes(), nil); err != nil {
				return err
			}
		}
		return w.Set([]byte{keyHead}, ts.Key().Bytes(), nil)
	})
	if err != nil {
		return err
	}
	s.announce(ts, weight)
	return nil
}

// announce tells readers and followers of a head that is on disk. headMu is held.
func (s *Store) announce(ts *types.TipSet, weight *big.Int) {
	s.headWeight = weight
	s.head.Store(ts)
	s.changeMu.Lock()
	defer s.changeMu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

// nextChange is closed at the next head change after the call.
func (s *Store) nextChange() <-chan struct{} {
	s.changeMu.Lock()
	defer s.changeMu.Unlock()
	return s.changed
}

// HeadChanged waits until the head is another one than the given and returns it.
func (s *Store) HeadChanged(ctx context.Context, than types.TipSetKey) (*types.TipSet, error) {
	for {
		next := s.nextChange()
		if h := s.Head(); h != nil && h.Key() != than {
			return h, nil
		}
		select {
		case <-next:
		case <-s.done:
			return nil, ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
