package groth16

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	gnark "github.com/consensys/gnark/backend/groth16/bls12-381"
	"github.com/consensys/gnark/backend/witness"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bls12-381"
)

// ErrUnsatisfied: the witness does not satisfy the circuit, so there is nothing to prove.
var ErrUnsatisfied = errors.New("statement is false")

// Prove proves that a witness satisfies the circuit, and verifies the proof before it returns
// it with the public inputs. gnark's prover takes every core and cannot be stopped
// halfway: the context is looked at before and after it, so who needs to stop a long proof
// runs it in a process of its own.
func (pk *ProvingKey) Prove(ctx context.Context, ccs constraint.ConstraintSystem, w witness.Witness) (proof []byte, inputs []fr.Element, err error) {
	r, err := rankOne(ccs)
	if err != nil {
		return nil, nil, err
	}
	if int64(wires(r)) != pk.header.Wires || r.GetNbPublicVariables() != pk.vk.Inputs()+1 {
		return nil, nil, fmt.Errorf("prove: the constraint system has %d wires and the key of %s has %d: they are of different circuits", wires(r), pk.header.Circuit, pk.header.Wires)
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	vector, ok := w.Vector().(fr.Vector)
	if !ok || len(vector) != r.GetNbPublicVariables()-1+r.GetNbSecretVariables() {
		return nil, nil, fmt.Errorf("prove %s: the witness has %d values of type %T, the circuit has %d public and %d secret ones",
			pk.header.Circuit, len(vector), w.Vector(), r.GetNbPublicVariables()-1, r.GetNbSecretVariables())
	}
	inputs = slices.Clone(vector[:pk.vk.Inputs()])
	made, err := gnark.Prove(r, &pk.key, w)
	if unsatisfied := (*cs.UnsatisfiedConstraintError)(nil); errors.As(err, &unsatisfied) {
		return nil, nil, fmt.Errorf("prove %s: %w: %w", pk.header.Circuit, ErrUnsatisfied, err)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("prove %s: %w", pk.header.Circuit, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	proof = (&Proof{a: made.Ar, b: made.Bs, c: made.Krs}).Bytes()
	switch holds, err := pk.vk.Verify(inputs, proof); {
	case err != nil:
		return nil, nil, fmt.Errorf("prove %s: the proof that was made: %w", pk.header.Circuit, err)
	case !holds:
		return nil, nil, fmt.Errorf("prove %s: the proof that was made %w; the key is not that of the circuit or memory is faulty", pk.header.Circuit, ErrFalse)
	}
	return proof, inputs, nil
}
