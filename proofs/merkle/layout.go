package merkle

import (
	"fmt"
	"io"
	"math/bits"

	"github.com/lodenet/lode/proofs/fr32"
)

const (
	binary = 2
	octal  = 8
)

// File is where a tree is written; what was written is read again to go on upwards.
type File interface {
	io.ReaderAt
	io.WriterAt
}

// Layout is one full tree and which of its rows its file has, one behind the other from
// the lowest kept up to the root.
type Layout struct {
	arity  int
	leaves uint64
	height int // rows above the leaves
	first  int // the lowest row in the file; 0 are the leaves
}

// DataTree is the SHA-256 tree of a sector's data: all rows.
func DataTree(leaves uint64) (Layout, error) { return newLayout(binary, leaves) }

// ColumnTree is a base tree over column hashes: all rows.
func ColumnTree(leaves uint64) (Layout, error) { return newLayout(octal, leaves) }

// ReplicaTree is a base tree over the replica. Its file has neither the leaves, which are
// the replica's, nor up to two rows above them, which are quickly made again.
func ReplicaTree(leaves uint64) (Layout, error) {
	l, err := newLayout(octal, leaves)
	l.first = 1 + min(2, max(0, l.height-1))
	if l.height == 0 {
		l.first = 0
	}
	return l, err
}

func newLayout(arity int, leaves uint64) (Layout, error) {
	log := bits.Len(uint(arity)) - 1
	height := (bits.Len64(leaves) - 1) / log
	if leaves == 0 || leaves != 1<<(log*height) {
		return Layout{}, fmt.Errorf("%d leaves do not fill a tree of arity %d", leaves, arity)
	}
	return Layout{arity: arity, leaves: leaves, height: height}, nil
}

// Size is the length of the tree's file in bytes.
func (l Layout) Size() int64 { return l.offset(l.height + 1) }

// row is how many nodes a row has.
func (l Layout) row(i int) uint64 {
	return l.leaves >> (i * (bits.Len(uint(l.arity)) - 1))
}

// offset is where a row starts in the file.
func (l Layout) offset(row int) int64 {
	var nodes uint64
	for i := l.first; i < row; i++ {
		nodes += l.row(i)
	}
	return int64(nodes) * fr32.NodeBytes
}

// reduce sets dst to the parents of src. dst may be the front of src.
func (l Layout) reduce(dst, src []Node) error {
	if l.arity == binary {
		return HashPairs(dst, src)
	}
	return HashGroups(dst, src, octal)
}

// Root reads the root from the tree's file.
func (l Layout) Root(file io.ReaderAt) (Node, error) {
	var root [1]Node
	if err := readNodes(file, l.offset(l.height), root[:]); err != nil {
		return Node{}, fmt.Errorf("root: %w", err)
	}
	return root[0], nil
}

// Path finds the path of a leaf. leaves has the leaves from offset 0; it is not read when
// the file has them.
func (l Layout) Path(leaves, file io.ReaderAt, index uint64) (Path, error) {
	if index >= l.leaves {
		return Path{}, fmt.Errorf("leaf %d of a tree of %d", index, l.leaves)
	}
	var under [][]Node
	if l.first > 0 {
		var err error
		if under, err = l.remake(leaves, index/l.span()); err != nil {
			return Path{}, fmt.Errorf("leaves of leaf %d: %w", index, err)
		}
	}
	return l.path(under, file, index)
}

// span is how many leaves are under one node of the lowest row that the file has.
func (l Layout) span() uint64 { return l.leaves / l.row(l.first) }

// remake makes the rows that the file has not, under node n of the lowest that it has: from
// the leaves up.
func (l Layout) remake(leaves io.ReaderAt, n uint64) ([][]Node, error) {
	rows := make([][]Node, l.first)
	rows[0] = make([]Node, l.span())
	if err := readNodes(leaves, int64(n*l.span())*fr32.NodeBytes, rows[0]); err != nil {
		return nil, err
	}
	for i := 1; i < l.first; i++ {
		rows[i] = make([]Node, len(rows[i-1])/l.arity)
		if err := l.reduce(rows[i], rows[i-1]); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// path finds the path of a leaf: through the remade rows that it is under, then the file's.
func (l Layout) path(under [][]Node, file io.ReaderAt, index uint64) (Path, error) {
	p := Path{Elements: make([]Element, 0, l.height)}
	add := func(row int, group []Node, position uint64) {
		if row == 0 {
			p.Leaf = group[position]
		}
		siblings := make([]Node, 0, l.arity-1)
		siblings = append(append(siblings, group[:position]...), group[position+1:]...)
		p.Elements = append(p.Elements, Element{Siblings: siblings, Position: uint8(position)})
	}
	arity := uint64(l.arity)

	at := index % l.span()
	for row, nodes := range under {
		start := at / arity * arity
		add(row, nodes[start:start+arity], at%arity)
		at /= arity
	}
	group := make([]Node, l.arity)
	for row := l.first; row < l.height; row++ {
		at := index >> (row * (bits.Len(uint(l.arity)) - 1))
		if err := readNodes(file, l.offset(row)+int64(at/arity*arity)*fr32.NodeBytes, group); err != nil {
			return Path{}, fmt.Errorf("row %d over leaf %d: %w", row, index, err)
		}
		add(row, group, at%arity)
	}
	if l.height == 0 {
		root, err := l.Root(file)
		if err != nil {
			return Path{}, err
		}
		p.Leaf = root
	}
	return p, nil
}

// readNodes fills nodes from a place in a file.
func readNodes(r io.ReaderAt, off int64, nodes []Node) error {
	b := make([]byte, len(nodes)*fr32.NodeBytes)
	if n, err := r.ReadAt(b, off); n < len(b) {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("read %d bytes at %d: %w", len(b), off, err)
	}
	for i := range nodes {
		copy(nodes[i][:], b[i*fr32.NodeBytes:])
	}
	return nil
}

func writeNodes(w io.WriterAt, off int64, nodes []Node) error {
	b := make([]byte, 0, len(nodes)*fr32.NodeBytes)
	for i := range nodes {
		b = append(b, nodes[i][:]...)
	}
	if _, err := w.WriteAt(b, off); err != nil {
		return fmt.Errorf("write %d bytes at %d: %w", len(b), off, err)
	}
	return nil
}
