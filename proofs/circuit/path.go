package circuit

import (
	"math/bits"

	"github.com/consensys/gnark/frontend"
)

// climb takes a leaf up a Poseidon tree (spec: proofs 5) and returns the root. position are
// the bits of the leaf's index, lowest first. levels are all children on the way, from the
// leaves up, as many on each level as the tree's arity there.
//
// On every level the child that the position selects is held to be what is below; the others
// may be anything, as in any Merkle path.
func climb(api frontend.API, leaf frontend.Variable, levels [][]frontend.Variable, position []frontend.Variable) frontend.Variable {
	at := leaf
	for _, children := range levels {
		n := arityBits(len(children))
		api.AssertIsEqual(choose(api, children, position[:n]), at)
		position = position[n:]
		at = hash(api, children)
	}
	return at
}

// choose is the one of 2^n values whose number the n bits are.
func choose(api frontend.API, values []frontend.Variable, position []frontend.Variable) frontend.Variable {
	for _, bit := range position {
		half := make([]frontend.Variable, len(values)/2)
		for i := range half {
			half[i] = api.Add(values[2*i], api.Mul(bit, api.Sub(values[2*i+1], values[2*i])))
		}
		values = half
	}
	return values[0]
}

// arityBits is how many bits of a position a level of a tree takes.
func arityBits(arity int) int { return bits.Len(uint(arity)) - 1 }

// newLevels has room for the children of all levels.
func newLevels(arities []int) [][]frontend.Variable {
	levels := make([][]frontend.Variable, len(arities))
	for i, arity := range arities {
		levels[i] = make([]frontend.Variable, arity)
	}
	return levels
}
