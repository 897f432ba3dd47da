package groth16

import (
	"fmt"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	gnark "github.com/consensys/gnark/backend/groth16/bls12-381"
)

// Verify tells whether a proof holds for public inputs. An error means that the bytes are no
// proof or that the key wants another number of inputs; both are a refusal.
func (vk *VerifyingKey) Verify(inputs []fr.Element, proof []byte) (bool, error) {
	if err := vk.fits(inputs); err != nil {
		return false, err
	}
	p, err := ParseProof(proof)
	if err != nil {
		return false, err
	}
	return vk.holds(inputs, p), nil
}

// fits checks the number of inputs.
func (vk *VerifyingKey) fits(inputs []fr.Element) error {
	if len(inputs) != vk.Inputs() {
		return fmt.Errorf("statement: %d public inputs, the key of the circuit has %d", len(inputs), vk.Inputs())
	}
	return nil
}

// holds is the equation. What gnark could find wrong with the form was checked before, so
// its error means that the equation does not hold.
func (vk *VerifyingKey) holds(inputs []fr.Element, p *Proof) bool {
	return gnark.Verify(p.gnark(), &vk.key, inputs) == nil
}
