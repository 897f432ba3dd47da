package circuit

import "github.com/consensys/gnark/frontend"

// pair is the two children on one level of a path in a data tree.
type pair struct{ Left, Right frontend.Variable }

// dataPath climbs the SHA-256 tree over a sector's data (spec: proofs 1.2) and returns the
// leaf. position are the bits of the leaf's index, lowest first; root are the words of CommD.
// levels are the children on the way, from the leaves up.
//
// On every level the child that the position's bit selects is held to be the hash of the
// level below; its sibling may be anything, as in any Merkle path.
func (a *arith) dataPath(levels []pair, position []frontend.Variable, root []*word) frontend.Variable {
	leaf := choose(a.api, []frontend.Variable{levels[0].Left, levels[0].Right}, position[:1])
	var below state
	for i, l := range levels {
		// The leaves are data, of which it is not said here that it is padded.
		bits := a.trimmed
		if i == 0 {
			bits = a.canonical
		}
		left, right := a.words(bits(l.Left)), a.words(bits(l.Right))
		if i > 0 {
			child := make([]frontend.Variable, nodeWords)
			for w := range child {
				child[w] = choose(a.api, []frontend.Variable{left[w].value, right[w].value}, position[i:i+1])
			}
			a.assertTrimsTo(below, child)
		}
		below = a.digest(append(left, right...))
	}
	top := make([]frontend.Variable, nodeWords)
	for w := range top {
		top[w] = root[w].value
	}
	a.assertTrimsTo(below, top)
	return leaf
}
