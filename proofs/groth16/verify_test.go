package groth16

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"testing"

	curve "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

// example are true claims under two keys, made once.
var example = sync.OnceValue(func() (out struct {
	claims []Claim
	file   []byte
	err    error
}) {
	for k, c := range []*toy{{Rounds: 4, Bits: 8}, {Rounds: 5, Bits: 8}} {
		t := new(testing.B) // only to fail with; nothing here does
		ccs := compile(t, c)
		s, err := InsecureSecrets([]byte{byte(k)})
		if err != nil {
			out.err = err
			return out
		}
		var file bytes.Buffer
		vk, err := Setup(context.Background(), ccs, s, Label{Circuit: "toy"}, &file, nil)
		if err != nil {
			out.err = err
			return out
		}
		pk, err := OpenProvingKey(context.Background(), aligned(file.Bytes()))
		if err != nil {
			out.err = err
			return out
		}
		out.file = file.Bytes()
		for x := range uint64(4) {
			proof, inputs, err := pk.Prove(context.Background(), ccs, witnessOf(t, c.assign(x)))
			if err != nil {
				out.err = err
				return out
			}
			out.claims = append(out.claims, Claim{Key: vk, Inputs: inputs, Proof: proof})
		}
	}
	return out
})

func claims(t testing.TB) []Claim {
	t.Helper()
	e := example()
	if e.err != nil {
		t.Fatal(e.err)
	}
	return slices.Clone(e.claims)
}

// TestEveryBitOfAProof: a proof with any bit flipped is refused.
func TestEveryBitOfAProof(t *testing.T) {
	c := claims(t)[0]
	malformed, false_ := 0, 0
	for bit := range 8 * ProofBytes {
		bad := slices.Clone(c.Proof)
		bad[bit/8] ^= 1 << (bit % 8)
		ok, err := c.Key.Verify(c.Inputs, bad)
		if ok {
			t.Errorf("bit %d flipped: accepted", bit)
		}
		if err != nil {
			malformed++
		} else {
			false_++
		}
	}
	if malformed == 0 || false_ == 0 { // the signs of A, B and C are bits that stay well formed
		t.Errorf("%d malformed, %d false", malformed, false_)
	}
}

// TestEveryBitOfTheInputs: the same for the statement.
func TestEveryBitOfTheInputs(t *testing.T) {
	c := claims(t)[0]
	for i := range c.Inputs {
		for bit := range fr.Bits - 1 {
			bad := slices.Clone(c.Inputs)
			b := bad[i].Bytes()
			b[len(b)-1-bit/8] ^= 1 << (bit % 8)
			if err := bad[i].SetBytesCanonical(b[:]); err != nil {
				continue // not a field element any more
			}
			if ok, err := c.Key.Verify(bad, c.Proof); ok || err != nil {
				t.Errorf("input %d, bit %d flipped: got %v, %v", i, bit, ok, err)
			}
		}
	}
}

// outside are points on the curves that are not in the subgroups.
func outside() (curve.G1Affine, curve.G2Affine) {
	var x fp.Element
	x.SetUint64(3)
	j1 := curve.GeneratePointNotInG1(x)
	j2 := curve.GeneratePointNotInG2(curve.E2{A0: x})
	var p1 curve.G1Affine
	var p2 curve.G2Affine
	p1.FromJacobian(&j1)
	p2.FromJacobian(&j2)
	return p1, p2
}

