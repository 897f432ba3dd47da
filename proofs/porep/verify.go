package porep

import (
	"errors"
	"fmt"

	"github.com/filecoin-project/go-state-types/proof"

	"github.com/lodenet/lode/proofs/commitment"
	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/merkle"
	"github.com/lodenet/lode/proofs/sdr"
)

// ErrInvalid: a vanilla proof does not hold. The text says where.
var ErrInvalid = errors.New("vanilla proof does not hold")

// Verify checks a vanilla proof against a statement directly, with no succinct proof (spec:
// 6.4). It is ErrInvalid when the proof does not hold, another error when the statement is
// none. The statement's Proof and DealIDs are not looked at.
func Verify(s proof.SealVerifyInfo, p *Proof) error {
	sector, err := newSector(Task{Proof: s.SealProof, Miner: s.Miner, Number: s.Number, Ticket: s.Randomness}, s.UnsealedCID)
	if err != nil {
		return err
	}
	commR, err := commitment.Sealed(s.SealedCID)
	if err != nil {
		return err
	}
	return sector.verify(commR, s.InteractiveRandomness, p)
}

func (s *sector) verify(commR fr32.Node, seed []byte, p *Proof) error {
	if p == nil || len(p.Partitions) != s.Partitions {
		return fmt.Errorf("%w: it has not %d partitions", ErrInvalid, s.Partitions)
	}
	if got, err := (Roots{p.CommC, p.CommRLast}).CommR(); err != nil || got != commR {
		return fmt.Errorf("%w: its trees do not make CommR", ErrInvalid)
	}
	for k, partition := range p.Partitions {
		challenges, err := Challenges(s.Seal, s.id, commR, seed, k)
		if err != nil {
			return err
		}
		if len(partition) != len(challenges) {
			return fmt.Errorf("%w: partition %d has not %d challenges", ErrInvalid, k, len(challenges))
		}
		for i := range partition {
			if err := s.verifyChallenge(challenges[i], p, &partition[i]); err != nil {
				return fmt.Errorf("%w: partition %d, challenge %d of node %d: %w", ErrInvalid, k, i, challenges[i], err)
			}
		}
	}
	return nil
}

func (s *sector) verifyChallenge(node uint64, p *Proof, c *Challenge) error {
	if root, err := c.Data.DataRoot(s.Nodes()); err != nil || root != s.commD || c.Data.Index() != node {
		return fmt.Errorf("the data's path does not lead from the node to CommD (%v)", err)
	}
	if root, err := c.Replica.Root(s.Shape, s.Nodes()); err != nil || root != p.CommRLast || c.Replica.Index() != node {
		return fmt.Errorf("the replica's path does not lead from the node to CommRLast (%v)", err)
	}
	if err := s.verifyColumn(node, p, &c.Column); err != nil {
		return err
	}
	parents := s.graph.Parents(node)
	if len(c.Parents) != len(parents) {
		return fmt.Errorf("%d parents", len(c.Parents))
	}
	for i, parent := range parents {
		if err := s.verifyColumn(uint64(parent), p, &c.Parents[i]); err != nil {
			return fmt.Errorf("parent %d: %w", i, err)
		}
	}
	for layer := 1; layer <= s.Layers; layer++ {
		if sdr.Label(s.id, layer, node, c.ParentLabels(layer)) != c.Column.Labels[layer-1] {
			return fmt.Errorf("the label of layer %d does not follow from its parents'", layer)
		}
	}
	if n, err := sdr.Encode(&c.Data.Leaf, &c.Column.Labels[s.Layers-1]); err != nil || n != c.Replica.Leaf {
		return fmt.Errorf("the replica is not the data under its label (%v)", err)
	}
	return nil
}

// ParentLabels are the labels that the challenge's label of a layer is made of, as
// sdr.Label takes them.
func (c *Challenge) ParentLabels(layer int) []merkle.Node {
	var labels []merkle.Node
	for i, parent := range c.Parents {
		if i < sdr.BaseParents {
			labels = append(labels, parent.Labels[layer-1])
		} else if layer > 1 {
			labels = append(labels, parent.Labels[layer-2])
		}
	}
	return labels
}

func (s *sector) verifyColumn(node uint64, p *Proof, c *Column) error {
	if len(c.Labels) != s.Layers {
		return fmt.Errorf("a column of %d labels", len(c.Labels))
	}
	if hash, err := merkle.HashNodes(c.Labels); err != nil || hash != c.Path.Leaf {
		return fmt.Errorf("a column that is not its leaf (%v)", err)
	}
	if root, err := c.Path.Root(s.Shape, s.Nodes()); err != nil || root != p.CommC || c.Path.Index() != node {
		return fmt.Errorf("the column's path does not lead from node %d to CommC (%v)", node, err)
	}
	return nil
}
