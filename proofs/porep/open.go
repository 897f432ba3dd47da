package porep

import (
	"errors"
	"fmt"
	"io"

	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/merkle"
)

// ErrSize: a file of a sector has not the size it must have.
var ErrSize = errors.New("wrong size")

// create writes one file; it is closed whatever happens.
func create(f Files, name string, write func(File) error) error {
	file, err := f.Create(name)
	if err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	if err := write(file); err != nil {
		return fmt.Errorf("%s: %w", name, errors.Join(err, file.Close()))
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("close %s: %w", name, err)
	}
	return nil
}

// open reads one file, which must have the given size; it is closed whatever happens.
func open(f Files, name string, size int64, read func(File) error) error {
	file, err := openSized(f, name, size)
	if err != nil {
		return err
	}
	if err := read(file); err != nil {
		return fmt.Errorf("%s: %w", name, errors.Join(err, file.Close()))
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("close %s: %w", name, err)
	}
	return nil
}

func openSized(f Files, name string, size int64) (File, error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	got, err := file.Size()
	if err == nil && got != size {
		err = fmt.Errorf("%d bytes where there must be %d: %w", got, size, ErrSize)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, errors.Join(err, file.Close()))
	}
	return file, nil
}

func readFull(r io.ReaderAt, p []byte, off int64) error {
	if n, err := r.ReadAt(p, off); n < len(p) {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("read %d bytes at %d: %w", len(p), off, err)
	}
	return nil
}

// handles are files that are read together and closed together.
type handles []io.Closer

func (h *handles) open(f Files, name string, size int64) (File, error) {
	file, err := openSized(f, name, size)
	if err == nil {
		*h = append(*h, file)
	}
	return file, err
}

func (h *handles) close() {
	for _, f := range *h {
		_ = f.Close() // was only read
	}
}

func (h *handles) columnTree(f Files, s merkle.Shape, nodes uint64) (*merkle.Tree, error) {
	return h.tree(f, s, nodes, TreeCFile, merkle.ColumnTree, nil)
}

func (h *handles) replicaTree(f Files, s merkle.Shape, nodes uint64) (*merkle.Tree, error) {
	sealed, err := h.open(f, Sealed, int64(nodes)*fr32.NodeBytes)
	if err != nil {
		return nil, err
	}
	return h.tree(f, s, nodes, TreeRFile, merkle.ReplicaTree, sealed)
}

// tree opens the base trees of a tree; leaves are those that their files have not.
func (h *handles) tree(f Files, s merkle.Shape, nodes uint64, name func(i, n int) string, layout func(uint64) (merkle.Layout, error), leaves io.ReaderAt) (*merkle.Tree, error) {
	n := s.BaseTrees()
	each := nodes / uint64(n)
	l, err := layout(each)
	if err != nil {
		return nil, err
	}
	bases := make([]merkle.Base, n)
	for i := range bases {
		file, err := h.open(f, name(i, n), l.Size())
		if err != nil {
			return nil, err
		}
		bases[i] = merkle.Base{Layout: l, File: file}
		if leaves != nil {
			bytes := int64(each) * fr32.NodeBytes
			bases[i].Leaves = io.NewSectionReader(leaves, int64(i)*bytes, bytes)
		}
	}
	return merkle.OpenTree(s, nodes, bases)
}

// Replica is an opened replica with its tree, which is all that a proof of spacetime reads.
// Many goroutines may use it.
type Replica struct {
	handles
	Roots Roots // as the file Aux has them; whether the tree's is the same is for the caller
	*merkle.Tree
}

// OpenReplica opens a sector's files Sealed and Aux and those of tree R. A missing one is
// fs.ErrNotExist, one of a wrong length ErrSize. Close is due when it returns no error.
func OpenReplica(f Files, s merkle.Shape, nodes uint64) (*Replica, error) {
	roots, err := ReadRoots(f)
	if err != nil {
		return nil, err
	}
	r := &Replica{Roots: roots}
	if r.Tree, err = r.replicaTree(f, s, nodes); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// Close closes the files, which were only read.
func (r *Replica) Close() { r.close() }
