package snark

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"

	"github.com/lodenet/lode/proofs"
	"github.com/lodenet/lode/proofs/circuit"
	"github.com/lodenet/lode/proofs/groth16"
	"github.com/lodenet/lode/proofs/params"
	"github.com/lodenet/lode/proofs/post"
	"github.com/lodenet/lode/proofs/registry"
)

// ErrNoKey: the network has no verifying key for such proofs, so nobody can check one.
var ErrNoKey = errors.New("the network has no verifying key of this circuit")

// Verifier checks proofs by the verifying keys of a network. It is immutable and safe from
// many goroutines.
type Verifier struct {
	keys map[string]*groth16.VerifyingKey // by circuit
}

var _ proofs.Verifier = (*Verifier)(nil)

// NewVerifier takes a network's keys by the names of their circuits. All circuits of its sector
// size must have one; those of other circuits are taken too.
func NewVerifier(keys map[string][]byte, size abi.SectorSize) (*Verifier, error) {
	v := &Verifier{keys: make(map[string]*groth16.VerifyingKey, len(keys))}
	for name, b := range keys {
		vk, err := groth16.ParseVerifyingKey(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		v.keys[name] = vk
	}
	circuits, err := params.Circuits(size)
	if err != nil {
		return nil, err
	}
	for _, c := range circuits {
		vk, err := v.key(c)
		if err != nil {
			return nil, fmt.Errorf("%w; this version of lode knows other circuits than the network was made with, or none of its keys are of sectors of this size", err)
		}
		if vk.Inputs() != c.PublicInputs() {
			return nil, fmt.Errorf("%s: the verifying key is of %d public inputs, the circuit has %d", c.Name(), vk.Inputs(), c.PublicInputs())
		}
	}
	return v, nil
}

func (v *Verifier) key(c params.Circuit) (*groth16.VerifyingKey, error) {
	vk, ok := v.keys[c.Name()]
	if !ok {
		return nil, fmt.Errorf("%s: %w", c.Name(), ErrNoKey)
	}
	return vk, nil
}

// Name implements proofs.Verifier.
func (*Verifier) Name() string { return Name }

// VerifySeal implements proofs.Verifier.
func (v *Verifier) VerifySeal(ctx context.Context, s proof.SealVerifyInfo) (bool, error) {
	claims, err := v.sealClaims(s)
	if err != nil {
		return false, err
	}
	return hold(ctx, claims)
}

// VerifySeals implements proofs.Verifier. All are checked in one batch. A statement that is
// none is false like one whose proof does not hold, so that it says nothing about the others;
// the error is the context's.
func (v *Verifier) VerifySeals(ctx context.Context, s []proof.SealVerifyInfo) ([]bool, error) {
	oks := make([]bool, len(s))
	var claims []groth16.Claim
	var of []int // the statement of each claim
	for i := range s {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		c, err := v.sealClaims(s[i])
		oks[i] = err == nil
		for range c {
			of = append(of, i)
		}
		claims = append(claims, c...)
	}
	answers, err := groth16.VerifyBatch(ctx, claims)
	if err != nil {
		return nil, err
	}
	for k, answer := range answers {
		oks[of[k]] = oks[of[k]] && answer == nil
	}
	return oks, nil
}

// VerifyWindowPoSt implements proofs.Verifier.
func (v *Verifier) VerifyWindowPoSt(ctx context.Context, s proof.WindowPoStVerifyInfo) (bool, error) {
	return v.verifyPoSt(ctx, false, s)
}

// VerifyWinningPoSt implements proofs.Verifier.
func (v *Verifier) VerifyWinningPoSt(ctx context.Context, s proof.WinningPoStVerifyInfo) (bool, error) {
	return v.verifyPoSt(ctx, true, proof.WindowPoStVerifyInfo(s))
}

// sealClaims are what a seal proof claims, one a partition.
func (v *Verifier) sealClaims(s proof.SealVerifyInfo) ([]groth16.Claim, error) {
	seal, err := registry.SealOf(s.SealProof)
	if err != nil {
		return nil, err
	}
	if seal.Feature != registry.Interactive {
		return nil, fmt.Errorf("sector %d: seal proof %d is not interactive; networks of lode have none such", s.Number, s.SealProof)
	}
	c, err := circuit.PoRep(seal)
	if err != nil {
		return nil, err
	}
	claims, err := v.claims(c, seal.Partitions, s.Proof, func(k int) ([]element, error) { return circuit.PoRepInputs(s, k) })
	if err != nil {
		return nil, fmt.Errorf("sector %d: %w", s.Number, err)
	}
	return claims, nil
}

func (v *Verifier) verifyPoSt(ctx context.Context, winning bool, s proof.WindowPoStVerifyInfo) (bool, error) {
	if len(s.Proofs) != 1 {
		return false, fmt.Errorf("%d PoSt proofs, there is one", len(s.Proofs))
	}
	given := s.Proofs[0]
	st, err := post.NewStatement(given.PoStProof, s.Prover, s.Randomness, s.ChallengedSectors)
	if err != nil {
		return false, err
	}
	if st.Winning != winning {
		return false, fmt.Errorf("post proof %d is of the other kind", st.Proof)
	}
	c, err := CircuitOf(st.PoSt)
	if err != nil {
		return false, err
	}
	claims, err := v.claims(c, st.Partitions(), given.ProofBytes, func(k int) ([]element, error) { return circuit.PoStInputs(st, k) })
	if err != nil {
		return false, err
	}
	return hold(ctx, claims)
}

// claims cuts a proof into those of its partitions.
func (v *Verifier) claims(c *circuit.Statement, partitions int, proof []byte, inputs func(k int) ([]element, error)) ([]groth16.Claim, error) {
	vk, err := v.key(c)
	if err != nil {
		return nil, err
	}
	if len(proof) != partitions*proofs.ProofBytes {
		return nil, fmt.Errorf("a proof of %d bytes where %d partitions have %d", len(proof), partitions, partitions*proofs.ProofBytes)
	}
	out := make([]groth16.Claim, partitions)
	for k := range out {
		in, err := inputs(k)
		if err != nil {
			return nil, err
		}
		out[k] = groth16.Claim{Key: vk, Inputs: in, Proof: proof[k*proofs.ProofBytes:][:proofs.ProofBytes]}
	}
	return out, nil
}

// hold tells whether all claims hold.
func hold(ctx context.Context, claims []groth16.Claim) (bool, error) {
	answers, err := groth16.VerifyBatch(ctx, claims)
	if err != nil {
		return false, err
	}
	err = errors.Join(answers...)
	if err == nil {
		return true, nil
	}
	for _, answer := range answers {
		if answer != nil && !errors.Is(answer, groth16.ErrFalse) {
			return false, err
		}
	}
	return false, nil
}