func TestProofRefused(t *testing.T) {
	good := claims(t)[0].Proof
	with := func(at int, b []byte) []byte {
		out := slices.Clone(good)
		copy(out[at:], b)
		return out
	}
	var inf1 curve.G1Affine
	var inf2 curve.G2Affine
	i1, i2 := inf1.Bytes(), inf2.Bytes()
	o1, o2 := outside()
	s1, s2 := o1.Bytes(), o2.Bytes()
	modulus := fp.Modulus().FillBytes(make([]byte, 48))
	modulus[0] |= 0x80
	a := func() curve.G1Affine {
		p, err := ParseProof(good)
		if err != nil {
			t.Fatal(err)
		}
		return p.a
	}()
	raw := a.RawBytes()
	for _, c := range []struct {
		name string
		b    []byte
	}{
		{"nothing", nil},
		{"one byte short", good[:191]},
		{"one byte long", append(slices.Clone(good), 0)},
		{"zeros", make([]byte, ProofBytes)},
		{"ones", bytes.Repeat([]byte{0xff}, ProofBytes)},
		{"A at infinity", with(0, i1[:])},
		{"B at infinity", with(48, i2[:])},
		{"C at infinity", with(144, i1[:])},
		{"A outside the subgroup", with(0, s1[:])},
		{"B outside the subgroup", with(48, s2[:])},
		{"C outside the subgroup", with(144, s1[:])},
		{"A not reduced", with(0, modulus)},
		{"A uncompressed", with(0, raw[:])},
		{"infinity with a sign", with(0, append([]byte{0xe0}, make([]byte, 47)...))},
		{"infinity with a coordinate", with(0, append([]byte{0xc0}, bytes.Repeat([]byte{1}, 47)...))},
	} {
		if _, err := ParseProof(c.b); !errors.Is(err, ErrEncoding) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
	p, err := ParseProof(good)
	if err != nil || !bytes.Equal(p.Bytes(), good) {
		t.Errorf("a good proof: %v", err)
	}
}

func TestVerifyingKeyBytes(t *testing.T) {
	vk := claims(t)[0].Key
	raw := vk.Bytes()
	compressed := compress(vk)
	for name, b := range map[string][]byte{"raw": raw, "compressed": compressed} {
		got, err := ParseVerifyingKey(b)
		if err != nil || got.Digest() != vk.Digest() || !bytes.Equal(got.Bytes(), raw) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
		// Any bit flipped is refused or is another key. Five is prime to eight, so that every
		// place in a byte has its turn.
		for bit := 0; bit < 8*len(b); bit += 5 {
			bad := slices.Clone(b)
			bad[bit/8] ^= 1 << (bit % 8)
			if got, err := ParseVerifyingKey(bad); err == nil && got.Digest() == vk.Digest() {
				t.Errorf("%s: bit %d flipped: the same key", name, bit)
			}
		}
		for n := range len(b) {
			if _, err := ParseVerifyingKey(b[:n]); !errors.Is(err, ErrEncoding) {
				t.Fatalf("%s: %d bytes of it: got %v", name, n, err)
			}
		}
		if _, err := ParseVerifyingKey(append(slices.Clone(b), 0)); !errors.Is(err, ErrEncoding) {
			t.Errorf("%s: a byte more: got %v", name, err)
		}
	}
	o1, o2 := outside()
	var inf curve.G1Affine
	s1, s2, i1 := o1.RawBytes(), o2.RawBytes(), inf.RawBytes()
	for name, bad := range map[string][]byte{
		"alpha outside": replace(raw, 0, s1[:]), "beta outside": replace(raw, 192, s2[:]), "input outside": replace(raw, headBytes+4+96, s1[:]),
		"alpha at infinity": replace(raw, 0, i1[:]), "input at infinity": replace(raw, headBytes+4+96, i1[:]),
		"many inputs": replace(raw, headBytes, []byte{0xff, 0xff, 0xff, 0xff}), "no constant": replace(raw, headBytes, []byte{0, 0, 0, 0}),
	} {
		if _, err := ParseVerifyingKey(bad); !errors.Is(err, ErrEncoding) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := ParseVerifyingKey(replace(raw, headBytes+4, i1[:])); err != nil {
		t.Errorf("constant at infinity: %v", err)
	}
}

func replace(b []byte, at int, with []byte) []byte {
	out := slices.Clone(b)
	copy(out[at:], with)
	return out
}

func compress(vk *VerifyingKey) []byte {
	k := &vk.key
	var out []byte
	g1 := func(p *curve.G1Affine) { b := p.Bytes(); out = append(out, b[:]...) }
	g2 := func(p *curve.G2Affine) { b := p.Bytes(); out = append(out, b[:]...) }
	g1(&k.G1.Alpha)
	g1(&k.G1.Beta)
	g2(&k.G2.Beta)
	g2(&k.G2.Gamma)
	g1(&k.G1.Delta)
	g2(&k.G2.Delta)
	out = binary.BigEndian.AppendUint32(out, uint32(len(k.G1.K)))
	for i := range k.G1.K {
		g1(&k.G1.K[i])
	}
	return out
}

// FuzzProof decodes bytes, and changes the bits of a proof by a mask: the proof itself is another
// one in each process, so bytes that one has found say nothing to the next.
func FuzzProof(f *testing.F) {
	c := claims(f)
	f.Add(c[0].Proof, []byte{})
	f.Add(c[5].Proof[:100], []byte{1})
	f.Add(make([]byte, ProofBytes), make([]byte, ProofBytes+1))
	f.Fuzz(func(t *testing.T, b, mask []byte) {
		p, err := ParseProof(b)
		switch {
		case err != nil && !errors.Is(err, ErrEncoding):
			t.Errorf("got %v", err)
		case err == nil && !bytes.Equal(p.Bytes(), b):
			t.Errorf("%x is another encoding of %x", b, p.Bytes())
		}
		changed := append(bytes.Clone(c[0].Proof), make([]byte, max(0, len(mask)-ProofBytes))...)
		for i, m := range mask {
			changed[i] ^= m
		}
		if ok, _ := c[0].Key.Verify(c[0].Inputs, changed); ok != (bytes.Equal(changed, c[0].Proof) || bytes.Equal(changed, negated(c[0].Proof))) {
			t.Errorf("%x: got %v for %x changed by %x", changed, ok, c[0].Proof, mask)
		}
	})
}

// negated has -A and -B in place of A and B, whose pairing is the same: whoever has a proof can
// make others of its statement, so proofs are never told apart by their bytes.
func negated(proof []byte) []byte {
	const sign, b = 0x20, 48 // the bit of compressed points, and where B begins
	out := bytes.Clone(proof)
	out[0] ^= sign
	out[b] ^= sign
	return out
}

func TestProofsAreMalleable(t *testing.T) {
	c := claims(t)[0]
	if ok, err := c.Key.Verify(c.Inputs, negated(c.Proof)); !ok || err != nil {
		t.Errorf("with both points negated: got %v, %v", ok, err)
	}
}

func FuzzVerifyingKey(f *testing.F) {
	vk := claims(f)[0].Key
	f.Add(vk.Bytes())
	f.Add(compress(vk))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ParseVerifyingKey(b)
		if err != nil {
			if !errors.Is(err, ErrEncoding) {
				t.Errorf("got %v", err)
			}
			return
		}
		if !bytes.Equal(k.Bytes(), b) && !bytes.Equal(compress(k), b) {
			t.Errorf("%x is another encoding", b)
		}
	})
}
