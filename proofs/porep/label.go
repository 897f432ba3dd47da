package porep

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/merkle"
)

// Label is the first step of sealing (PreCommit1): from the file Unsealed, which must be
// there with the sector's whole padded data, it makes tree D and the files of all layers.
// Data whose root is not commD is ErrMismatch.
//
// Where f is a Keeper, a layer is kept as soon as it is whole, and a later run for the same
// task, which finds it undamaged, does not make it again.
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
	j, err := s.openJournal(ctx, f, c)
	if err != nil {
		return err
	}
	for layer := len(j.Layers) + 1; layer <= s.Layers; layer++ {
		digest, err := s.layer(ctx, f, layer, s.Nodes(), LayerFile, c.add)
		if err != nil {
			return err
		}
		if err := j.whole(f, layer, digest); err != nil {
			return err
		}
	}
	return nil
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

// layer makes the file of the first nodes of one layer, from that of the layer before, and
// returns its digest.
func (s *sector) layer(ctx context.Context, f Files, layer int, nodes uint64, name func(layer int) string, done func(int64)) (digest, error) {
	var sum digest
	make := func(before *layerFile) error {
		return create(f, name(layer), func(file File) error {
			out, err := mapLayer(file, int64(nodes)*fr32.NodeBytes)
			if err != nil {
				return err
			}
			hashed := newHashing(out)
			err = s.graph.Labels(ctx, s.id, layer, nodes, before.reader(), hashed, done)
			sum = hashed.sum()
			return errors.Join(err, out.unmap())
		})
	}
	var err error
	if layer == 1 {
		err = make(nil)
	} else {
		err = open(f, name(layer-1), int64(s.SectorSize), func(file File) error {
			before, err := mapLayer(file, int64(s.SectorSize))
			if err != nil {
				return err
			}
			return errors.Join(make(before), before.unmap())
		})
	}
	if err != nil {
		return digest{}, fmt.Errorf("label layer %d: %w", layer, err)
	}
	return sum, nil
}
