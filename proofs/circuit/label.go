package circuit

import (
	"github.com/consensys/gnark/frontend"

	"github.com/lodenet/lode/proofs/sdr"
)

// repeats is how many parents go into a label, counted as often as they do.
const repeats = 37

// label makes the label of a node above 0 again (spec: proofs 4.5). parents are the words of
// the labels it is made of: those of the base parents in the same layer, from layer 2 on
// followed by those of the expander parents in the layer before. index are the bits of the
// node's number, lowest first and at most 32.
func (a *arith) label(replicaID []*word, layer int, index []frontend.Variable, parents [][]*word) frontend.Variable {
	node := make([]frontend.Variable, wordBits)
	for i := range node {
		node[i] = 0
		if i < len(index) {
			node[i] = index[i]
		}
	}
	header := append(replicaID[:nodeWords:nodeWords], a.number(uint32(layer)), a.number(0), a.pack(node))
	for len(header) < blockWords {
		header = append(header, a.number(0))
	}
	s := a.compress(a.initial(), a.expand(header))

	// Two parents fill a block. With six or fourteen of them the same blocks come again and
	// again, so their schedules are made once.
	const perBlock = blockWords / nodeWords
	schedules := make(map[int]*schedule)
	j := 0
	for ; j+perBlock <= repeats; j += perBlock {
		first := j % len(parents)
		w := schedules[first]
		if w == nil {
			w = a.expand(append(parents[first][:nodeWords:nodeWords], parents[(j+1)%len(parents)]...))
			schedules[first] = w
		}
		s = a.compress(s, w)
	}
	last := parents[j%len(parents)]
	w := a.expand(append(last[:nodeWords:nodeWords], a.padding(blockWords+repeats*nodeWords)...))
	return a.node(a.compress(s, w))
}

// parentsOf is how many parents' labels a layer's label is made of.
func parentsOf(layer int) int {
	if layer == 1 {
		return sdr.BaseParents
	}
	return sdr.Parents
}
