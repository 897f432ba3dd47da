package circuit

import (
	"github.com/consensys/gnark/frontend"

	"github.com/lodenet/lode/proofs/registry"
)

// postCircuit is one partition of a proof of spacetime (spec: proofs 8.2).
type postCircuit struct {
	// Inputs are, for each sector, CommR and then the nodes of its challenges. A winning PoSt
	// is in this form one sector as often as it has challenges, with one challenge each time.
	Inputs  []frontend.Variable `gnark:",public"`
	Sectors []postSector

	winning bool
}

// postSector is the part of the witness that belongs to one sector.
type postSector struct {
	CommC, CommRLast frontend.Variable
	Challenges       []postChallenge
}

type postChallenge struct {
	Leaf frontend.Variable
	Path [][]frontend.Variable // in tree R
}

func newPoStCircuit(p registry.PoSt) (*postCircuit, error) {
	arities, err := p.Shape.Arities(p.Nodes())
	if err != nil {
		return nil, err
	}
	c := &postCircuit{
		Inputs:  make([]frontend.Variable, postInputs(p)),
		Sectors: make([]postSector, p.Sectors),
		winning: p.Winning,
	}
	for i := range c.Sectors {
		c.Sectors[i].Challenges = make([]postChallenge, p.Challenges)
		for j := range c.Sectors[i].Challenges {
			c.Sectors[i].Challenges[j].Path = newLevels(arities)
		}
	}
	return c, nil
}

// postInputs is how many public inputs a partition has.
func postInputs(p registry.PoSt) int {
	if p.Winning {
		return p.Sectors * p.Challenges * 2
	}
	return p.Sectors * (1 + p.Challenges)
}

// Define implements frontend.Circuit.
func (c *postCircuit) Define(api frontend.API) error {
	a, inputs := newArith(api), c.Inputs
	next := func() (v frontend.Variable) {
		v, inputs = inputs[0], inputs[1:]
		return v
	}
	for i := range c.Sectors {
		s := &c.Sectors[i]
		commR := hash(api, []frontend.Variable{s.CommC, s.CommRLast})
		if !c.winning {
			api.AssertIsEqual(commR, next())
		}
		for j := range s.Challenges {
			if c.winning { // the same sector again
				api.AssertIsEqual(commR, next())
			}
			h := &s.Challenges[j]
			bits := 0
			for _, children := range h.Path {
				bits += arityBits(len(children))
			}
			root := climb(api, h.Leaf, h.Path, a.position(next(), bits))
			api.AssertIsEqual(root, s.CommRLast)
		}
	}
	return nil
}
