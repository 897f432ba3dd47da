package snark

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/constraint"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"

	"github.com/lodenet/lode/proofs/params"
)

// small stands for a circuit whose ceremony would take hours: it has its name, and as many
// public inputs as it is told.
type small struct {
	params.Circuit
	inputs int
}

func (c small) PublicInputs() int { return c.inputs }

func (c small) Compile() (constraint.ConstraintSystem, error) {
	return frontend.Compile(ecc.BLS12_381.ScalarField(), r1cs.NewBuilder, &sum{In: make([]frontend.Variable, c.inputs)})
}

// sum states that all public inputs are the square of a secret.
type sum struct {
	In  []frontend.Variable `gnark:",public"`
	Out frontend.Variable
}

func (s *sum) Define(api frontend.API) error {
	for _, x := range s.In {
		api.AssertIsEqual(x, api.Mul(s.Out, s.Out))
	}
	return nil
}

// imported holds a ceremony for a circuit and takes its keys in.
func imported(t *testing.T, s *params.Store, c params.Circuit) {
	t.Helper()
	m, err := params.NewCeremony(filepath.Join(t.TempDir(), "ceremony"), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := m.Contribute(bg); err != nil {
			t.Fatal(err)
		}
		if err := m.Finalize(bg, c, []byte("nobody knew this before")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Import(bg, m.KeyPath()+".pk"); err != nil {
		t.Fatal(err)
	}
}

// A network takes the keys of ceremonies, all of them, one of each circuit and no insecure
// ones; and a verifier takes only those that fit its circuits.
func TestCeremonyKeys(t *testing.T) {
	circuits, err := params.Circuits(sectorSize)
	if err != nil {
		t.Fatal(err)
	}
	s := params.New(t.TempDir(), nil)
	if _, err := s.ProvingKey(bg, params.Want{Circuit: small{circuits[0], 2}, Seed: []byte(params.DevnetSeed)}); err != nil {
		t.Fatal(err)
	}
	for _, c := range circuits {
		if _, err := CeremonyKeys(bg, s, sectorSize); !errors.Is(err, params.ErrMissing) || !strings.Contains(err.Error(), c.Name()) {
			t.Fatalf("before the ceremony of %s: got %v", c.Name(), err)
		}
		imported(t, s, small{c, 1})
	}
	keys, err := CeremonyKeys(bg, s, sectorSize)
	if err != nil || len(keys) != len(circuits) {
		t.Fatalf("got %d keys, %v, want %d", len(keys), err, len(circuits))
	}
	if _, err := NewVerifier(keys, sectorSize); err == nil || !strings.Contains(err.Error(), "public inputs") {
		t.Errorf("keys of other circuits: got %v", err)
	}
	imported(t, s, small{circuits[1], 1})
	if _, err := CeremonyKeys(bg, s, sectorSize); !errors.Is(err, ErrAmbiguous) {
		t.Errorf("two keys of one circuit: got %v", err)
	}
}
