package porep

import (
	"context"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/proofs/commitment"
	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/internal/parallel"
	"github.com/lodenet/lode/proofs/merkle"
	"github.com/lodenet/lode/proofs/sdr"
)

// Proof is a vanilla proof of replication: what a succinct proof proves knowledge of.
//
// The reference's has besides, for every layer, the labels that a challenge's label is made
// of. They are those of Parents, so here they are not there twice and cannot differ.
type Proof struct {
	CommC, CommRLast merkle.Node
	Partitions       [][]Challenge
}

// Challenge proves one challenged node.
type Challenge struct {
	Data    merkle.Path // in tree D
	Replica merkle.Path // in tree R
	Column  Column      // of the challenged node
	Parents []Column    // of its parents, 6 of the base graph and then 8 of the expander
}

// Column is the labels of a node in all layers, and the way of their hash to CommC.
type Column struct {
	Labels []merkle.Node
	Path   merkle.Path
}

// SealWitness implements proofs.SealWitness.
func (*Proof) SealWitness() {}

// Prove makes the vanilla proof (Commit1) from the files of Label and Commit. Whether it
// holds is for Verify to say, which every proof system asks before it proves anything.
func Prove(ctx context.Context, t Task, commD, commR cid.Cid, seed abi.InteractiveSealRandomness, f Files) (*Proof, error) {
	s, err := newSector(t, commD)
	if err != nil {
		return nil, err
	}
	r, err := commitment.Sealed(commR)
	if err != nil {
		return nil, err
	}
	return s.prove(ctx, r, seed, f)
}

func (s *sector) prove(ctx context.Context, commR fr32.Node, seed abi.InteractiveSealRandomness, f Files) (*Proof, error) {
	roots, err := ReadRoots(f)
	if err != nil {
		return nil, err
	}
	o, err := s.openAll(f)
	defer o.close()
	if err != nil {
		return nil, err
	}

	p := &Proof{CommC: roots.CommC, CommRLast: roots.CommRLast}
	for k := range s.Partitions {
		challenges, err := Challenges(s.Seal, s.id, commR, seed, k)
		if err != nil {
			return nil, err
		}
		partition := make([]Challenge, len(challenges))
		err = parallel.Each(ctx, len(challenges), func(i int) (err error) {
			partition[i], err = o.challenge(challenges[i])
			return err
		})
		if err != nil {
			return nil, err
		}
		p.Partitions = append(p.Partitions, partition)
	}
	return p, nil
}

// opened is a sealed sector's files, to be read.
type opened struct {
	*sector
	handles
	data    merkle.Layout
	treeD   File
	layers  []File
	columns *merkle.Tree
	replica *merkle.Tree
}

// openAll opens what there is to open; close is due also after an error.
func (s *sector) openAll(f Files) (*opened, error) {
	o := &opened{sector: s}
	var err error
	if o.data, err = merkle.DataTree(s.Nodes()); err != nil {
		return o, err
	}
	if o.treeD, err = o.open(f, TreeD, o.data.Size()); err != nil {
		return o, err
	}
	for layer := 1; layer <= s.Layers; layer++ {
		file, err := o.open(f, LayerFile(layer), int64(s.SectorSize))
		if err != nil {
			return o, err
		}
		o.layers = append(o.layers, file)
	}
	if o.columns, err = o.columnTree(f, s.Shape, s.Nodes()); err != nil {
		return o, err
	}
	o.replica, err = o.replicaTree(f, s.Shape, s.Nodes())
	return o, err
}

func (o *opened) challenge(node uint64) (c Challenge, err error) {
	if c.Data, err = o.data.Path(nil, o.treeD, node); err != nil {
		return c, fmt.Errorf("%s: %w", TreeD, err)
	}
	if c.Replica, err = o.replica.Path(node); err != nil {
		return c, fmt.Errorf("tree R: %w", err)
	}
	if c.Column, err = o.column(node); err != nil {
		return c, err
	}
	c.Parents = make([]Column, sdr.Parents)
	for i, parent := range o.graph.Parents(node) {
		if c.Parents[i], err = o.column(uint64(parent)); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (o *opened) column(node uint64) (c Column, err error) {
	c.Labels = make([]merkle.Node, len(o.layers))
	for i, layer := range o.layers {
		if err := readFull(layer, c.Labels[i][:], int64(node)*fr32.NodeBytes); err != nil {
			return c, fmt.Errorf("%s: %w", LayerFile(i+1), err)
		}
	}
	if c.Path, err = o.columns.Path(node); err != nil {
		return c, fmt.Errorf("tree C: %w", err)
	}
	return c, nil
}
