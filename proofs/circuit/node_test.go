package circuit

import (
	"math/big"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"
	gnarkbits "github.com/consensys/gnark/std/math/bits"

	"github.com/lodenet/lode/proofs/fr32"
)

func elementOf(t testing.TB, n fr32.Node) fr.Element {
	t.Helper()
	e, err := fr32.Element(&n)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// dishonest makes a prover take the bits of another number wherever a value is decomposed
// into as many bits as the field has, or one less.
func dishonest(t testing.TB, n *big.Int) solver.Option {
	t.Helper()
	for _, h := range gnarkbits.GetHints() {
		if strings.HasSuffix(solver.GetHintName(h), ".nBits") {
			return solver.OverrideHint(solver.GetHintID(h), func(_ *big.Int, _, out []*big.Int) error {
				for i := range out {
					out[i].SetUint64(uint64(n.Bit(i)))
				}
				return nil
			})
		}
	}
	t.Fatal("gnark's hint for bits has another name")
	return nil
}

// A value has one decomposition.
func TestDecompositionIsStrict(t *testing.T) {
	r := fr.Modulus()
	for name, bits := range map[string]func(*arith, frontend.Variable) []frontend.Variable{
		"canonical": (*arith).canonical,
		"trimmed":   (*arith).trimmed,
	} {
		cs := newGadget(t, 1, 1, func(api frontend.API, in, public []frontend.Variable) {
			b := bits(newArith(api), in[0])
			api.AssertIsEqual(b[0], public[0])
		})
		most := new(big.Int).Sub(r, big.NewInt(1))
		if name == "trimmed" {
			most.Sub(new(big.Int).Lsh(big.NewInt(1), trimmedBits), big.NewInt(1))
		}
		for _, x := range []*big.Int{big.NewInt(0), big.NewInt(1), big.NewInt(12345), most} {
			var e fr.Element
			e.SetBigInt(x)
			odd := func(n *big.Int) []fr.Element { return []fr.Element{fr.NewElement(uint64(n.Bit(0)))} }
			if _, err := cs.Solve(values(t, []fr.Element{e}, odd(x)), dishonest(t, x)); err != nil {
				t.Errorf("%s: %v has no bits: %v", name, x, err)
			}
			other := new(big.Int).Add(x, r)
			if _, err := cs.Solve(values(t, []fr.Element{e}, odd(other)), dishonest(t, other)); err == nil {
				t.Errorf("%s: %v + r holds as the bits of %v", name, x, x)
			}
		}
		// Above the largest there is nothing.
		var e fr.Element
		e.SetBigInt(most.Add(most, big.NewInt(1)))
		if name == "trimmed" && (solved(cs, values(t, []fr.Element{e}, make([]fr.Element, 1))) || solved(cs, values(t, []fr.Element{e}, []fr.Element{fr.One()}))) {
			t.Error("2^254 has trimmed bits")
		}
	}
}

// What is not a bit is refused where a bit is due.
func TestBitsAreBits(t *testing.T) {
	cs := newGadget(t, 1, 1, func(api frontend.API, in, public []frontend.Variable) {
		newArith(api).boolean(in[0])
		api.AssertIsEqual(in[0], public[0])
	})
	minus := fr.One()
	minus.Neg(&minus)
	for _, x := range []fr.Element{fr.NewElement(0), fr.One(), fr.NewElement(2), minus} {
		ok := x.IsZero() || x.IsOne()
		if solved(cs, values(t, []fr.Element{x}, []fr.Element{x})) != ok {
			t.Errorf("%v as a bit: %v", x, !ok)
		}
	}
}

// A sum is equal to a number modulo 2^32 and not otherwise.
func TestAssertEqual(t *testing.T) {
	cs := newGadget(t, 3, 1, func(api frontend.API, in, public []frontend.Variable) {
		a := newArith(api)
		var words []*word
		for _, v := range in {
			words = append(words, a.pack(a.binary(v, wordBits)))
		}
		a.assertEqual(a.add(words[0], words[1], a.negate(words[2])), a.pack(a.binary(public[0], wordBits)).value)
	})
	const top = 1<<32 - 1
	for _, in := range [][3]uint32{{0, 0, 0}, {1, 0, 1}, {0, 0, 1}, {top, top, 0}, {top, top, top}, {0, 0, top}, {12, 13, 14}} {
		want := in[0] + in[1] - in[2]
		var v []fr.Element
		for _, n := range in {
			v = append(v, fr.NewElement(uint64(n)))
		}
		for _, claim := range []uint32{want, want + 1, want - 1, want ^ 1<<31} {
			if solved(cs, values(t, v, []fr.Element{fr.NewElement(uint64(claim))})) != (claim == want) {
				t.Errorf("%v makes %d, want %d", in, claim, want)
			}
		}
	}
}
