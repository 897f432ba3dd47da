package groth16

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	curve "github.com/consensys/gnark-crypto/ecc/bls12-381"
	gnark "github.com/consensys/gnark/backend/groth16/bls12-381"
)

// Digest names a verifying key, and with it a circuit and the secrets of its setup: SHA-256
// of the key's bytes.
type Digest [sha256.Size]byte

// String is hex.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText implements encoding.TextMarshaler: hex.
func (d Digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(b []byte) error {
	if hex.DecodedLen(len(b)) != len(d) {
		return fmt.Errorf("digest %q: %w", b, hex.ErrLength)
	}
	_, err := hex.Decode(d[:], b)
	return err
}

// VerifyingKey checks proofs of one circuit. It is immutable and safe from many goroutines.
type VerifyingKey struct {
	key    gnark.VerifyingKey
	digest Digest
}

// The points of a key before the vector of its inputs, in the order of Filecoin's .vk files.
const (
	headG1, headG2 = 3, 3
	headBytes      = headG1*curve.SizeOfG1AffineUncompressed + headG2*curve.SizeOfG2AffineUncompressed
	headCompressed = headG1*curve.SizeOfG1AffineCompressed + headG2*curve.SizeOfG2AffineCompressed
)

// maxInputs bounds the public inputs of a key that is read.
const maxInputs = 1 << 20

// ParseVerifyingKey decodes a key as Filecoin's .vk files have it, or the same with
// compressed points. A public input that no constraint uses, whose point is infinity, is
// refused: a proof would say nothing about it.
func ParseVerifyingKey(b []byte) (*VerifyingKey, error) {
	head, size1, size2 := headBytes, curve.SizeOfG1AffineUncompressed, curve.SizeOfG2AffineUncompressed
	if len(b) > 0 && b[0]&0x80 != 0 {
		head, size1, size2 = headCompressed, curve.SizeOfG1AffineCompressed, curve.SizeOfG2AffineCompressed
	}
	if len(b) < head+4 {
		return nil, fmt.Errorf("verifying key: %w: only %d bytes", ErrEncoding, len(b))
	}
	n := uint64(binary.BigEndian.Uint32(b[head:]))
	if n == 0 || n > maxInputs+1 || uint64(len(b)) != uint64(head)+4+n*uint64(size1) {
		return nil, fmt.Errorf("verifying key: %w: %d bytes do not hold %d input points", ErrEncoding, len(b), n)
	}
	vk := new(VerifyingKey)
	k := &vk.key
	k.G1.K = make([]curve.G1Affine, n)
	for _, p := range []any{&k.G1.Alpha, &k.G1.Beta, &k.G2.Beta, &k.G2.Gamma, &k.G1.Delta, &k.G2.Delta} {
		var err error
		switch p := p.(type) {
		case *curve.G1Affine:
			err, b = parseG1(p, b[:size1]), b[size1:]
		case *curve.G2Affine:
			err, b = parseG2(p, b[:size2]), b[size2:]
		}
		if err != nil {
			return nil, fmt.Errorf("verifying key: %w", err)
		}
	}
	b = b[4:]
	for i := range k.G1.K {
		if err := parseInput(&k.G1.K[i], b[:size1], i); err != nil {
			return nil, fmt.Errorf("verifying key: input %d: %w", i-1, err)
		}
		b = b[size1:]
	}
	return vk, vk.finish()
}

// parseInput decodes the point of an input. The constant, which comes first, may be
// infinity, since a circuit need not use it.
func parseInput(p *curve.G1Affine, b []byte, i int) error {
	if infinity := new(curve.G1Affine); i == 0 {
		raw, short := infinity.RawBytes(), infinity.Bytes()
		if string(b) == string(raw[:]) || string(b) == string(short[:]) {
			*p = curve.G1Affine{}
			return nil
		}
	}
	return parseG1(p, b)
}

// newVerifyingKey takes over a key of gnark's.
func newVerifyingKey(k *gnark.VerifyingKey) (*VerifyingKey, error) {
	if len(k.CommitmentKeys) != 0 || len(k.PublicAndCommitmentCommitted) != 0 {
		return nil, fmt.Errorf("verifying key: the circuit makes commitments, which a proof of %d bytes has no room for", ProofBytes)
	}
	for i := range k.G1.K {
		if i > 0 && k.G1.K[i].IsInfinity() {
			return nil, fmt.Errorf("verifying key: no constraint uses public input %d", i-1)
		}
	}
	vk := &VerifyingKey{key: *k}
	return vk, vk.finish()
}

// finish computes what follows from the points.
func (vk *VerifyingKey) finish() error {
	if err := vk.key.Precompute(); err != nil {
		return fmt.Errorf("verifying key: %w", err)
	}
	vk.digest = sha256.Sum256(vk.Bytes())
	return nil
}

// Bytes encodes the key as Filecoin's .vk files have it: uncompressed points.
func (vk *VerifyingKey) Bytes() []byte {
	k := &vk.key
	out := make([]byte, 0, headBytes+4+len(k.G1.K)*curve.SizeOfG1AffineUncompressed)
	g1 := func(p *curve.G1Affine) { b := p.RawBytes(); out = append(out, b[:]...) }
	g2 := func(p *curve.G2Affine) { b := p.RawBytes(); out = append(out, b[:]...) }
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

// Digest names the key.
func (vk *VerifyingKey) Digest() Digest { return vk.digest }

// Inputs is how many public inputs a statement has.
func (vk *VerifyingKey) Inputs() int { return len(vk.key.G1.K) - 1 }
