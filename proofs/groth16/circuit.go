package groth16

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bls12-381"
)

// rankOne takes a constraint system that a proof of three points can be made of.
func rankOne(ccs constraint.ConstraintSystem) (*cs.R1CS, error) {
	r, ok := ccs.(*cs.R1CS)
	if !ok || r.Type != constraint.SystemR1CS {
		return nil, fmt.Errorf("constraint system: %T is not rank one over BLS12-381", ccs)
	}
	if info, ok := r.CommitmentInfo.(constraint.Groth16Commitments); !ok || len(info) != 0 {
		return nil, fmt.Errorf("constraint system: it makes commitments (lookups and range checks do), which a proof of %d bytes has no room for", ProofBytes)
	}
	if r.GetNbConstraints() == 0 || r.GetNbPublicVariables() == 0 {
		return nil, fmt.Errorf("constraint system: it is empty")
	}
	return r, nil
}

// wires is how many variables there are, public, secret and internal in this order.
func wires(r *cs.R1CS) int {
	return r.NbInternalVariables + r.GetNbPublicVariables() + r.GetNbSecretVariables()
}

// Fingerprint identifies the constraints of a system: two systems with the same fingerprint
// and the same secrets have the same keys. Names, hints and debug information, which say
// nothing about what is proven, are not part of it.
func Fingerprint(ccs constraint.ConstraintSystem) (Digest, error) {
	r, err := rankOne(ccs)
	if err != nil {
		return Digest{}, err
	}
	h := sha256.New()
	buf := make([]byte, 0, 1<<16)
	for _, n := range []int{r.GetNbPublicVariables(), r.GetNbSecretVariables(), r.NbInternalVariables, r.GetNbConstraints(), len(r.Coefficients)} {
		buf = binary.LittleEndian.AppendUint64(buf, uint64(n))
	}
	flush := func(room int) {
		if len(buf)+room > cap(buf) {
			h.Write(buf)
			buf = buf[:0]
		}
	}
	for i := range r.Coefficients {
		flush(32)
		b := r.Coefficients[i].Bytes()
		buf = append(buf, b[:]...)
	}
	it := r.GetR1CIterator()
	for c := it.Next(); c != nil; c = it.Next() {
		for _, e := range []constraint.LinearExpression{c.L, c.R, c.O} {
			flush(4)
			buf = binary.LittleEndian.AppendUint32(buf, uint32(len(e)))
			for _, t := range e {
				flush(8)
				buf = binary.LittleEndian.AppendUint32(buf, t.CID)
				buf = binary.LittleEndian.AppendUint32(buf, t.VID)
			}
		}
	}
	h.Write(buf)
	return Digest(h.Sum(nil)), nil
}
