package merkle

import (
	"fmt"
	"math/bits"
)

// Path leads from a leaf to its root.
type Path struct {
	Leaf     Node
	Elements []Element // from the leaf up
}

// Element is one step of a path: the other children of the same parent, in order, and the
// place among them of the child the path comes from.
type Element struct {
	Siblings []Node
	Position uint8
}

// Index is the leaf's number: the positions put together, lowest first.
func (p *Path) Index() uint64 {
	var index uint64
	shift := 0
	for _, e := range p.Elements {
		index |= uint64(e.Position) << shift
		shift += bits.Len(uint(len(e.Siblings)))
	}
	return index
}

// Root climbs the path in a Poseidon tree of so many leaves. A path that does not have the
// tree's make is an error.
func (p *Path) Root(s Shape, leaves uint64) (Node, error) {
	arities, err := s.Arities(leaves)
	if err != nil {
		return Node{}, err
	}
	return p.climb(arities, HashNodes)
}

// DataRoot climbs the path in a SHA-256 tree of so many leaves. A path that does not have
// the tree's make is an error.
func (p *Path) DataRoot(leaves uint64) (Node, error) {
	l, err := DataTree(leaves)
	if err != nil {
		return Node{}, err
	}
	arities := make([]int, l.height)
	for i := range arities {
		arities[i] = binary
	}
	return p.climb(arities, func(pair []Node) (Node, error) { return Pair(&pair[0], &pair[1]), nil })
}

func (p *Path) climb(arities []int, hash func([]Node) (Node, error)) (Node, error) {
	if len(p.Elements) != len(arities) {
		return Node{}, fmt.Errorf("a path of %d steps where the tree has %d", len(p.Elements), len(arities))
	}
	at := p.Leaf
	var buf [octal]Node
	for i, e := range p.Elements {
		if len(e.Siblings) != arities[i]-1 || int(e.Position) >= arities[i] {
			return Node{}, fmt.Errorf("step %d of a path has %d siblings and position %d where the tree has arity %d", i, len(e.Siblings), e.Position, arities[i])
		}
		children := append(buf[:0], e.Siblings[:e.Position]...)
		children = append(append(children, at), e.Siblings[e.Position:]...)
		up, err := hash(children)
		if err != nil {
			return Node{}, fmt.Errorf("step %d of a path: %w", i, err)
		}
		at = up
	}
	return at, nil
}
