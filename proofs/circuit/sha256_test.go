package circuit

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/consensys/gnark/frontend"

	"github.com/lodenet/lode/proofs/sdr"
)

// Every function of bits has its value for all bits, and for constants in place of some.
func TestBooleanFunctions(t *testing.T) {
	functions := map[string]struct {
		circuit func(a *arith, x, y, z frontend.Variable) frontend.Variable
		want    func(x, y, z int) int
		most    int // constraints with no constant
	}{
		"xor": {(*arith).xor, func(x, y, z int) int { return x ^ y ^ z }, 1},
		"maj": {(*arith).maj, func(x, y, z int) int { return x&y | y&z | z&x }, 1},
		"ch":  {(*arith).ch, func(x, y, z int) int { return x&y | (1-x)&z }, 1},
	}
	for name, f := range functions {
		for constants := range 8 { // which operands are constants
			for n := range 8 { // their bits
				operands := [3]int{n & 1, n >> 1 & 1, n >> 2 & 1}
				cs := newGadget(t, 3, 1, func(api frontend.API, in, public []frontend.Variable) {
					var v [3]frontend.Variable
					for i := range v {
						v[i] = in[i]
						if constants>>i&1 == 1 {
							v[i] = operands[i]
						}
					}
					r := f.circuit(newArith(api), v[0], v[1], v[2])
					api.AssertIsEqual(api.Mul(r, 1), public[0])
				})
				if got := cs.GetNbConstraints(); got > f.most+1 || (constants != 0 && constants&(constants-1) != 0 && got > 1) {
					t.Errorf("%s with constants %03b: %d constraints", name, constants, got)
				}
				want := f.want(operands[0], operands[1], operands[2])
				for _, claim := range []int{0, 1, 2} {
					var in []fr.Element
					for _, o := range operands {
						in = append(in, fr.NewElement(uint64(o)))
					}
					if solved(cs, values(t, in, []fr.Element{fr.NewElement(uint64(claim))})) != (claim == want) {
						t.Errorf("%s of %v with constants %03b: %d, want %d", name, operands, constants, claim, want)
					}
				}
			}
		}
	}
}

// message makes field elements of the words of a message.
func message(b []byte) (in []fr.Element) {
	for ; len(b) > 0; b = b[4:] {
		in = append(in, fr.NewElement(uint64(binary.BigEndian.Uint32(b))))
	}
	return in
}

// hasher hashes words, and holds those of the digest to the public ones.
func hasher(api frontend.API, in, public []frontend.Variable) {
	a := newArith(api)
	words := make([]*word, len(in))
	for i := range in {
		words[i] = a.pack(a.binary(in[i], wordBits))
	}
	for i, w := range a.digest(words) {
		a.assertEqual(w, a.pack(a.binary(public[i], wordBits)).value)
	}
}

func TestSHA256(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	for _, length := range []int{4, 52, 56, 64, 120} {
		cs := newGadget(t, length/4, stateWords, hasher)
		ones := make([]byte, length)
		for i := range ones {
			ones[i] = 0xff
		}
		messages := [][]byte{make([]byte, length), ones}
		for range 3 {
			m := make([]byte, length)
			_, _ = random.Read(m)
			messages = append(messages, m)
		}
		for _, m := range messages {
			digest := sha256.Sum256(m)
			if !solved(cs, values(t, message(m), message(digest[:]))) {
				t.Errorf("the digest of %x does not hold", m)
			}
		}
		m := messages[len(messages)-1]
		digest := sha256.Sum256(m)
		refusesChanges(t, cs, values(t, message(m), message(digest[:])), 1+length/16, nil)
	}
}

// The digest of a constant is a constant.
func TestSHA256OfConstants(t *testing.T) {
	cs := newGadget(t, 1, 1, func(api frontend.API, in, public []frontend.Variable) {
		a := newArith(api)
		digest := a.digest([]*word{a.number(0x61626364), a.number(0xffffffff)})
		for i, want := range message(sum([]byte("abcd\xff\xff\xff\xff"))) {
			if c, ok := a.constant(digest[i].value); !ok || c != want.Uint64() {
				t.Errorf("word %d is %v (%v), want %v", i, c, ok, want)
			}
		}
		api.AssertIsEqual(in[0], public[0])
	})
	if cs.GetNbConstraints() != 1 {
		t.Errorf("%d constraints", cs.GetNbConstraints())
	}
}

func sum(b []byte) []byte {
	s := sha256.Sum256(b)
	return s[:]
}

func TestLabel(t *testing.T) {
	const layer, node = 2, 37
	random := rand.New(rand.NewChaCha8([32]byte{2}))
	element := func() (n [32]byte) {
		for i := range n {
			n[i] = byte(random.Uint32())
		}
		n[31] &= 0x3f
		return n
	}
	id := element()
	parents := make([][32]byte, sdr.Parents)
	in := []fr.Element{elementOf(t, id), fr.NewElement(node)}
	for i := range parents {
		parents[i] = element()
		in = append(in, elementOf(t, parents[i]))
	}
	for _, layer := range []int{1, layer} {
		n := parentsOf(layer)
		cs := newGadget(t, 2+n, 1, func(api frontend.API, in, public []frontend.Variable) {
			a := newArith(api)
			words := make([][]*word, n)
			for i := range words {
				words[i] = a.words(a.trimmed(in[2+i]))
			}
			l := a.label(a.words(a.trimmed(in[0])), layer, a.position(in[1], 6), words)
			api.AssertIsEqual(l, public[0])
		})
		label := sdr.Label(id, layer, node, parents[:n])
		w := values(t, in[:2+n], []fr.Element{elementOf(t, label)})
		refusesChanges(t, cs, w, 7, nil)
		// A node that is none of the sector.
		other := values(t, in[:2+n], []fr.Element{elementOf(t, sdr.Label(id, layer, node+64, parents[:n]))})
		other.Vector().(fr.Vector)[2].SetUint64(node + 64)
		if solved(cs, other) {
			t.Errorf("layer %d: a node outside the sector holds", layer)
		}
	}
}
