package types

import (
	"context"
	"sync"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
)

// Blocks is a store of content-addressed blocks. Get of an absent block returns an error
// for which ipld.IsNotFound is true. It is safe from many goroutines, and puts can be
// repeated. It is a part of the usual IPFS blockstore interface, so either serves.
type Blocks interface {
	Get(ctx context.Context, c cid.Cid) (blocks.Block, error)
	Has(ctx context.Context, c cid.Cid) (bool, error)
	Put(ctx context.Context, b blocks.Block) error
	PutMany(ctx context.Context, bs []blocks.Block) error
}

// MemBlocks is a Blocks in memory. The zero value is ready to use.
type MemBlocks struct {
	mu sync.RWMutex
	m  map[cid.Cid]blocks.Block // guarded by mu
}

var _ Blocks = (*MemBlocks)(nil)

// Get implements Blocks.
func (s *MemBlocks) Get(_ context.Context, c cid.Cid) (blocks.Block, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if b, ok := s.m[c]; ok {
		return b, nil
	}
	return nil, ipld.ErrNotFound{Cid: c}
}

// Has implements Blocks.
func (s *MemBlocks) Has(_ context.Context, c cid.Cid) (bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.m[c]
	return ok, nil
}

// Put implements Blocks.
func (s *MemBlocks) Put(ctx context.Context, b blocks.Block) error {
	return s.PutMany(ctx, []blocks.Block{b})
}

// PutMany implements Blocks.
func (s *MemBlocks) PutMany(_ context.Context, bs []blocks.Block) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = make(map[cid.Cid]blocks.Block)
	}
	for _, b := range bs {
		s.m[b.Cid()] = b
	}
	return nil
}

// Len is the number of blocks held.
func (s *MemBlocks) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.m)
}
