package sigs

import (
	"errors"
	"fmt"
	"math/big"
	"slices"

	bls "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"golang.org/x/crypto/blake2b"
)

const (
	blsPublicBytes    = 48
	blsSignatureBytes = 96
)

// signatureDST is the domain of hashing to G2 (spec chain.md a.4).
var signatureDST = []byte("BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_")

var _, _, g1, _ = bls.Generators()

// blsKeyFromSeed reduces at least 48 bytes to a scalar, little-endian on output.
func blsKeyFromSeed(seed []byte) []byte {
	var s fr.Element
	s.SetBytes(seed)
	if s.IsZero() {
		s.SetOne()
	}
	b := s.Bytes()
	slices.Reverse(b[:])
	return b[:]
}

func expandSeed(seed []byte) []byte {
	h := blake2b.Sum512(seed)
	return h[:]
}

func blsScalar(private []byte) (*big.Int, error) {
	if len(private) != 32 {
		return nil, errors.New("BLS private key is not 32 bytes")
	}
	be := slices.Clone(private)
	slices.Reverse(be)
	s := new(big.Int).SetBytes(be)
	if s.Sign() == 0 || s.Cmp(fr.Modulus()) >= 0 {
		return nil, errors.New("BLS private key is not a scalar of the group")
	}
	return s, nil
}

func blsPublic(private []byte) ([]byte, error) {
	s, err := blsScalar(private)
	if err != nil {
		return nil, err
	}
	var p bls.G1Affine
	p.ScalarMultiplication(&g1, s)
	b := p.Bytes()
	return b[:], nil
}

func signBLS(private, msg []byte) ([]byte, error) {
	s, err := blsScalar(private)
	if err != nil {
		return nil, err
	}
	h, err := bls.HashToG2(msg, signatureDST)
	if err != nil {
		return nil, err
	}
	h.ScalarMultiplication(&h, s)
	b := h.Bytes()
	return b[:], nil
}

// Aggregate adds BLS signatures up. Of none it is the encoded identity (spec chain.md a.4).
func Aggregate(sigs [][]byte) ([]byte, error) {
	var sum bls.G2Jac
	for i, b := range sigs {
		p, err := decodeSignature(b)
		if err != nil {
			return nil, fmt.Errorf("signature %d: %w", i, err)
		}
		sum.AddMixed(p)
	}
	var out bls.G2Affine
	out.FromJacobian(&sum)
	b := out.Bytes()
	return b[:], nil
}

// VerifyAggregate checks one BLS signature over several messages, each by its own key in
// compressed form. The messages must be pairwise distinct and at least one; no key may be
// the identity.
func VerifyAggregate(sig []byte, keys, msgs [][]byte) error {
	if len(keys) != len(msgs) || len(keys) == 0 {
		return fmt.Errorf("%w: %d keys for %d messages", ErrInvalid, len(keys), len(msgs))
	}
	s, err := decodeSignature(sig)
	if err != nil {
		return err
	}
	seen := make(map[string]struct{}, len(msgs))
	ps := make([]bls.G1Affine, 0, len(keys)+1)
	qs := make([]bls.G2Affine, 0, len(keys)+1)
	for i, m := range msgs {
		if _, dup := seen[string(m)]; dup {
			return fmt.Errorf("%w: message %d is not distinct", ErrInvalid, i)
		}
		seen[string(m)] = struct{}{}
		k, err := decodePublic(keys[i])
		if err != nil {
			return fmt.Errorf("key %d: %w", i, err)
		}
		h, err := bls.HashToG2(m, signatureDST)
		if err != nil {
			return err
		}
		ps, qs = append(ps, *k), append(qs, h)
	}
	var minusG bls.G1Affine
	minusG.Neg(&g1)
	ok, err := bls.PairingCheck(append(ps, minusG), append(qs, *s))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if !ok {
		return ErrInvalid
	}
	return nil
}

func decodeSignature(b []byte) (*bls.G2Affine, error) {
	var p bls.G2Affine
	if len(b) != blsSignatureBytes {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrInvalid, len(b), blsSignatureBytes)
	}
	if n, err := p.SetBytes(b); err != nil || n != len(b) {
		return nil, fmt.Errorf("%w: not a compressed point of the group", ErrInvalid)
	}
	return &p, nil
}

func decodePublic(b []byte) (*bls.G1Affine, error) {
	var p bls.G1Affine
	if len(b) != blsPublicBytes {
		return nil, fmt.Errorf("%w: key of %d bytes, want %d", ErrInvalid, len(b), blsPublicBytes)
	}
	if n, err := p.SetBytes(b); err != nil || n != len(b) {
		return nil, fmt.Errorf("%w: key is not a compressed point of the group", ErrInvalid)
	}
	if p.IsInfinity() {
		return nil, fmt.Errorf("%w: key is the identity", ErrInvalid)
	}
	return &p, nil
}
