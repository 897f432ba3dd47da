package sdr

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/internal/parallel"
)

const (
	window = 1 << 14 // nodes whose parents are looked up ahead of their labels
	stride = 1 << 10 // of which one worker takes so many at a time
)

// Labels fills labels with those of the first nodes of a layer, as many as it has room for.
// before are the labels of the whole layer before; it is not used for layer 1. done, when
// not nil, is told how many nodes more have their label. The labels are made one after the
// other, since each may need the one before; parents are computed on all cores meanwhile.
func (g *Graph) Labels(ctx context.Context, replicaID fr32.Node, layer int, before, labels []byte, done func(nodes int64)) error {
	nodes := uint64(len(labels) / fr32.NodeBytes)
	if layer < 1 || nodes > g.nodes || (layer > 1 && uint64(len(before)) != g.nodes*fr32.NodeBytes) {
		return fmt.Errorf("layer %d of %d nodes over one of %d bytes, in a graph of %d nodes", layer, nodes, len(before), g.nodes)
	}
	degree, permutation := BaseParents, &g.feistel
	if layer > 1 {
		degree, permutation = Parents, g.feistel.tabulated()
	}
	ahead := make(chan []uint32, 1)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(ahead)
		for from := uint64(0); from < nodes; from += window {
			parents, err := g.table(ctx, permutation, from, min(window, nodes-from), degree)
			if err != nil {
				return err
			}
			select {
			case ahead <- parents:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})

	p := newPreimage(replicaID, layer)
	v := uint64(0)
	for parents := range ahead {
		for row := parents; len(row) > 0; row = row[degree:] {
			label := p.label(v, func(i int) []byte {
				at := uint64(row[i]) * fr32.NodeBytes
				if i < BaseParents {
					return labels[at : at+fr32.NodeBytes]
				}
				return before[at : at+fr32.NodeBytes]
			}, degree)
			copy(labels[v*fr32.NodeBytes:], label[:])
			v++
		}
		if done != nil {
			done(int64(len(parents) / degree))
		}
	}
	return group.Wait()
}

// table has the parents of nodes from a node on, degree of them a node.
func (g *Graph) table(ctx context.Context, f *feistel, from, nodes uint64, degree int) ([]uint32, error) {
	parents := make([]uint32, nodes*uint64(degree))
	strides := int((nodes + stride - 1) / stride)
	err := parallel.Each(ctx, strides, func(i int) error {
		for at := uint64(i) * stride; at < min(nodes, uint64(i+1)*stride); at++ {
			row := parents[at*uint64(degree):][:degree]
			g.base(from+at, row[:BaseParents])
			if degree > BaseParents {
				g.expander(f, from+at, row[BaseParents:])
			}
		}
		return nil
	})
	return parents, err
}
