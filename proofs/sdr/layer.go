package sdr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"golang.org/x/sync/errgroup"

	"github.com/lodenet/lode/proofs/fr32"
)

// File is where the labels of a layer are written. What was written is read again, in
// places, from several goroutines.
type File interface {
	io.ReaderAt
	io.WriterAt
}

// Memory is what a file given to Labels may implement besides: its bytes from the start on,
// which show what has been written. Reading a label then costs no call. The bytes are never
// written to. They must not go away before Labels returns; where they are a mapped file
// that the system fails to read, Labels returns the error.
type Memory interface{ Bytes() []byte }

// Labels writes to out the labels of the first nodes of a layer. before has those of the
// whole layer before; it is not used for layer 1. done, when not nil, is told how many nodes
// more have their label.
//
// The labels are made one after the other by the calling goroutine, since each may need the
// one before, and written in order of place, a window at a time. In a large graph the other
// cores compute parents and fetch their labels ahead, and memory is bounded by the cores; a
// small one has a table of parents, and is done in memory, 64 bytes a node.
func (g *Graph) Labels(ctx context.Context, replicaID fr32.Node, layer int, nodes uint64, before io.ReaderAt, out File, done func(nodes int64)) error {
	if layer < 1 || nodes > g.nodes || (layer > 1 && before == nil) {
		return fmt.Errorf("%d nodes of layer %d, over a layer before: %v, in a graph of %d nodes", nodes, layer, before != nil, g.nodes)
	}
	table, err := g.table(ctx)
	if err != nil {
		return err
	}
	pre := newPreimage(replicaID, layer)
	if table != nil {
		return g.inMemory(ctx, table, pre, layer, nodes, before, out, done)
	}

	p := newPipeline(g, layer, nodes, before, out)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	p.start(ctx, group)
	if err = p.labels(ctx, pre, out, done); err != nil {
		cancel()
	}
	// A worker that failed has ended the context and the windows; why is its to say.
	if ended := group.Wait(); ended != nil && (err == nil || errors.Is(err, context.Canceled)) {
		return ended
	}
	return err
}

// labels takes the windows in order.
func (p *pipeline) labels(ctx context.Context, pre *preimage, out File, done func(int64)) error {
	for {
		w, err := p.next(ctx)
		if w == nil || err != nil {
			return err
		}
		p.labelWindow(pre, w)
		if _, err := out.WriteAt(p.recent(w.from, w.nodes), int64(w.from)*fr32.NodeBytes); err != nil {
			return fmt.Errorf("write the labels of %d nodes from %d: %w", w.nodes, w.from, err)
		}
		p.written.Store(w.from + uint64(w.nodes))
		if done != nil {
			done(int64(w.nodes))
		}
		p.free <- w // has room for all windows, and takes this one away
	}
}

// labelWindow makes the labels of a window. Those parents that had no label yet when the
// window was filled are among the latest.
func (p *pipeline) labelWindow(pre *preimage, w *window) {
	row := p.degree * fr32.NodeBytes
	for i := range w.nodes {
		parents := w.labels[i*row:][:row]
		for late := w.late[i]; late != 0; late &= late - 1 {
			j := bits.TrailingZeros8(late)
			*(*fr32.Node)(parents[j*fr32.NodeBytes:]) = *(*fr32.Node)(p.recent(uint64(w.base[i*BaseParents+j]), 1))
		}
		node := w.from + uint64(i)
		*(*fr32.Node)(p.recent(node, 1)) = pre.label(node, parents)
	}
}
