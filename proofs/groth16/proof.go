package groth16

import (
	"errors"
	"fmt"

	curve "github.com/consensys/gnark-crypto/ecc/bls12-381"
	gnark "github.com/consensys/gnark/backend/groth16/bls12-381"
)

// ProofBytes is the length of an encoded proof.
const ProofBytes = curve.SizeOfG1AffineCompressed + curve.SizeOfG2AffineCompressed + curve.SizeOfG1AffineCompressed

// ErrEncoding: bytes that are no proof or no key, whatever the statement.
var ErrEncoding = errors.New("malformed")

// Proof is a decoded proof. All its points are in the right subgroup and none is infinity.
type Proof struct {
	a, c curve.G1Affine
	b    curve.G2Affine
}

// ParseProof decodes A || B || C, compressed. It takes exactly the bytes that Bytes gives.
func ParseProof(b []byte) (*Proof, error) {
	if len(b) != ProofBytes {
		return nil, fmt.Errorf("proof: %w: %d bytes, not %d", ErrEncoding, len(b), ProofBytes)
	}
	const endA, endB = curve.SizeOfG1AffineCompressed, curve.SizeOfG1AffineCompressed + curve.SizeOfG2AffineCompressed
	p := new(Proof)
	if err := parseG1(&p.a, b[:endA]); err != nil {
		return nil, fmt.Errorf("proof: A: %w", err)
	}
	if err := parseG2(&p.b, b[endA:endB]); err != nil {
		return nil, fmt.Errorf("proof: B: %w", err)
	}
	if err := parseG1(&p.c, b[endB:]); err != nil {
		return nil, fmt.Errorf("proof: C: %w", err)
	}
	return p, nil
}

// Bytes encodes the proof.
func (p *Proof) Bytes() []byte {
	a, b, c := p.a.Bytes(), p.b.Bytes(), p.c.Bytes()
	out := make([]byte, 0, ProofBytes)
	out = append(out, a[:]...)
	out = append(out, b[:]...)
	return append(out, c[:]...)
}

func (p *Proof) gnark() *gnark.Proof { return &gnark.Proof{Ar: p.a, Bs: p.b, Krs: p.c} }

// parseG1 decodes a point, compressed or not as the length says, and refuses any encoding
// but the canonical one, points outside the subgroup, and infinity.
func parseG1(p *curve.G1Affine, b []byte) error {
	if !rightForm(b, curve.SizeOfG1AffineCompressed) {
		return fmt.Errorf("%w: point of G1 in the wrong form", ErrEncoding)
	}
	if _, err := p.SetBytes(b); err != nil {
		return fmt.Errorf("%w: point of G1: %w", ErrEncoding, err)
	}
	if p.IsInfinity() {
		return fmt.Errorf("%w: point of G1 is infinity", ErrEncoding)
	}
	return nil
}

// parseG2 is parseG1 for the other group.
func parseG2(p *curve.G2Affine, b []byte) error {
	if !rightForm(b, curve.SizeOfG2AffineCompressed) {
		return fmt.Errorf("%w: point of G2 in the wrong form", ErrEncoding)
	}
	if _, err := p.SetBytes(b); err != nil {
		return fmt.Errorf("%w: point of G2: %w", ErrEncoding, err)
	}
	if p.IsInfinity() {
		return fmt.Errorf("%w: point of G2 is infinity", ErrEncoding)
	}
	return nil
}

// rightForm tells whether the first bit says compressed exactly when the length does.
func rightForm(b []byte, compressed int) bool {
	isCompressed := len(b) == compressed
	return (isCompressed || len(b) == 2*compressed) && (b[0]&0x80 != 0) == isCompressed
}
