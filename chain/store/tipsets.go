package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"

	"github.com/lodenet/lode/chain/types"
)

// ErrNotYet: the height asked for is above the tipset asked from.
var ErrNotYet = errors.New("no tipset at or after that height yet")

// ErrBrokenChain: a tipset names parents that are no tipset below it. A header like that is
// not valid.
var ErrBrokenChain = errors.New("parents are not a tipset below")

// Header reads a block header; ipld.ErrNotFound when it is not here.
func (s *Store) Header(ctx context.Context, c cid.Cid) (*types.BlockHeader, error) {
	b, err := s.Get(ctx, c)
	if err != nil {
		return nil, err
	}
	return types.DecodeBlockHeader(b.RawData())
}

// PutHeaders keeps headers. That says nothing about whether they are valid.
func (s *Store) PutHeaders(ctx context.Context, hs ...*types.BlockHeader) error {
	return s.write(ctx, pebble.NoSync, func(w *pebble.Batch) error { return putHeaders(w, hs) })
}

func putHeaders(w *pebble.Batch, hs []*types.BlockHeader) error {
	for _, h := range hs {
		b, err := h.ToStorageBlock()
		if err != nil {
			return err
		}
		if err := w.Set(blockKey(b.Cid()), b.RawData(), nil); err != nil {
			return err
		}
	}
	return nil
}

// PutTipSet keeps the headers of a tipset.
func (s *Store) PutTipSet(ctx context.Context, ts *types.TipSet) error {
	if err := s.PutHeaders(ctx, ts.Blocks()...); err != nil {
		return err
	}
	s.tipsets.Add(ts.Key(), ts)
	return nil
}

// TipSet loads a tipset; the error is ipld.ErrNotFound when a block of it is not here, and
// types.ErrNoTipSet when its blocks do not belong together in that order. The empty key is
// the head.
func (s *Store) TipSet(ctx context.Context, key types.TipSetKey) (*types.TipSet, error) {
	if key.IsEmpty() {
		if h := s.Head(); h != nil {
			return h, nil
		}
		return nil, ErrNoGenesis
	}
	if ts, ok := s.tipsets.Get(key); ok {
		return ts, nil
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	return s.loadTipSet(key)
}

func (s *Store) loadByKeyBytes(raw []byte) (*types.TipSet, error) {
	key, err := types.TipSetKeyFromBytes(raw)
	if err != nil {
		return nil, err
	}
	return s.loadTipSet(key)
}

func (s *Store) loadTipSet(key types.TipSetKey) (*types.TipSet, error) {
	if ts, ok := s.tipsets.Get(key); ok {
		return ts, nil
	}
	cids := key.Cids()
	headers := make([]*types.BlockHeader, 0, len(cids))
	for _, c := range cids {
		raw, err := get(s.db, blockKey(c))
		if errors.Is(err, pebble.ErrNotFound) {
			return nil, fmt.Errorf("tipset %s: %w", key, ipld.ErrNotFound{Cid: c})
		}
		if err != nil {
			return nil, fmt.Errorf("tipset %s: %w", key, err)
		}
		h, err := types.DecodeBlockHeader(raw)
		if err != nil {
			return nil, fmt.Errorf("tipset %s: %w: %s: %w", key, types.ErrNoTipSet, c, err)
		}
		headers = append(headers, h)
	}
	ts, err := types.NewTipSet(headers)
	if err != nil {
		return nil, fmt.Errorf("tipset %s: %w", key, err)
	}
	if ts.Key() != key {
		return nil, fmt.Errorf("%w: %s is not in canonical order", types.ErrNoTipSet, key)
	}
	s.tipsets.Add(key, ts)
	return ts, nil
}

// parent loads the parent and checks that the chain goes down.
func (s *Store) parent(ts *types.TipSet) (*types.TipSet, error) {
	p, err := s.loadTipSet(ts.Parents())
	if err != nil {
		return nil, err
	}
	if p.Height() >= ts.Height() {
		return nil, fmt.Errorf("%w: %s on %s", ErrBrokenChain, ts, p)
	}
	return p, nil
}

// TipSetAt is the latest tipset at or before a height on the chain that ends with from; nil
// is the head. A negative height is the genesis. The work is proportional to how far from is
// off the main chain.
func (s *Store) TipSetAt(ctx context.Context, h abi.ChainEpoch, from *types.TipSet) (*types.TipSet, error) {
	h = max(h, 0)
	return s.find(ctx, from, func(cur *types.TipSet) bool { return cur.Height() <= h }, func(m mainChain) (*types.TipSet, error) {
		return m.before(h)
	})
}

// TipSetAfter is the first tipset at or after a height on the chain that ends with from; nil
// is the head. ErrNotYet when from is below the height.
func (s *Store) TipSetAfter(ctx context.Context, h abi.ChainEpoch, from *types.TipSet) (*types.TipSet, error) {
	h = max(h, 0)
	if from == nil {
		from = s.Head()
	}
	if from != nil && from.Height() < h {
		return nil, fmt.Errorf("%w: %d, from %s", ErrNotYet, h, from)
	}
	return s.find(ctx, from, func(cur *types.TipSet) bool {
		if cur.Height() == h {
			return true
		}
		p, err := s.parent(cur)
		return err == nil && p.Height() < h // an error comes back when find walks on
	}, func(m mainChain) (*types.TipSet, error) { return m.after(h) })
}

// find walks down from a tipset until one is the answer or is on the main chain, where the
// index answers.
func (s *Store) find(ctx context.Context, from *types.TipSet, is func(*types.TipSet) bool, index func(mainChain) (*types.TipSet, error)) (*types.TipSet, error) {
	if from == nil {
		if from = s.Head(); from == nil {
			return nil, ErrNoGenesis
		}
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	snap := s.db.NewSnapshot()
	defer snap.Close() // nothing was written
	m := mainChain{s, snap}
	for cur := from; ; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if is(cur) {
			return cur, nil
		}
		on, err := m.has(cur)
		if err != nil {
			return nil, err
		}
		if on {
			return index(m)
		}
		if cur, err = s.parent(cur); err != nil {
			return nil, err
		}
	}
}

// mainChain is the height index as one moment saw it.
type mainChain struct {
	s *Store
	r pebble.Reader
}

func mainKey(h abi.ChainEpoch) []byte {
	return binary.BigEndian.AppendUint64([]byte{keyMain}, uint64(h))
}

func (m mainChain) has(ts *types.TipSet) (bool, error) {
	raw, err := get(m.r, mainKey(ts.Height()))
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("height index: %w", err)
	}
	return string(raw) == string(ts.Key().Bytes()), nil
}

