package state

import (
	"bytes"
	"context"
	"fmt"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	cbg "github.com/whyrusleeping/cbor-gen"

	"github.com/lodenet/lode/chain/types"
)

// flushBatch is how many blocks Flush hands over at a time.
const flushBatch = 512

// Buffer is a block store that keeps writes in memory above another store, until Flush
// copies what a root reaches. It is not safe from more than one goroutine.
type Buffer struct {
	base  types.Blocks
	fresh map[cid.Cid]blocks.Block
}

var _ types.Blocks = (*Buffer)(nil)

// NewBuffer makes an empty buffer above a store.
func NewBuffer(base types.Blocks) *Buffer {
	return &Buffer{base: base, fresh: make(map[cid.Cid]blocks.Block)}
}

// Get implements types.Blocks.
func (b *Buffer) Get(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	if blk, ok := b.fresh[c]; ok {
		return blk, nil
	}
	return b.base.Get(ctx, c)
}

// Has implements types.Blocks.
func (b *Buffer) Has(ctx context.Context, c cid.Cid) (bool, error) {
	if _, ok := b.fresh[c]; ok {
		return true, nil
	}
	return b.base.Has(ctx, c)
}

// Put implements types.Blocks.
func (b *Buffer) Put(_ context.Context, blk blocks.Block) error {
	b.fresh[blk.Cid()] = blk
	return nil
}

// PutMany implements types.Blocks.
func (b *Buffer) PutMany(_ context.Context, blks []blocks.Block) error {
	for _, blk := range blks {
		b.fresh[blk.Cid()] = blk
	}
	return nil
}

// Flush copies the buffered blocks that root reaches to the store below, children before
// their parents, and forgets them here. Blocks that no root reaches stay in memory only. A
// block that is not in the buffer is taken to be below already, with all it reaches.
func (b *Buffer) Flush(ctx context.Context, root cid.Cid) error {
	f := flusher{buf: b, seen: make(map[cid.Cid]struct{})}
	if err := f.visit(ctx, root); err != nil {
		return err
	}
	return f.write(ctx)
}

type flusher struct {
	buf   *Buffer
	seen  map[cid.Cid]struct{}
	batch []blocks.Block
}

func (f *flusher) visit(ctx context.Context, c cid.Cid) error {
	blk, ok := f.buf.fresh[c]
	if !ok {
		return nil
	}
	if _, done := f.seen[c]; done {
		return nil
	}
	f.seen[c] = struct{}{}
	if c.Prefix().Codec == cid.DagCBOR {
		var links []cid.Cid
		if err := cbg.ScanForLinks(bytes.NewReader(blk.RawData()), func(l cid.Cid) { links = append(links, l) }); err != nil {
			return fmt.Errorf("links of state block %s: %w", c, err)
		}
		for _, l := range links {
			if !followed(l) {
				continue
			}
			if err := f.visit(ctx, l); err != nil {
				return err
			}
		}
	}
	f.batch = append(f.batch, blk)
	if len(f.batch) >= flushBatch {
		return f.write(ctx)
	}
	return nil
}

// followed tells whether a link names an object of the chain, rather than data inside the
// CID itself or a commitment to a sector (spec chain.md a.2).
func followed(c cid.Cid) bool {
	p := c.Prefix()
	return p.MhType != multihash.IDENTITY && p.Codec != cid.FilCommitmentSealed && p.Codec != cid.FilCommitmentUnsealed
}

func (f *flusher) write(ctx context.Context) error {
	if len(f.batch) == 0 {
		return nil
	}
	if err := f.buf.base.PutMany(ctx, f.batch); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	for _, blk := range f.batch {
		delete(f.buf.fresh, blk.Cid())
	}
	f.batch = f.batch[:0]
	return nil
}
