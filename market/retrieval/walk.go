package retrieval

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/boxo/ipld/unixfs/hamt"
	"github.com/ipfs/boxo/ipld/unixfs/pb"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	cbornode "github.com/ipfs/go-ipld-cbor"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/multiformats/go-multihash"
	cbg "github.com/whyrusleeping/cbor-gen"
)

// maxDepth bounds a walk: no file or folder is so deep, a hostile DAG could be.
const maxDepth = 2048

// errNoPath: the path names nothing.
var errNoPath = errors.New("no such path")

// getter reads a block.
type getter func(ctx context.Context, c cid.Cid) (blocks.Block, error)

// walk visits the blocks that a request selects, depth first (spec markets.md B.3).
type walk struct {
	ctx  context.Context // of the one request
	get  getter
	emit func(blocks.Block) error
}

// resolve follows a path and returns the blocks on the way, and the last CID with its
// block. Few blocks, so an answer's status is known before its first byte.
func (w *walk) resolve(root cid.Cid, path []string) (way []blocks.Block, last blocks.Block, err error) {
	last, err = w.get(w.ctx, root)
	for err == nil && len(path) > 0 {
		way = append(way, last)
		var next cid.Cid
		var n int
		next, n, err = w.link(last, path, &way)
		if err == nil {
			path = path[n:]
			last, err = w.get(w.ctx, next)
		}
	}
	return way, last, err
}

// link finds what the path's first segments name in a block, and how many it took. Shards
// of a large folder that it reads are added to the way.
func (w *walk) link(b blocks.Block, path []string, way *[]blocks.Block) (cid.Cid, int, error) {
	switch b.Cid().Prefix().Codec {
	case cid.DagProtobuf:
		n, err := merkledag.DecodeProtobufBlock(b)
		if err != nil {
			return cid.Undef, 0, err
		}
		pn, ok := n.(*merkledag.ProtoNode)
		if !ok {
			return cid.Undef, 0, fmt.Errorf("block %s is not a node", b.Cid())
		}
		if fs, err := unixfs.FSNodeFromBytes(pn.Data()); err == nil && fs.Type() == pb.Data_HAMTShard {
			c, err := w.inShards(pn, path[0], way)
			return c, 1, err
		}
		for _, l := range pn.Links() {
			if l.Name == path[0] {
				return l.Cid, 1, nil
			}
		}
	case cid.DagCBOR:
		n, err := cbornode.DecodeBlock(b)
		if err != nil {
			return cid.Undef, 0, err
		}
		l, rest, err := n.ResolveLink(path)
		if err == nil {
			return l.Cid, len(path) - len(rest), nil
		}
	}
	return cid.Undef, 0, fmt.Errorf("%w: %q in %s", errNoPath, path[0], b.Cid())
}

func (w *walk) inShards(n *merkledag.ProtoNode, name string, way *[]blocks.Block) (cid.Cid, error) {
	shard, err := hamt.NewHamtFromDag(&recorder{w: w, way: way}, n)
	if err != nil {
		return cid.Undef, err
	}
	l, err := shard.Find(w.ctx, name)
	if err != nil {
		if ipld.IsNotFound(err) {
			return cid.Undef, err
		}
		return cid.Undef, fmt.Errorf("%w: %q in %s", errNoPath, name, n.Cid())
	}
	return l.Cid, nil
}

// recorder is the DAG service that a look-up in shards reads through.
type recorder struct {
	ipld.DAGService // nil: a look-up only gets
	w               *walk
	way             *[]blocks.Block
}

func (r *recorder) Get(ctx context.Context, c cid.Cid) (ipld.Node, error) {
	b, err := r.w.get(ctx, c)
	if err != nil {
		return nil, err
	}
	*r.way = append(*r.way, b)
	return merkledag.DecodeProtobufBlock(b)
}

