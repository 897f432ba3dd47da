package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/types"
)

func validPrefix(h abi.ChainEpoch) []byte {
	return binary.BigEndian.AppendUint64([]byte{keyValid}, uint64(h))
}

func putValid(w *pebble.Batch, ts *types.TipSet) error {
	for _, c := range ts.Cids() {
		if err := w.Set(append(validPrefix(ts.Height()), c.Bytes()...), nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// IsValid tells whether a block was offered as validated.
func (s *Store) IsValid(ctx context.Context, h *types.BlockHeader) (bool, error) {
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.leave()
	_, err := get(s.db, append(validPrefix(h.Height), h.Cid().Bytes()...))
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// validAt lists the validated blocks of a height by CID.
func (s *Store) validAt(ctx context.Context, h abi.ChainEpoch) (out []*types.BlockHeader, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	err = s.eachValid(h, h+1, func(b *types.BlockHeader) error {
		out = append(out, b)
		return nil
	})
	return out, err
}

func (s *Store) eachValid(from, to abi.ChainEpoch, f func(*types.BlockHeader) error) (err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: validPrefix(from), UpperBound: validPrefix(to)})
	if err != nil {
		return fmt.Errorf("list validated blocks: %w", err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		c, err := cid.Cast(it.Key()[9:])
		if err != nil {
			return fmt.Errorf("list validated blocks: %w", err)
		}
		raw, err := get(s.db, blockKey(c))
		if err != nil {
			return fmt.Errorf("validated block %s: %w", c, err)
		}
		b, err := types.DecodeBlockHeader(raw)
		if err != nil {
			return fmt.Errorf("validated block %s: %w", c, err)
		}
		if err := f(b); err != nil {
			return err
		}
	}
	return it.Error()
}

// Siblings lists the validated blocks of a height that have the given parents, whoever made
// them.
func (s *Store) Siblings(ctx context.Context, h abi.ChainEpoch, parents types.TipSetKey) ([]*types.BlockHeader, error) {
	all, err := s.validAt(ctx, h)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(b *types.BlockHeader) bool {
		return types.NewTipSetKey(b.Parents...) != parents
	}), nil
}

// equivocators are the miners with more than one validated block at a height.
func (s *Store) equivocators(ctx context.Context, h abi.ChainEpoch) (map[address.Address]bool, error) {
	all, err := s.validAt(ctx, h)
	if err != nil {
		return nil, err
	}
	liars, _ := split(all)
	return liars, nil
}

// split finds the miners with two blocks and groups the blocks of the others by parents.
func split(blocks []*types.BlockHeader) (liars map[address.Address]bool, groups map[types.TipSetKey][]*types.BlockHeader) {
	seen, liars := map[address.Address]bool{}, map[address.Address]bool{}
	for _, b := range blocks {
		if seen[b.Miner] {
			liars[b.Miner] = true
		}
		seen[b.Miner] = true
	}
	groups = map[types.TipSetKey][]*types.BlockHeader{}
	for _, b := range blocks {
		if !liars[b.Miner] {
			k := types.NewTipSetKey(b.Parents...)
			groups[k] = append(groups[k], b)
		}
	}
	return liars, groups
}

// weighed is a tipset that could be the head.
type weighed struct {
	ts     *types.TipSet
	weight big.Int
}

// weighed forms the tipsets of a height from validated blocks, without the miners that made
// two, best first.
func (s *Store) weighed(ctx context.Context, h abi.ChainEpoch, weigh Weigh) ([]weighed, error) {
	all, err := s.validAt(ctx, h)
	if err != nil {
		return nil, err
	}
	return s.formWeighed(ctx, all, weigh)
}

// formWeighed leaves out tipsets that cannot be weighed, so that trouble with one does not
// hold up the others; when that leaves none, it is an error.
func (s *Store) formWeighed(ctx context.Context, all []*types.BlockHeader, weigh Weigh) ([]weighed, error) {
	_, groups := split(all)
	out := make([]weighed, 0, len(groups))
	var trouble error
	for _, g := range groups {
		ts, err := types.NewTipSet(g)
		if err != nil {
			return nil, fmt.Errorf("validated blocks at height %d: %w", g[0].Height, err)
		}
		w, err := weigh(ctx, ts)
		if err != nil {
			trouble = errors.Join(trouble, fmt.Errorf("weigh %s: %w", ts, err))
			continue
		}
		out = append(out, weighed{ts, w})
	}
	if trouble != nil {
		if len(out) == 0 || ctx.Err() != nil {
			return nil, trouble
		}
		s.log.Warn("some tipsets cannot be weighed and are no candidates for the head", "err", trouble)
	}
	sortWeighed(out)
	return out, nil
}

// validFrom forms the tipsets of all heights from one up, best first.
func (s *Store) validFrom(ctx context.Context, from abi.ChainEpoch, weigh Weigh) ([]weighed, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	byHeight := map[abi.ChainEpoch][]*types.BlockHeader{}
	err := s.eachValid(from, 1<<62, func(b *types.BlockHeader) error {
		byHeight[b.Height] = append(byHeight[b.Height], b)
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	var out []weighed
	for _, all := range byHeight {
		cands, err := s.formWeighed(ctx, all, weigh)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			s.log.Warn("some tipsets cannot be weighed and are no candidates for the head", "err", err)
		}
		out = append(out, cands...)
	}
	sortWeighed(out)
	return out, nil
}

// sortWeighed puts the best first: by weight, then by the tie-break, then by key so that the
// order never depends on chance.
func sortWeighed(ws []weighed) {
	slices.SortFunc(ws, func(a, b weighed) int {
		switch c := big.Cmp(b.weight, a.weight); {
		case c != 0:
			return c
		case types.BetterTieBreak(a.ts, b.ts):
			return -1
		case types.BetterTieBreak(b.ts, a.ts):
			return 1
		}
		return bytes.Compare(a.ts.Key().Bytes(), b.ts.Key().Bytes())
	})
}
