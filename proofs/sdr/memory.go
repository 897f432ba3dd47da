package sdr

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/lodenet/lode/proofs/fr32"
)

const (
	parentBytes = Parents * fr32.NodeBytes // of a label's preimage, until they repeat
	thirdTime   = repeats - 2*Parents      // parents that are there three times in it

	// ahead is how many nodes before its turn a node's parents are fetched: as long as memory
	// takes, and not so long that they are gone again.
	ahead = 3
)

// inMemory is Labels for a graph that has a table of parents: both layers are in memory, and
// nothing else is needed to make labels as fast as they can be hashed.
func (g *Graph) inMemory(ctx context.Context, table []uint32, pre *preimage, layer int, nodes uint64, before io.ReaderAt, out File, done func(int64)) (err error) {
	var lower []byte
	if layer > 1 {
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // of this goroutine
		defer fault(&err)
		if lower, err = g.whole(before); err != nil {
			return fmt.Errorf("layer before: %w", err)
		}
	}
	labels := make([]byte, nodes*fr32.NodeBytes)
	for from := uint64(0); from < nodes; from += windowNodes {
		if err := ctx.Err(); err != nil {
			return err
		}
		to := min(nodes, from+windowNodes)
		if layer == 1 {
			pre.firstLayer(table, labels, from, to)
		} else {
			pre.furtherLayer(table, lower, labels, from, to)
		}
		if _, err := out.WriteAt(labels[from*fr32.NodeBytes:to*fr32.NodeBytes], int64(from)*fr32.NodeBytes); err != nil {
			return fmt.Errorf("write the labels of %d nodes from %d: %w", to-from, from, err)
		}
		if done != nil {
			done(int64(to - from))
		}
	}
	return nil
}

// whole is a whole layer: its memory, if it has any, or a copy.
func (g *Graph) whole(layer io.ReaderAt) ([]byte, error) {
	size := g.nodes * fr32.NodeBytes
	if m, ok := layer.(Memory); ok && uint64(len(m.Bytes())) >= size {
		return m.Bytes()[:size], nil
	}
	labels := make([]byte, size)
	if n, err := layer.ReadAt(labels, 0); n < len(labels) {
		return nil, fmt.Errorf("read %d bytes of %d: %w", n, len(labels), err)
	}
	return labels, nil
}

// firstLayer makes labels of layer 1. Each parent is put at once where it is to be in the
// preimage: six or seven times. Parents of later nodes are fetched while this one is hashed.
func (p *preimage) firstLayer(table []uint32, labels []byte, from, to uint64) {
	const stride = BaseParents * fr32.NodeBytes
	for node := from; node < to; node++ {
		row := (*[Parents]uint32)(table[node*Parents:])
		for j := range BaseParents {
			label := *(*fr32.Node)(labels[uint64(row[j])*fr32.NodeBytes:])
			for at := headerBytes + j*fr32.NodeBytes; at < labelBytes; at += stride {
				*(*fr32.Node)(p.bytes[at:]) = label
			}
		}
		if next := node + ahead; next < to {
			prefetch(labels, table[next*Parents:][:BaseParents])
		}
		*(*fr32.Node)(labels[node*fr32.NodeBytes:]) = p.hash(node)
	}
}

// furtherLayer makes labels of a later layer. Parents in the layer before lie anywhere in it.
func (p *preimage) furtherLayer(table []uint32, lower, labels []byte, from, to uint64) {
	var parents [Parents]*fr32.Node
	for node := from; node < to; node++ {
		row := (*[Parents]uint32)(table[node*Parents:])
		for j := range BaseParents {
			parents[j] = (*fr32.Node)(labels[uint64(row[j])*fr32.NodeBytes:])
		}
		for j := BaseParents; j < Parents; j++ {
			parents[j] = (*fr32.Node)(lower[uint64(row[j])*fr32.NodeBytes:])
		}
		at := headerBytes
		for j, parent := range parents {
			label := *parent
			*(*fr32.Node)(p.bytes[at:]) = label
			*(*fr32.Node)(p.bytes[at+parentBytes:]) = label
			if j < thirdTime {
				*(*fr32.Node)(p.bytes[at+2*parentBytes:]) = label
			}
			at += fr32.NodeBytes
		}
		if next := node + ahead; next < to {
			row := table[next*Parents:][:Parents]
			prefetch(labels, row[:BaseParents])
			prefetch(lower, row[BaseParents:])
		}
		*(*fr32.Node)(labels[node*fr32.NodeBytes:]) = p.hash(node)
	}
}
