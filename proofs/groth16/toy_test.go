package groth16

import (
	"bytes"
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/backend/witness"
	"github.com/consensys/gnark/constraint"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
)

// toy says: Out is X cubed Rounds times, plus Salt; X is a number of Bits bits.
type toy struct {
	Out, Salt frontend.Variable `gnark:",public"`
	X         frontend.Variable

	Rounds, Bits int `gnark:"-"`
}

func (c *toy) Define(api frontend.API) error {
	sum := frontend.Variable(0)
	y := c.X
	for range c.Rounds {
		y = api.Add(api.Mul(y, y, y), 5)
	}
	bits := api.ToBinary(c.X, c.Bits)
	for i, b := range bits {
		sum = api.Add(sum, api.Mul(b, 1<<i))
	}
	api.AssertIsEqual(sum, c.X)
	api.AssertIsEqual(api.Add(y, c.Salt), c.Out)
	return nil
}

// assign is a true assignment.
func (c *toy) assign(x uint64) *toy {
	q := ecc.BLS12_381.ScalarField()
	y := newBig(x)
	for range c.Rounds {
		y.Exp(y, newBig(3), q)
		y.Add(y, newBig(5)).Mod(y, q)
	}
	return &toy{Out: y.Add(y, newBig(9)).Mod(y, q), Salt: 9, X: x, Rounds: c.Rounds, Bits: c.Bits}
}

func newBig(x uint64) *big.Int { return new(big.Int).SetUint64(x) }

func compile(t testing.TB, c frontend.Circuit) constraint.ConstraintSystem {
	t.Helper()
	ccs, err := frontend.Compile(ecc.BLS12_381.ScalarField(), r1cs.NewBuilder, c)
	if err != nil {
		t.Fatal(err)
	}
	return ccs
}

var small = &toy{Rounds: 20, Bits: 16}

// witnessOf makes a witness of an assignment.
func witnessOf(t testing.TB, assignment frontend.Circuit) witness.Witness {
	t.Helper()
	w, err := frontend.NewWitness(assignment, ecc.BLS12_381.ScalarField())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// setup makes the keys of a circuit from a public seed.
func setup(t testing.TB, ccs constraint.ConstraintSystem, seed string) (file []byte, vk *VerifyingKey) {
	t.Helper()
	s, err := InsecureSecrets([]byte(seed))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	vk, err = Setup(t.Context(), ccs, s, Label{Circuit: "toy", Origin: "test", Insecure: true}, &out, nil)
	if err != nil {
		t.Fatal(err)
	}
	return aligned(out.Bytes()), vk
}

// aligned copies bytes to where a mapped file would be.
func aligned(b []byte) []byte {
	out := make([]byte, len(b)+keyAlign)
	for skip := range keyAlign {
		if isAligned(out[skip:]) {
			out = out[skip : skip+len(b)]
			break
		}
	}
	copy(out, b)
	return out
}

func openKey(t testing.TB, file []byte) *ProvingKey {
	t.Helper()
	pk, err := OpenProvingKey(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	return pk
}
