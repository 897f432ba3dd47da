package amt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/bits"

	amt2 "github.com/filecoin-project/go-amt-ipld/v2"
	"github.com/ipfs/go-cid"
	cbornode "github.com/ipfs/go-ipld-cbor"
	cbg "github.com/whyrusleeping/cbor-gen"

	"github.com/lodenet/lode/chain/types"
)

// widthBits is the fixed width of a node: eight children.
const widthBits = 3

// ErrMalformed: the block is no array as a miner must build it. Never retry it; the object
// that names it is bad.
var ErrMalformed = errors.New("malformed array")

// ErrTooLong: the array holds more items than the caller takes.
var ErrTooLong = errors.New("array is too long")

// Build stores the items under the indices 0, 1, 2… and returns the root. The root and the
// nodes are in bs when it returns.
func Build[T cbg.CBORMarshaler](ctx context.Context, bs types.Blocks, items []T) (cid.Cid, error) {
	root := amt2.NewAMT(cbornode.NewCborStore(bs))
	for i, v := range items {
		if err := root.Set(ctx, uint64(i), v); err != nil {
			return cid.Undef, fmt.Errorf("array item %d: %w", i, err)
		}
	}
	c, err := root.Flush(ctx)
	if err != nil {
		return cid.Undef, fmt.Errorf("write array: %w", err)
	}
	return c, nil
}

// BuildCids stores a list of CIDs as links, as the message lists of a block are.
func BuildCids(ctx context.Context, bs types.Blocks, cids []cid.Cid) (cid.Cid, error) {
	items := make([]cbg.CborCid, len(cids))
	for i, c := range cids {
		items[i] = cbg.CborCid(c)
	}
	return Build(ctx, bs, items)
}

// BuildReceipts stores the receipts of a tipset's messages (spec chain.md b.5).
func BuildReceipts(ctx context.Context, bs types.Blocks, receipts []types.MessageReceipt) (cid.Cid, error) {
	items := make([]*types.MessageReceipt, len(receipts))
	for i := range receipts {
		items[i] = &receipts[i]
	}
	return Build(ctx, bs, items)
}

// Cids reads a list of at most limit CIDs.
func Cids(ctx context.Context, bs types.Blocks, root cid.Cid, limit uint64) ([]cid.Cid, error) {
	var out []cid.Cid
	err := ForEach(ctx, bs, root, limit, func(i uint64, raw []byte) error {
		var c cbg.CborCid
		if err := c.UnmarshalCBOR(bytes.NewReader(raw)); err != nil {
			return fmt.Errorf("%w: item %d: %w", ErrMalformed, i, err)
		}
		out = append(out, cid.Cid(c))
		return nil
	})
	return out, err
}

// Receipts reads a list of at most limit receipts.
func Receipts(ctx context.Context, bs types.Blocks, root cid.Cid, limit uint64) ([]types.MessageReceipt, error) {
	var out []types.MessageReceipt
	err := ForEach(ctx, bs, root, limit, func(i uint64, raw []byte) error {
		var r types.MessageReceipt
		if err := r.UnmarshalCBOR(bytes.NewReader(raw)); err != nil {
			return fmt.Errorf("%w: item %d: %w", ErrMalformed, i, err)
		}
		out = append(out, r)
		return nil
	})
	return out, err
}

// ForEach calls fn with each index in order and the CBOR of its value, which fn must not
// keep. It refuses arrays of more than limit items (ErrTooLong), arrays with gaps or of
// another shape than Build gives them (ErrMalformed), and stops at fn's first error. The
// work is proportional to the number of items.
func ForEach(ctx context.Context, bs types.Blocks, root cid.Cid, limit uint64, fn func(i uint64, raw []byte) error) error {
	b, err := bs.Get(ctx, root)
	if err != nil {
		return fmt.Errorf("array %s: %w", root, err)
	}
	var r amt2.Root
	if err := r.UnmarshalCBOR(bytes.NewReader(b.RawData())); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrMalformed, root, err)
	}
	if r.Count > limit {
		return fmt.Errorf("%w: %s has %d items, at most %d are taken", ErrTooLong, root, r.Count, limit)
	}
	if r.Height != heightFor(r.Count) {
		return fmt.Errorf("%w: %s has height %d for %d items", ErrMalformed, root, r.Height, r.Count)
	}
	w := walker{bs: bs, fn: fn}
	return w.walk(ctx, root, &r.Node, r.Height, 0, r.Count)
}

// heightFor is the height of a tree that holds n items and no gaps: the digits of its last
// index in base eight, less one.
func heightFor(n uint64) uint64 {
	if n < 2 {
		return 0
	}
	return uint64(bits.Len64(n-1)-1) / widthBits
}

type walker struct {
	bs types.Blocks
	fn func(i uint64, raw []byte) error
}

// walk visits the n items from first on that are below a node. A node whose shape is not
// the one that n items have is refused, so the walk is bounded by the count in the root.
func (w walker) walk(ctx context.Context, root cid.Cid, node *amt2.Node, height, first, n uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	span := uint64(1) << (widthBits * height) // items below one child
	children := (n + span - 1) / span
	if uint64(node.Bmap[0]) != 1<<children-1 {
		return fmt.Errorf("%w: %s: bitmap %08b for %d children at height %d", ErrMalformed, root, node.Bmap[0], children, height)
	}
	if height == 0 {
		if uint64(len(node.Values)) != n || len(node.Links) != 0 {
			return fmt.Errorf("%w: %s: leaf of %d values and %d links, want %d values", ErrMalformed, root, len(node.Values), len(node.Links), n)
		}
		for i, v := range node.Values {
			if err := w.fn(first+uint64(i), v.Raw); err != nil {
				return err
			}
		}
		return nil
	}
	if uint64(len(node.Links)) != children || len(node.Values) != 0 {
		return fmt.Errorf("%w: %s: node of %d links and %d values, want %d links", ErrMalformed, root, len(node.Links), len(node.Values), children)
	}
	for i, c := range node.Links {
		b, err := w.bs.Get(ctx, c)
		if err != nil {
			return fmt.Errorf("array %s: node %s: %w", root, c, err)
		}
		var sub amt2.Node
		if err := sub.UnmarshalCBOR(bytes.NewReader(b.RawData())); err != nil {
			return fmt.Errorf("%w: %s: node %s: %w", ErrMalformed, root, c, err)
		}
		off := uint64(i) * span
		if err := w.walk(ctx, root, &sub, height-1, first+off, min(span, n-off)); err != nil {
			return err
		}
	}
	return nil
}
