package merkle

import (
	"fmt"
	"io"
	"sync"
)

// Base is a base tree: its layout, its file, and its leaves from offset 0 on, which may be
// nil when the file has them.
type Base struct {
	Layout Layout
	File   io.ReaderAt
	Leaves io.ReaderAt
}

// Tree is a Poseidon tree of any shape, to be read. Many goroutines may use it when they may
// use its files, which must not change.
type Tree struct {
	shape  Shape
	leaves uint64
	bases  []Base
	rows   [][]Node // the base trees' roots and what is above them

	// Rows that a base tree's file has not and that were made again. Paths in a small sector
	// share them all, those in a large one hardly any.
	mu     sync.Mutex
	remade map[remadeKey]func() ([][]Node, error) // at most maxRemade; guarded by mu
}

// remadeKey is a base tree, and a node of the lowest row of its file.
type remadeKey struct {
	base int
	node uint64
}

// maxRemade bounds what a tree keeps: some 70 nodes each.
const maxRemade = 256

// OpenTree reads the roots of the base trees and joins them.
func OpenTree(s Shape, leaves uint64, bases []Base) (*Tree, error) {
	if _, err := s.Arities(leaves); err != nil {
		return nil, err
	}
	t := &Tree{shape: s, leaves: leaves, bases: bases, remade: make(map[remadeKey]func() ([][]Node, error))}
	roots := make([]Node, len(bases))
	for i, b := range bases {
		if b.Layout.leaves*uint64(len(bases)) != leaves {
			return nil, fmt.Errorf("base tree %d has %d leaves of %d", i, b.Layout.leaves, leaves)
		}
		root, err := b.Layout.Root(b.File)
		if err != nil {
			return nil, fmt.Errorf("base tree %d: %w", i, err)
		}
		roots[i] = root
	}
	rows, err := s.rows(roots)
	if err != nil {
		return nil, err
	}
	t.rows = rows
	return t, nil
}

// Root is the tree's root, as its files have it.
func (t *Tree) Root() Node { return t.rows[len(t.rows)-1][0] }

// Path finds the path of a leaf. It is not checked against the root.
func (t *Tree) Path(index uint64) (Path, error) {
	if index >= t.leaves {
		return Path{}, fmt.Errorf("leaf %d of a tree of %d", index, t.leaves)
	}
	each := t.leaves / uint64(len(t.bases))
	at := int(index / each)
	b := t.bases[at]
	under, err := t.under(at, index%each)
	if err != nil {
		return Path{}, fmt.Errorf("base tree %d: leaves of leaf %d: %w", at, index%each, err)
	}
	p, err := b.Layout.path(under, b.File, index%each)
	if err != nil {
		return Path{}, fmt.Errorf("base tree %d: %w", at, err)
	}
	for i, row := range t.rows[:len(t.rows)-1] {
		arity := len(row) / len(t.rows[i+1])
		position := at % arity
		group := row[at-position:][:arity]
		siblings := append([]Node(nil), group[:position]...)
		siblings = append(siblings, group[position+1:]...)
		p.Elements = append(p.Elements, Element{Siblings: siblings, Position: uint8(position)})
		at /= arity
	}
	return p, nil
}

// under are the rows that the file of a base tree has not, under which a leaf of it is.
func (t *Tree) under(base int, leaf uint64) ([][]Node, error) {
	b := t.bases[base]
	if b.Layout.first == 0 {
		return nil, nil
	}
	key := remadeKey{base, leaf / b.Layout.span()}
	t.mu.Lock()
	rows := t.remade[key]
	if rows == nil {
		rows = sync.OnceValues(func() ([][]Node, error) { return b.Layout.remake(b.Leaves, key.node) })
		if len(t.remade) < maxRemade {
			t.remade[key] = rows
		}
	}
	t.mu.Unlock()
	return rows()
}
