package groth16

import (
	"crypto/sha512"
	"fmt"
	"io"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

// Secrets are what a setup draws. Whoever knows them can prove anything under the keys, so
// for a network of value nobody may: its keys come from a ceremony, not from here.
type Secrets struct {
	tau, alpha, beta, gamma, delta fr.Element
}

// NewSecrets draws secrets from a source of randomness.
func NewSecrets(random io.Reader) (*Secrets, error) {
	return newSecrets(func(int) (b [64]byte, err error) {
		_, err = io.ReadFull(random, b[:])
		return b, err
	})
}

// InsecureSecrets derives secrets from a public seed: the same on every machine, and known
// to everybody. They are for development networks.
func InsecureSecrets(seed []byte) (*Secrets, error) {
	return newSecrets(func(i int) ([64]byte, error) {
		return sha512.Sum512(fmt.Appendf(nil, "lode insecure groth16 setup, secret %d of seed %x", i, seed)), nil
	})
}

// newSecrets takes 512 bits a secret, so that reduction leaves no bias worth the name.
func newSecrets(draw func(i int) ([64]byte, error)) (*Secrets, error) {
	s := new(Secrets)
	for i, e := range []*fr.Element{&s.tau, &s.alpha, &s.beta, &s.gamma, &s.delta} {
		b, err := draw(i)
		if err != nil {
			return nil, fmt.Errorf("secrets: %w", err)
		}
		if e.SetBytes(b[:]); e.IsZero() {
			return nil, fmt.Errorf("secrets: the randomness gave zero, which happens never; check the source")
		}
	}
	return s, nil
}
