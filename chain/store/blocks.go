package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ipfs/boxo/blockstore"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/multiformats/go-multihash"

	"github.com/lodenet/lode/chain/types"
)

var (
	_ types.Blocks          = (*Store)(nil)
	_ blockstore.Blockstore = (*Store)(nil)
)

func blockKey(c cid.Cid) []byte { return append([]byte{keyBlock}, c.Hash()...) }

// identity returns the bytes of a CID that carries its own data.
func identity(c cid.Cid) ([]byte, bool) {
	if c.Prefix().MhType != multihash.IDENTITY {
		return nil, false
	}
	d, err := multihash.Decode(c.Hash())
	if err != nil {
		return nil, false
	}
	return d.Digest, true
}

// Get returns a block, or ipld.ErrNotFound. The hash was checked when the block came in.
func (s *Store) Get(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	if !c.Defined() {
		return nil, ipld.ErrNotFound{Cid: c}
	}
	if b, ok := identity(c); ok {
		return blocks.NewBlockWithCid(b, c)
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	b, err := get(s.db, blockKey(c))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, ipld.ErrNotFound{Cid: c}
	}
	if err != nil {
		return nil, fmt.Errorf("read block %s: %w", c, err)
	}
	return blocks.NewBlockWithCid(b, c)
}

// Has tells whether a block is here.
func (s *Store) Has(ctx context.Context, c cid.Cid) (bool, error) {
	_, err := s.GetSize(ctx, c)
	if ipld.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// GetSize is the length of a block in bytes, or ipld.ErrNotFound.
func (s *Store) GetSize(ctx context.Context, c cid.Cid) (int, error) {
	if !c.Defined() {
		return 0, ipld.ErrNotFound{Cid: c}
	}
	if b, ok := identity(c); ok {
		return len(b), nil
	}
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.leave()
	v, closer, err := s.db.Get(blockKey(c))
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, ipld.ErrNotFound{Cid: c}
	}
	if err != nil {
		return 0, fmt.Errorf("read block %s: %w", c, err)
	}
	return len(v), closer.Close()
}

// Put keeps a block. It is on disk at the latest with the next head change.
func (s *Store) Put(ctx context.Context, b blocks.Block) error {
	return s.PutMany(ctx, []blocks.Block{b})
}

// PutMany keeps blocks, all or none of them over a crash.
func (s *Store) PutMany(ctx context.Context, bs []blocks.Block) error {
	return s.write(ctx, pebble.NoSync, func(w *pebble.Batch) error { return putBlocks(w, bs) })
}

func putBlocks(w *pebble.Batch, bs []blocks.Block) error {
	for _, b := range bs {
		if _, ok := identity(b.Cid()); ok {
			continue
		}
		if err := w.Set(blockKey(b.Cid()), b.RawData(), nil); err != nil {
			return err
		}
	}
	return nil
}

// DeleteBlock forgets a block. Nothing in the node deletes chain data; it is here because a
// block store has it.
func (s *Store) DeleteBlock(ctx context.Context, c cid.Cid) error {
	return s.write(ctx, pebble.NoSync, func(w *pebble.Batch) error { return w.Delete(blockKey(c), nil) })
}

// AllKeysChan lists all blocks as raw CIDs: the codec is not kept. The channel is closed at
// the end, when ctx ends, and when the store is closed.
func (s *Store) AllKeysChan(ctx context.Context) (<-chan cid.Cid, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyBlock}, UpperBound: []byte{keyBlock + 1}})
	if err != nil {
		s.leave()
		return nil, fmt.Errorf("list blocks: %w", err)
	}
	out := make(chan cid.Cid)
	go func() {
		defer s.leave()
		defer close(out)
		defer func() {
			if err := it.Close(); err != nil {
				s.log.Error("list blocks", "err", err)
			}
		}()
		for ok := it.First(); ok; ok = it.Next() {
			mh, err := multihash.Cast(append([]byte(nil), it.Key()[1:]...))
			if err != nil {
				s.log.Error("list blocks", "err", err)
				return
			}
			select {
			case out <- cid.NewCidV1(cid.Raw, mh):
			case <-ctx.Done():
				return
			case <-s.done:
				return
			}
		}
	}()
	return out, nil
}

// write commits one batch.
func (s *Store) write(ctx context.Context, o *pebble.WriteOptions, fill func(*pebble.Batch) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	w := s.db.NewBatch()
	defer w.Close() // after a commit there is nothing left to lose
	if err := fill(w); err != nil {
		return fmt.Errorf("write to chain store: %w", err)
	}
	if err := w.Commit(o); err != nil {
		return fmt.Errorf("write to chain store: %w", err)
	}
	return nil
}
