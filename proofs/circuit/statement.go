package circuit

import (
	"fmt"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/constraint"
	bls12381 "github.com/consensys/gnark/constraint/bls12-381"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"

	"github.com/lodenet/lode/proofs/registry"
)

// version is raised with every change of a circuit's constraints or of their order. Keys of
// another version are of no use.
const version = 1

// Statement is the shape of what one succinct proof says: a circuit, without anything in it.
// It is immutable and safe from many goroutines.
type Statement struct {
	name    string
	inputs  int
	circuit func() (frontend.Circuit, error)
}

// PoRep is the statement of one partition of a seal proof, the same for all of them. Kinds of
// seal proof that differ in graph or challenges alone have it in common.
func PoRep(s registry.Seal) (*Statement, error) {
	if s.Layers < 2 || s.Challenges < 1 {
		return nil, fmt.Errorf("no circuit for %d layers and %d challenges", s.Layers, s.Challenges)
	}
	return newStatement(
		fmt.Sprintf("porep-%d-%v-%d-%d", s.SectorSize, s.Shape, s.Layers, s.Challenges),
		porepHeader+porepEach*s.Challenges,
		func() (frontend.Circuit, error) { return newPoRepCircuit(s) },
	)
}

// Window is the statement of one partition of a window PoSt.
func Window(p registry.PoSt) (*Statement, error) {
	if p.Winning {
		return nil, fmt.Errorf("post proof %d is of a winning PoSt", p.Proof)
	}
	return spacetime(p, "window")
}

// Winning is the statement of a winning PoSt.
func Winning(p registry.PoSt) (*Statement, error) {
	if !p.Winning || p.Sectors != 1 {
		return nil, fmt.Errorf("post proof %d is of no winning PoSt of one sector", p.Proof)
	}
	return spacetime(p, "winning")
}

func spacetime(p registry.PoSt, kind string) (*Statement, error) {
	return newStatement(
		fmt.Sprintf("%s-%d-%v-%d-%d", kind, p.SectorSize, p.Shape, p.Sectors, p.Challenges),
		postInputs(p),
		func() (frontend.Circuit, error) { return newPoStCircuit(p) },
	)
}

func newStatement(name string, inputs int, circuit func() (frontend.Circuit, error)) (*Statement, error) {
	if _, err := circuit(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &Statement{name: fmt.Sprintf("%s-v%d", name, version), inputs: inputs, circuit: circuit}, nil
}

// Name tells the statement from all others and from those of other versions of its circuit.
// It is made of lower-case letters, digits and hyphens.
func (s *Statement) Name() string { return s.name }

// PublicInputs is how many public inputs there are, the constant one not counted.
func (s *Statement) PublicInputs() int { return s.inputs }

// Compile makes the constraint system, always the same. It is an R1CS of gnark's BLS12-381
// without commitments. It is large: some 130 bytes a constraint.
func (s *Statement) Compile() (constraint.ConstraintSystem, error) {
	c, err := s.circuit()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	return compile(c, s.name)
}

func compile(c frontend.Circuit, name string) (constraint.ConstraintSystem, error) {
	// Long sums are meant to be long: cut in pieces they would cost constraints.
	const never = 0
	cs, err := frontend.Compile(ecc.BLS12_381.ScalarField(), r1cs.NewBuilder, c, frontend.WithCompressThreshold(never))
	if err != nil {
		return nil, fmt.Errorf("compile %s: %w", name, err)
	}
	system, ok := cs.(*bls12381.R1CS)
	if !ok {
		return nil, fmt.Errorf("compile %s: gnark made a %T", name, cs)
	}
	orient(system)
	return system, nil
}