// deliver emits what a scope selects from a block on.
func (w *walk) deliver(b blocks.Block, scope string, sp *span) error {
	if scope == scopeAll {
		return w.all(b, 0)
	}
	if err := w.emit(b); err != nil || scope == scopeBlock || b.Cid().Prefix().Codec != cid.DagProtobuf {
		return err
	}
	n, fs := unixNode(b)
	if n == nil {
		return nil
	}
	switch fs.Type() {
	case pb.Data_File, pb.Data_Raw:
		from, to, ok := sp.within(fs.FileSize())
		if !ok {
			return nil
		}
		return w.file(n, fs, from, to, 0)
	case pb.Data_HAMTShard:
		return w.shards(n, fs, 0)
	}
	return nil
}

// unixNode reads a block as UnixFS; nil when it is none.
func unixNode(b blocks.Block) (*merkledag.ProtoNode, *unixfs.FSNode) {
	n, err := merkledag.DecodeProtobuf(b.RawData())
	if err != nil {
		return nil, nil
	}
	fs, err := unixfs.FSNodeFromBytes(n.Data())
	if err != nil {
		return nil, nil
	}
	return n, fs
}

func (w *walk) child(c cid.Cid, depth int) (blocks.Block, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("block %s lies deeper than %d", c, maxDepth)
	}
	return w.get(w.ctx, c)
}

// all emits a block and everything below.
func (w *walk) all(b blocks.Block, depth int) error {
	if err := w.emit(b); err != nil {
		return err
	}
	links, err := linksOf(b)
	if err != nil {
		return err
	}
	for _, c := range links {
		next, err := w.child(c, depth+1)
		if err != nil {
			return err
		}
		if err := w.all(next, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// linksOf lists a block's links in order; codecs that are not known have none.
func linksOf(b blocks.Block) ([]cid.Cid, error) {
	var out []cid.Cid
	switch b.Cid().Prefix().Codec {
	case cid.DagProtobuf:
		n, err := merkledag.DecodeProtobuf(b.RawData())
		if err != nil {
			return nil, fmt.Errorf("block %s: %w", b.Cid(), err)
		}
		for _, l := range n.Links() {
			out = append(out, l.Cid)
		}
	case cid.DagCBOR:
		if err := cbg.ScanForLinks(bytes.NewReader(b.RawData()), func(c cid.Cid) { out = append(out, c) }); err != nil {
			return nil, fmt.Errorf("block %s: %w", b.Cid(), err)
		}
	}
	return out, nil
}

// file emits the blocks of a file below a node that hold bytes [from, to) of it.
func (w *walk) file(n *merkledag.ProtoNode, fs *unixfs.FSNode, from, to uint64, depth int) error {
	sizes := fs.BlockSizes()
	if len(sizes) != len(n.Links()) {
		return fmt.Errorf("block %s: its UnixFS sizes do not fit its links", n.Cid())
	}
	at := uint64(len(fs.Data()))
	for i, l := range n.Links() {
		start := at
		at += sizes[i]
		if at <= from || start >= to {
			continue
		}
		b, err := w.child(l.Cid, depth+1)
		if err != nil {
			return err
		}
		if err := w.emit(b); err != nil {
			return err
		}
		if l.Cid.Prefix().Codec != cid.DagProtobuf {
			continue
		}
		cn, cfs := unixNode(b)
		if cn == nil {
			return fmt.Errorf("block %s is not part of a file", l.Cid)
		}
		if err := w.file(cn, cfs, from-min(from, start), min(to-start, sizes[i]), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// shards emits the shards of a large folder below its root, not the entries.
func (w *walk) shards(n *merkledag.ProtoNode, fs *unixfs.FSNode, depth int) error {
	// A link to a shard has only the slot's number as its name, as wide as the largest.
	width := len(fmt.Sprintf("%X", fs.Fanout()-1))
	for _, l := range n.Links() {
		if len(l.Name) != width {
			continue
		}
		b, err := w.child(l.Cid, depth+1)
		if err != nil {
			return err
		}
		if err := w.emit(b); err != nil {
			return err
		}
		if cn, cfs := unixNode(b); cn != nil && cfs.Type() == pb.Data_HAMTShard {
			if err := w.shards(cn, cfs, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// isIdentity tells whether a CID holds its data itself: such blocks are never sent.
func isIdentity(c cid.Cid) bool { return c.Prefix().MhType == multihash.IDENTITY }