func (m mainChain) before(h abi.ChainEpoch) (*types.TipSet, error) {
	var out *types.TipSet
	err := m.iterate(0, h+1, func(it *pebble.Iterator) bool { return it.Last() }, func(ts *types.TipSet) bool {
		out = ts
		return false
	})
	return found(out, err, h)
}

func (m mainChain) after(h abi.ChainEpoch) (*types.TipSet, error) {
	var out *types.TipSet
	err := m.each(h, func(ts *types.TipSet) bool {
		out = ts
		return false
	})
	return found(out, err, h)
}

func found(ts *types.TipSet, err error, h abi.ChainEpoch) (*types.TipSet, error) {
	if err == nil && ts == nil {
		err = fmt.Errorf("height index has nothing for %d", h)
	}
	return ts, err
}

// each calls f with the tipsets of the main chain from a height up, until f returns false.
func (m mainChain) each(from abi.ChainEpoch, f func(*types.TipSet) bool) error {
	return m.iterate(from, 1<<62, func(it *pebble.Iterator) bool { return it.First() }, f)
}

func (m mainChain) iterate(from, to abi.ChainEpoch, start func(*pebble.Iterator) bool, f func(*types.TipSet) bool) (err error) {
	it, err := m.r.NewIter(&pebble.IterOptions{LowerBound: mainKey(from), UpperBound: mainKey(to)})
	if err != nil {
		return fmt.Errorf("height index: %w", err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := start(it); ok; ok = it.Next() {
		ts, err := m.s.loadByKeyBytes(it.Value())
		if err != nil {
			return fmt.Errorf("height index: %w", err)
		}
		if !f(ts) {
			return nil
		}
	}
	return it.Error()
}
