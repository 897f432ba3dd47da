package porep

import (
	"context"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/merkle"
)

// Label is the first step of sealing (PreCommit1): from the file Unsealed, which must be
// there with the sector's whole padded data, it makes tree D and the files of all layers.
// Data whose root is not commD is ErrMismatch.
func Label(ctx context.Context, t Task, commD cid.Cid, f Files, progress Progress) error {
	s, err := newSector(t, commD)
	if err != nil {
		return err
	}
	return s.labelSector(ctx, f, progress)
}

func (s *sector) labelSector(ctx context.Context, f Files, progress Progress) error {
	c := &counter{total: int64(s.Nodes()) * int64(1+s.Layers), report: progress}
	if err := s.dataTree(ctx, f, c); err != nil {
		return err
	}
	return s.labels(ctx, s.Layers, s.Nodes(), c.add, func(layer int, labels []byte) error {
		return create(f, LayerFile(layer), func(file File) error {
			_, err := file.WriteAt(labels, 0)
			return err
		})
	})
}

func (s *sector) dataTree(ctx context.Context, f Files, c *counter) error {
	layout, err := merkle.DataTree(s.Nodes())
	if err != nil {
		return err
	}
	return open(f, Unsealed, int64(s.SectorSize), func(data File) error {
		var root merkle.Node
		err := create(f, TreeD, func(tree File) (err error) {
			root, err = layout.Build(ctx, data, tree, c.add)
			return err
		})
		if err == nil && root != s.commD {
			err = fmt.Errorf("its root is %x, not CommD %x: %w", root, s.commD, ErrMismatch)
		}
		return err
	})
}

// labels makes the layers one after the other and hands each to use, which must not keep
// it. The last has only its first nodes.
func (s *sector) labels(ctx context.Context, layers int, lastNodes uint64, done func(int64), use func(layer int, labels []byte) error) error {
	var before []byte
	free := make([]byte, s.SectorSize)
	for layer := 1; layer <= layers; layer++ {
		labels := free
		if layer == layers {
			labels = labels[:lastNodes*fr32.NodeBytes]
		}
		if err := s.graph.Labels(ctx, s.id, layer, before, labels, done); err != nil {
			return fmt.Errorf("label layer %d: %w", layer, err)
		}
		if err := use(layer, labels); err != nil {
			return err
		}
		if before == nil && layer < layers {
			before = make([]byte, s.SectorSize)
		}
		before, free = labels, before
	}
	return nil
}
