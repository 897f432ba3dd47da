package dag

import (
	"context"
	"fmt"
	"iter"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/market/car"
)

// recentBlocks is how many blocks a walk remembers so as to write a repeated one only once:
// bounded memory for any file, and enough for the usual runs of equal chunks.
const recentBlocks = 1 << 16

// block is a block of the walk: its CID and length.
type block struct {
	c    cid.Cid
	size uint64
}

// walk yields the blocks under a root in the order in which they fill pieces: interior
// nodes depth first, then leaves depth first. It is the same at every call, which is what
// lets a plan be a range of positions. Only interior nodes are read.
func walk(ctx context.Context, from types.Blocks, root cid.Cid) iter.Seq2[block, error] {
	return func(yield func(block, error) bool) {
		if root.Prefix().Codec == cid.Raw {
			b, err := from.Get(ctx, root)
			if err != nil {
				yield(block{}, err)
				return
			}
			yield(block{root, uint64(len(b.RawData()))}, nil)
			return
		}
		w := walker{ctx: ctx, from: from, yield: yield, seen: newRecent()}
		if w.interior(root) {
			w.inner = newRecent()
			w.leaves(root)
		}
	}
}

type walker struct {
	ctx   context.Context
	from  types.Blocks
	yield func(block, error) bool
	seen  *recent // blocks yielded
	inner *recent // interior nodes whose leaves were yielded
}

// interior yields the interior nodes of a sub-DAG; false means stop.
func (w *walker) interior(c cid.Cid) bool {
	if !w.seen.add(c) {
		return true
	}
	n, err := w.node(c)
	if err != nil {
		return w.fail(err)
	}
	if !w.yield(block{c, uint64(len(n.RawData()))}, nil) {
		return false
	}
	for _, l := range n.Links() {
		if l.Cid.Prefix().Codec != cid.Raw && !w.interior(l.Cid) {
			return false
		}
	}
	return true
}

func (w *walker) leaves(c cid.Cid) bool {
	if !w.inner.add(c) {
		return true
	}
	n, err := w.node(c)
	if err != nil {
		return w.fail(err)
	}
	var sizes []uint64
	if fs, err := unixfs.FSNodeFromBytes(n.Data()); err == nil {
		sizes = fs.BlockSizes()
	}
	for i, l := range n.Links() {
		switch {
		case l.Cid.Prefix().Codec != cid.Raw:
			if !w.leaves(l.Cid) {
				return false
			}
		case !w.seen.add(l.Cid):
		case len(sizes) != len(n.Links()):
			return w.fail(fmt.Errorf("block %s: its UnixFS sizes do not fit its links", c))
		case !w.yield(block{l.Cid, sizes[i]}, nil):
			return false
		}
	}
	return true
}

func (w *walker) fail(err error) bool {
	w.yield(block{}, err)
	return false
}

func (w *walker) node(c cid.Cid) (*merkledag.ProtoNode, error) {
	b, err := w.from.Get(w.ctx, c)
	if err != nil {
		return nil, err
	}
	n, err := merkledag.DecodeProtobuf(b.RawData())
	if err != nil {
		return nil, fmt.Errorf("block %s: %w", c, err)
	}
	return n, nil
}

// recent is a set that forgets its oldest member when full.
type recent struct {
	in   map[cid.Cid]struct{}
	ring []cid.Cid
	next int
}

func newRecent() *recent { return &recent{in: make(map[cid.Cid]struct{})} }

// add tells whether the CID was not in the set.
func (r *recent) add(c cid.Cid) bool {
	if _, ok := r.in[c]; ok {
		return false
	}
	if len(r.ring) < recentBlocks {
		r.ring = append(r.ring, c)
	} else {
		delete(r.in, r.ring[r.next])
		r.ring[r.next] = c
		r.next = (r.next + 1) % recentBlocks
	}
	r.in[c] = struct{}{}
	return true
}

// span is the part of a walk that one piece holds.
type span struct {
	first, count int64  // positions of the walk
	size         uint64 // bytes of the CAR
}

// ErrTooLarge: a block does not fit a piece, so the file cannot be cut for such sectors.
type ErrTooLarge struct {
	Block       cid.Cid
	Size, Limit uint64 // bytes as a CAR, and what a piece may have
}

func (e ErrTooLarge) Error() string {
	return fmt.Sprintf("block %s takes %d bytes in a CAR, a piece of this network holds %d: import the file with smaller chunks", e.Block, e.Size, e.Limit)
}

// plan cuts a walk into CARs of at most limit bytes.
func plan(ctx context.Context, from types.Blocks, root cid.Cid, limit uint64) ([]span, error) {
	head := uint64(len(car.Header(root)))
	cur := span{size: head}
	var spans []span
	for b, err := range walk(ctx, from, root) {
		if err != nil {
			return nil, err
		}
		n := car.SectionSize(b.c, b.size)
		if head+n > limit {
			return nil, ErrTooLarge{b.c, head + n, limit}
		}
		if cur.size+n > limit {
			spans = append(spans, cur)
			cur = span{first: cur.first + cur.count, size: head}
		}
		cur.count++
		cur.size += n
	}
	return append(spans, cur), nil
}
