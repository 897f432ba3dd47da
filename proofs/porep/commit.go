package porep

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/proofs/commitment"
	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/internal/parallel"
	"github.com/lodenet/lode/proofs/merkle"
	"github.com/lodenet/lode/proofs/sdr"
)

// Commit is the second step of sealing (PreCommit2): from the files Unsealed and those of
// Label it makes tree C, the replica in Sealed, tree R and p_aux, and returns CommR.
func Commit(ctx context.Context, t Task, commD cid.Cid, f Files, progress Progress) (cid.Cid, error) {
	s, err := newSector(t, commD)
	if err != nil {
		return cid.Undef, err
	}
	roots, err := s.commit(ctx, f, progress)
	if err != nil {
		return cid.Undef, err
	}
	commR, err := roots.CommR()
	if err != nil {
		return cid.Undef, err
	}
	return commitment.SealedCID(commR), nil
}

func (s *sector) commit(ctx context.Context, f Files, progress Progress) (Roots, error) {
	layers, closeLayers, err := s.openLayers(f)
	if err != nil {
		return Roots{}, err
	}
	defer closeLayers()
	c := &counter{total: 3 * int64(s.Nodes()), report: progress}

	commC, err := s.trees(ctx, f, TreeCFile, merkle.ColumnTree, columns(layers), c)
	if err != nil {
		return Roots{}, err
	}
	if err := s.encode(ctx, f, layers[len(layers)-1], c); err != nil {
		return Roots{}, err
	}
	roots := Roots{CommC: commC}
	err = open(f, Sealed, int64(s.SectorSize), func(replica File) error {
		roots.CommRLast, err = s.trees(ctx, f, TreeRFile, merkle.ReplicaTree, replica, c)
		return err
	})
	if err != nil {
		return Roots{}, err
	}
	return roots, create(f, Aux, func(file File) error {
		_, err := file.WriteAt(append(roots.CommC[:], roots.CommRLast[:]...), 0)
		return err
	})
}

// openLayers opens the labels of all layers, in order.
func (s *sector) openLayers(f Files) (layers []File, closeAll func(), err error) {
	closeAll = func() {
		for _, l := range layers {
			_ = l.Close() // was only read
		}
	}
	for layer := 1; layer <= s.Layers; layer++ {
		file, err := openSized(f, LayerFile(layer), int64(s.SectorSize))
		if err != nil {
			closeAll()
			return nil, nil, fmt.Errorf("%w (label the sector again)", err)
		}
		layers = append(layers, file)
	}
	return layers, closeAll, nil
}

// trees builds the base trees over leaves, one file each, and joins them.
func (s *sector) trees(ctx context.Context, f Files, name func(i, n int) string, layout func(uint64) (merkle.Layout, error), leaves io.ReaderAt, c *counter) (merkle.Node, error) {
	each, n := s.baseLeaves()
	l, err := layout(each)
	if err != nil {
		return merkle.Node{}, err
	}
	roots := make([]merkle.Node, n)
	for i := range roots {
		bytes := int64(each) * fr32.NodeBytes
		err := create(f, name(i, n), func(file File) (err error) {
			roots[i], err = l.Build(ctx, io.NewSectionReader(leaves, int64(i)*bytes, bytes), file, c.add)
			return err
		})
		if err != nil {
			return merkle.Node{}, err
		}
	}
	return s.Shape.Join(roots)
}

// columns reads the hashes of columns: the leaves of tree C.
type columns []File

// ReadAt implements io.ReaderAt for whole nodes.
func (c columns) ReadAt(p []byte, off int64) (int, error) {
	if len(p)%fr32.NodeBytes != 0 || off%fr32.NodeBytes != 0 {
		return 0, errors.New("column hashes are read in whole nodes")
	}
	n := len(p) / fr32.NodeBytes
	labels := make([]byte, len(p))
	nodes := make([]merkle.Node, n*len(c))
	for i, layer := range c {
		if err := readFull(layer, labels, off); err != nil {
			return 0, fmt.Errorf("layer %d: %w", i+1, err)
		}
		for at := range n {
			nodes[at*len(c)+i] = merkle.Node(labels[at*fr32.NodeBytes:])
		}
	}
	if err := merkle.HashGroups(nodes, nodes, len(c)); err != nil {
		return 0, err
	}
	for at := range n {
		copy(p[at*fr32.NodeBytes:], nodes[at][:])
	}
	return len(p), nil
}

// encodeBytes is how much one worker encodes at a time.
const encodeBytes = 1 << 17

// encode writes the replica: data plus the labels of the last layer.
func (s *sector) encode(ctx context.Context, f Files, labels File, c *counter) error {
	return open(f, Unsealed, int64(s.SectorSize), func(data File) error {
		return create(f, Sealed, func(replica File) error {
			chunk := min(int64(s.SectorSize), encodeBytes)
			err := parallel.Each(ctx, int(int64(s.SectorSize)/chunk), func(i int) error {
				return combine(data, labels, int64(i)*chunk, chunk, sdr.Encode, func(b []byte) error {
					_, err := replica.WriteAt(b, int64(i)*chunk)
					return err
				})
			})
			c.add(int64(s.Nodes()))
			return err
		})
	})
}

// combine reads a range of two files, combines them node by node, and hands on the result.
func combine(a, b io.ReaderAt, off, length int64, op func(a, b *fr32.Node) (fr32.Node, error), use func([]byte) error) error {
	x, y := make([]byte, length), make([]byte, length)
	if err := readFull(a, x, off); err != nil {
		return err
	}
	if err := readFull(b, y, off); err != nil {
		return err
	}
	for at := 0; at < len(x); at += fr32.NodeBytes {
		n, err := op((*fr32.Node)(x[at:]), (*fr32.Node)(y[at:]))
		if err != nil {
			return fmt.Errorf("node %d: %w", (off+int64(at))/fr32.NodeBytes, err)
		}
		copy(x[at:], n[:])
	}
	return use(x)
}
