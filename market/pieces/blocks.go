package pieces

import (
	"context"
	"errors"
	"fmt"
	"io"

	blockstore "github.com/ipfs/boxo/blockstore"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/market/car"
	"github.com/multiformats/go-multihash"
)

// ErrReadOnly: blocks come into the pieces by deals only.
var ErrReadOnly = errors.New("the blocks of sealed pieces cannot be changed")

// Blocks is a read-only block store over local imports and the pieces in sectors. It serves
// retrieval and bitswap. Safe from many goroutines.
type Blocks struct {
	index *Index
	read  Reader
	local types.Blocks
}

var (
	_ types.Blocks          = (*Blocks)(nil)
	_ blockstore.Blockstore = (*Blocks)(nil)
)

// NewBlocks joins the stores. Index and read are nil on a node that seals nothing; local is
// nil where nothing is imported.
func NewBlocks(index *Index, read Reader, local types.Blocks) *Blocks {
	if read == nil {
		index = nil // what cannot be read is not offered
	}
	return &Blocks{index, read, local}
}

// Get implements types.Blocks: local first, then each piece that has the block, the first
// readable one.
func (b *Blocks) Get(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	if data, ok := identity(c); ok {
		return blocks.NewBlockWithCid(data, c)
	}
	if b.local != nil {
		blk, err := b.local.Get(ctx, c)
		if err == nil || !ipld.IsNotFound(err) {
			return blk, err
		}
	}
	places, err := b.find(ctx, c)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, w := range places {
		blk, err := b.readBlock(ctx, c, w)
		if err == nil {
			return blk, nil
		}
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return nil, ipld.ErrNotFound{Cid: c}
}

func (b *Blocks) find(ctx context.Context, c cid.Cid) ([]Where, error) {
	if b.index == nil {
		return nil, nil
	}
	return b.index.Find(ctx, c.Hash())
}

func (b *Blocks) readBlock(ctx context.Context, c cid.Cid, w Where) (blocks.Block, error) {
	if w.Length > car.MaxBlock || w.Start+w.Length > uint64(w.Size.Unpadded()) {
		return nil, fmt.Errorf("block %s: the index says %d bytes at %d of a piece of %d", c, w.Length, w.Start, w.Size)
	}
	data := make([]byte, w.Length)
	if len(data) > 0 {
		r, err := openWindow(ctx, b.read, w.Location, w.Start, w.Start+w.Length)
		if err == nil {
			_, err = io.ReadFull(r, data)
			err = errors.Join(err, r.Close())
		}
		if err != nil {
			return nil, fmt.Errorf("block %s in sector %d: %w", c, w.Sector, err)
		}
	}
	if err := car.Check(c, data); err != nil {
		return nil, fmt.Errorf("sector %d: unsealed data is damaged: %w", w.Sector, err)
	}
	return blocks.NewBlockWithCid(data, c)
}

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

// Has implements types.Blocks.
func (b *Blocks) Has(ctx context.Context, c cid.Cid) (bool, error) {
	if _, ok := identity(c); ok {
		return true, nil
	}
	if b.local != nil {
		if ok, err := b.local.Has(ctx, c); ok || err != nil {
			return ok, err
		}
	}
	if b.index == nil {
		return false, nil
	}
	return b.index.Has(ctx, c.Hash())
}

// GetSize implements blockstore.Blockstore.
func (b *Blocks) GetSize(ctx context.Context, c cid.Cid) (int, error) {
	places, err := b.find(ctx, c)
	if err != nil {
		return -1, err
	}
	if len(places) > 0 {
		return int(places[0].Length), nil
	}
	blk, err := b.Get(ctx, c)
	if err != nil {
		return -1, err
	}
	return len(blk.RawData()), nil
}

// Put implements types.Blocks; it always is ErrReadOnly.
func (b *Blocks) Put(context.Context, blocks.Block) error { return ErrReadOnly }

// PutMany implements types.Blocks; it always is ErrReadOnly.
func (b *Blocks) PutMany(context.Context, []blocks.Block) error { return ErrReadOnly }

// DeleteBlock implements blockstore.Blockstore; it always is ErrReadOnly.
func (b *Blocks) DeleteBlock(context.Context, cid.Cid) error { return ErrReadOnly }

// AllKeysChan implements blockstore.Blockstore. Nothing here is ever listed whole.
func (b *Blocks) AllKeysChan(context.Context) (<-chan cid.Cid, error) {
	return nil, errors.New("the blocks of sealed pieces cannot be listed")
}
