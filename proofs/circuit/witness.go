package circuit

import (
	"fmt"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/consensys/gnark/backend/witness"
	"github.com/consensys/gnark/frontend"
	"github.com/filecoin-project/go-state-types/proof"

	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/merkle"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/proofs/post"
	"github.com/lodenet/lode/proofs/registry"
)

// PoRepWitness is the full witness of one partition of a seal proof, of which the public part
// is PoRepInputs. It is an error when the vanilla proof has not the form that the statement
// asks for; whether it holds is for porep.Verify to say, and for the constraints.
func PoRepWitness(info proof.SealVerifyInfo, p *porep.Proof, partition int) (witness.Witness, error) {
	seal, err := registry.SealOf(info.SealProof)
	if err != nil {
		return nil, fmt.Errorf("sector %d: %w", info.Number, err)
	}
	w, err := porepAssignment(seal, info, p, partition)
	if err != nil {
		return nil, fmt.Errorf("sector %d: %w", info.Number, err)
	}
	return fill(w)
}

func fill(c frontend.Circuit) (witness.Witness, error) {
	return frontend.NewWitness(c, ecc.BLS12_381.ScalarField())
}

func porepAssignment(seal registry.Seal, info proof.SealVerifyInfo, p *porep.Proof, partition int) (*porepCircuit, error) {
	inputs, err := porepInputs(seal, info, partition)
	if err != nil {
		return nil, err
	}
	c, err := newPoRepCircuit(seal)
	if err != nil {
		return nil, err
	}
	if p == nil || partition >= len(p.Partitions) || len(p.Partitions[partition]) != len(c.Challenges) {
		return nil, fmt.Errorf("a vanilla proof without partition %d of %d challenges", partition, len(c.Challenges))
	}
	assign(c.Inputs, inputs)
	var n nodes
	c.CommC, c.CommRLast = n.element(&p.CommC), n.element(&p.CommRLast)
	for i := range c.Challenges {
		to, from := &c.Challenges[i], &p.Partitions[partition][i]
		if len(from.Parents) != len(to.Parents) {
			return nil, fmt.Errorf("challenge %d has %d parents", i, len(from.Parents))
		}
		n.data(to.Data, &from.Data)
		n.path(to.Replica, &from.Replica)
		n.path(to.Column, &from.Column.Path)
		for j := range to.Parents {
			if len(from.Parents[j].Labels) != len(to.Parents[j].Labels) {
				return nil, fmt.Errorf("challenge %d: parent %d has %d labels", i, j, len(from.Parents[j].Labels))
			}
			for l := range to.Parents[j].Labels {
				to.Parents[j].Labels[l] = n.element(&from.Parents[j].Labels[l])
			}
			n.path(to.Parents[j].Path, &from.Parents[j].Path)
		}
		if n.err != nil {
			return nil, fmt.Errorf("challenge %d: %w", i, n.err)
		}
	}
	return c, nil
}

// PoStWitness is the full witness of one partition of a PoSt, of which the public part is
// PoStInputs. vanilla are the proofs of all sectors, in the order of the statement's. It is an
// error when they have not the form that the statement asks for; whether they hold is for
// the statement's Verify to say, and for the constraints.
func PoStWitness(st *post.Statement, vanilla []*post.SectorProof, partition int) (witness.Witness, error) {
	c, err := postAssignment(st, vanilla, partition)
	if err != nil {
		return nil, err
	}
	return fill(c)
}

func postAssignment(st *post.Statement, vanilla []*post.SectorProof, partition int) (*postCircuit, error) {
	inputs, err := PoStInputs(st, partition)
	if err != nil {
		return nil, err
	}
	sectors, err := partitionSectors(st, partition)
	if err != nil {
		return nil, err
	}
	if len(vanilla) != len(st.Sectors) {
		return nil, fmt.Errorf("%d vanilla proofs of %d sectors", len(vanilla), len(st.Sectors))
	}
	c, err := newPoStCircuit(st.PoSt)
	if err != nil {
		return nil, err
	}
	assign(c.Inputs, inputs)
	for i, at := range sectors {
		to, from, number := &c.Sectors[i], vanilla[at], st.Sectors[at].SectorNumber
		if from == nil || len(from.Paths) != len(to.Challenges) {
			return nil, fmt.Errorf("sector %d: a vanilla proof without %d paths", number, len(to.Challenges))
		}
		var n nodes
		to.CommC, to.CommRLast = n.element(&from.CommC), n.element(&from.CommRLast)
		for j := range to.Challenges {
			to.Challenges[j].Leaf = n.element(&from.Paths[j].Leaf)
			n.path(to.Challenges[j].Path, &from.Paths[j])
		}
		if n.err != nil {
			return nil, fmt.Errorf("sector %d: %w", number, n.err)
		}
	}
	return c, nil
}

func assign(to []frontend.Variable, from []fr.Element) {
	for i := range to {
		to[i] = from[i]
	}
}

// nodes turns nodes into values of a witness. It keeps the first error and goes on.
type nodes struct{ err error }

func (n *nodes) element(node *merkle.Node) frontend.Variable {
	e, err := fr32.Element(node)
	if err != nil && n.err == nil {
		n.err = err
	}
	return e
}

// path gives the children on all levels of a path in a Poseidon tree.
func (n *nodes) path(levels [][]frontend.Variable, p *merkle.Path) {
	n.climb(len(levels), p, func(i int) []frontend.Variable { return levels[i] }, merkle.HashNodes)
}

// data gives the children on all levels of a path in a data tree.
func (n *nodes) data(levels []pair, p *merkle.Path) {
	children := make([][]frontend.Variable, len(levels))
	for i := range children {
		children[i] = make([]frontend.Variable, 2)
	}
	n.climb(len(levels), p, func(i int) []frontend.Variable { return children[i] }, func(two []merkle.Node) (merkle.Node, error) {
		return merkle.Pair(&two[0], &two[1]), nil
	})
	for i := range levels {
		levels[i] = pair{Left: children[i][0], Right: children[i][1]}
	}
}

func (n *nodes) climb(levels int, p *merkle.Path, level func(int) []frontend.Variable, hash func([]merkle.Node) (merkle.Node, error)) {
	if n.err != nil {
		return
	}
	if len(p.Elements) != levels {
		n.err = fmt.Errorf("a path of %d steps where the tree has %d", len(p.Elements), levels)
		return
	}
	at := p.Leaf
	for i, e := range p.Elements {
		to := level(i)
		if len(e.Siblings) != len(to)-1 || int(e.Position) >= len(to) {
			n.err = fmt.Errorf("step %d of a path has %d siblings and position %d where the tree has arity %d", i, len(e.Siblings), e.Position, len(to))
			return
		}
		children := append(append(append([]merkle.Node(nil), e.Siblings[:e.Position]...), at), e.Siblings[e.Position:]...)
		for j := range to {
			to[j] = n.element(&children[j])
		}
		if at, n.err = hash(children); n.err != nil {
			n.err = fmt.Errorf("step %d of a path: %w", i, n.err)
			return
		}
	}
}
