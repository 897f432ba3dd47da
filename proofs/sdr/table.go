package sdr

import (
	"context"

	"github.com/lodenet/lode/proofs/internal/parallel"
)

const (
	tableNodes = 1 << 18 // the largest graph whose parents are kept: 14 MiB of them
	tablePart  = 1 << 12 // nodes that one worker takes at a time
)

// table is the parents of all nodes, a row a node. It is made on first use, on all cores, and
// kept as long as the graph. Graphs of more than tableNodes have none.
func (g *Graph) table(ctx context.Context) ([]uint32, error) {
	if g.nodes > tableNodes {
		return nil, ctx.Err()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.parents != nil {
		return g.parents, ctx.Err()
	}
	f, table := g.feistel.tabulated(), make([]uint32, g.nodes*Parents)
	err := parallel.Each(ctx, int((g.nodes+tablePart-1)/tablePart), func(i int) error {
		for v := uint64(i) * tablePart; v < min(g.nodes, uint64(i+1)*tablePart); v++ {
			g.row(f, v, Parents, table[v*Parents:])
		}
		return nil
	})
	if err == nil {
		g.parents = table
	}
	return table, err
}

// row computes the first parents of a node, 6 or all 14.
func (g *Graph) row(f *feistel, v uint64, degree int, to []uint32) {
	g.base(v, to[:BaseParents])
	if degree > BaseParents {
		g.expander(f, v, to[BaseParents:Parents])
	}
}
