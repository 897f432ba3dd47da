package circuit

import (
	"math/bits"

	"github.com/consensys/gnark/frontend"

	"github.com/lodenet/lode/proofs/registry"
	"github.com/lodenet/lode/proofs/sdr"
)

// porepCircuit is one partition of a proof of replication (spec: proofs 8.1).
type porepCircuit struct {
	// Inputs are replica ID, CommD, CommR, and then for each challenge its node, its parents,
	// and its node three times again.
	Inputs []frontend.Variable `gnark:",public"`

	CommC, CommRLast frontend.Variable
	Challenges       []porepChallenge

	layers int
}

// porepChallenge is the part of the witness that belongs to one challenge.
type porepChallenge struct {
	Data    []pair                // the path in tree D, whose leaf it has in it
	Replica [][]frontend.Variable // the path in tree R
	Column  [][]frontend.Variable // the path of the node's column in tree C
	Parents []parentColumn
}

type parentColumn struct {
	Labels []frontend.Variable
	Path   [][]frontend.Variable // in tree C
}

// The places of public inputs.
const (
	porepReplicaID = iota
	porepCommD
	porepCommR
	porepHeader // how many come before the challenges'
)

// porepEach is how many public inputs a challenge has: its node before its parents' and in
// three places behind.
const porepEach = 1 + sdr.Parents + 3

func newPoRepCircuit(s registry.Seal) (*porepCircuit, error) {
	arities, err := s.Shape.Arities(s.Nodes())
	if err != nil {
		return nil, err
	}
	c := &porepCircuit{
		Inputs:     make([]frontend.Variable, porepHeader+porepEach*s.Challenges),
		Challenges: make([]porepChallenge, s.Challenges),
		layers:     s.Layers,
	}
	for i := range c.Challenges {
		h := &c.Challenges[i]
		h.Data = make([]pair, indexBits(s.Nodes()))
		h.Replica, h.Column = newLevels(arities), newLevels(arities)
		h.Parents = make([]parentColumn, sdr.Parents)
		for j := range h.Parents {
			h.Parents[j] = parentColumn{Labels: make([]frontend.Variable, s.Layers), Path: newLevels(arities)}
		}
	}
	return c, nil
}

// indexBits is how many bits the number of one of so many nodes has, which fill a tree.
func indexBits(nodes uint64) int { return bits.Len64(nodes) - 1 }

// Define implements frontend.Circuit.
func (c *porepCircuit) Define(api frontend.API) error {
	a := newArith(api)
	api.AssertIsEqual(hash(api, []frontend.Variable{c.CommC, c.CommRLast}), c.Inputs[porepCommR])
	replicaID := a.words(a.trimmed(c.Inputs[porepReplicaID]))
	commD := a.words(a.trimmed(c.Inputs[porepCommD]))
	for i := range c.Challenges {
		inputs := c.Inputs[porepHeader+porepEach*i:][:porepEach]
		c.challenge(a, &c.Challenges[i], inputs, replicaID, commD)
	}
	return nil
}

func (c *porepCircuit) challenge(a *arith, h *porepChallenge, inputs []frontend.Variable, replicaID, commD []*word) {
	node, parents, again := inputs[0], inputs[1:1+sdr.Parents], inputs[1+sdr.Parents:]
	index := a.position(node, len(h.Data))
	for _, n := range again { // of the label, of tree R and of tree C
		a.api.AssertIsEqual(n, node)
	}
	data := a.dataPath(h.Data, index, commD)
	for i := range h.Parents {
		p := &h.Parents[i]
		root := climb(a.api, hash(a.api, p.Labels), p.Path, a.position(parents[i], len(index)))
		a.api.AssertIsEqual(root, c.CommC)
	}

	labels := c.labels(a, h, index, replicaID)
	replica := a.api.Add(data, labels[c.layers-1])
	a.api.AssertIsEqual(climb(a.api, replica, h.Replica, index), c.CommRLast)
	a.api.AssertIsEqual(climb(a.api, hash(a.api, labels), h.Column, index), c.CommC)
}

// labels makes the labels of the challenged node in all layers again.
func (c *porepCircuit) labels(a *arith, h *porepChallenge, index []frontend.Variable, replicaID []*word) []frontend.Variable {
	type column []([]*word)
	columns := make([]column, len(h.Parents))
	for i, p := range h.Parents {
		columns[i] = make(column, c.layers)
		for l := range p.Labels {
			// The expander parents' labels in the last layer are no parents of anything.
			if i < sdr.BaseParents || l < c.layers-1 {
				columns[i][l] = a.words(a.trimmed(p.Labels[l]))
			}
		}
	}
	labels := make([]frontend.Variable, c.layers)
	for l := range labels {
		parents := make([][]*word, parentsOf(l+1))
		for i := range parents {
			from := l
			if i >= sdr.BaseParents {
				from = l - 1
			}
			parents[i] = columns[i][from]
		}
		labels[l] = a.label(replicaID, l+1, index, parents)
	}
	return labels
}
