package merkle

import (
	"fmt"
	"math/bits"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"

	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/poseidon"
)

// Node is a tree's leaf or inner value.
type Node = fr32.Node

// Shape is the make of a Poseidon tree: base trees of arity Base, of which Sub at a time are
// joined under one node, of which Top at a time are joined again. Sub and Top are 0 when
// there is no such floor (spec: 5).
type Shape struct{ Base, Sub, Top int }

// String is the form in which the spec writes a shape.
func (s Shape) String() string { return fmt.Sprintf("%d-%d-%d", s.Base, s.Sub, s.Top) }

// BaseTrees is how many base trees there are.
func (s Shape) BaseTrees() int { return max(s.Sub, 1) * max(s.Top, 1) }

// Arities are those of all floors over so many leaves, from the leaves up. It is an error
// when the leaves do not fill the shape.
func (s Shape) Arities(leaves uint64) ([]int, error) {
	if s.Base != octal || (s.Sub != 0 && s.Sub != 2 && s.Sub != 8) || (s.Top != 0 && s.Top != 2) {
		return nil, fmt.Errorf("tree shape %v is not one of Filecoin's", s)
	}
	base := leaves / uint64(s.BaseTrees())
	height := (bits.Len64(base) - 1) / 3
	if base == 0 || base != 1<<(3*height) || base*uint64(s.BaseTrees()) != leaves {
		return nil, fmt.Errorf("%d leaves do not fill a tree of shape %v", leaves, s)
	}
	var arities []int
	for range height {
		arities = append(arities, octal)
	}
	if s.Sub != 0 {
		arities = append(arities, s.Sub)
	}
	if s.Top != 0 {
		arities = append(arities, s.Top)
	}
	return arities, nil
}

// Join hashes the roots of all base trees, in order, up to the root.
func (s Shape) Join(roots []Node) (Node, error) {
	rows, err := s.rows(roots)
	if err != nil {
		return Node{}, err
	}
	return rows[len(rows)-1][0], nil
}

// rows are the roots of the base trees, and every row above them up to the root.
func (s Shape) rows(roots []Node) ([][]Node, error) {
	if len(roots) != s.BaseTrees() {
		return nil, fmt.Errorf("%d base trees for shape %v, which has %d", len(roots), s, s.BaseTrees())
	}
	rows := [][]Node{roots}
	for _, arity := range []int{s.Sub, s.Top} {
		if arity == 0 {
			continue
		}
		row := rows[len(rows)-1]
		up := make([]Node, 0, len(row)/arity)
		for i := 0; i < len(row); i += arity {
			n, err := HashNodes(row[i : i+arity])
			if err != nil {
				return nil, err
			}
			up = append(up, n)
		}
		rows = append(rows, up)
	}
	return rows, nil
}

// HashNodes is the Poseidon hash of 2, 4, 8 or 11 nodes. Nodes that are no field elements
// are an error (fr32.ErrNotCanonical).
func HashNodes(nodes []Node) (Node, error) {
	var in [11]fr.Element
	for i := range nodes {
		e, err := fr32.Element(&nodes[i])
		if err != nil {
			return Node{}, err
		}
		in[i] = e
	}
	out := poseidon.Arity(len(nodes)).Hash(in[:len(nodes)])
	return fr32.Bytes(&out), nil
}

// HashGroups sets dst[i] to the hash of the i-th arity nodes of src, which is HashNodes, with
// many hashes at a time. dst may be the front of src.
func HashGroups(dst, src []Node, arity int) error {
	in := make([]fr.Element, len(src)/arity*arity)
	for i := range in {
		e, err := fr32.Element(&src[i])
		if err != nil {
			return err
		}
		in[i] = e
	}
	out := make([]fr.Element, len(in)/arity)
	poseidon.Arity(arity).HashMany(out, in)
	for i := range out {
		dst[i] = fr32.Bytes(&out[i])
	}
	return nil
}
