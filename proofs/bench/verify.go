package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	curve "github.com/consensys/gnark-crypto/ecc/bls12-381"
	gnark "github.com/consensys/gnark/backend/groth16/bls12-381"

	"github.com/lodenet/lode/proofs/groth16"
)

// batches are how many proofs are checked at once.
var batches = []int{10, 100}

// verifyRates measures verifiers on the proofs that were made, from bytes to answer.
func (s *session) verifyRates(ctx context.Context, e Env) ([]Row, error) {
	if len(s.made) == 0 {
		return []Row{{Name: "verify", Skipped: "it takes the proofs of the stage prove, which was left out"}}, nil
	}
	var rows []Row
	for i := range s.made {
		some, err := s.made[i].rates(ctx, e)
		if err != nil {
			return nil, err
		}
		rows = append(rows, some...)
	}
	return rows, nil
}

// errRefused: a proof that was made a moment ago does not hold.
var errRefused = errors.New("a proof that holds was refused")

func (m *made) rates(ctx context.Context, e Env) ([]Row, error) {
	peer, err := m.peer()
	if err != nil {
		return nil, err
	}
	tasks := []task{{1, func() error {
		if ok, err := m.key.Verify(m.inputs, m.proof); !ok || err != nil {
			return errors.Join(errRefused, err)
		}
		return nil
	}}, {1, peer}}
	for _, n := range batches {
		// The same claim over and over takes as long as any others: nothing is remembered.
		claims := make([]groth16.Claim, n)
		for i := range claims {
			claims[i] = groth16.Claim{Key: m.key, Inputs: m.inputs, Proof: m.proof}
		}
		tasks = append(tasks, task{float64(n), func() error {
			answers, err := groth16.VerifyBatch(ctx, claims)
			return errors.Join(append(answers, err)...)
		}})
	}
	rates, err := e.compare(ctx, tasks...)
	if err != nil {
		return nil, err
	}
	row := func(what string, rate float64) Row {
		return Row{Name: fmt.Sprintf("verify %s, %s", m.what, what), Rate: rate, Unit: "proofs/s", Cores: allCores(), Note: took(rate) + " each"}
	}
	single := rates[0]
	rows := []Row{row("one by one", single).against("gnark, "+took(rates[1])+" each", rates[1], 0)}
	for i, n := range batches {
		rows = append(rows, row(fmt.Sprintf("%d at once", n), rates[2+i]).against("one by one", single, 0))
	}
	return rows, nil
}

// peer is gnark's verifier of the same proof, with decoding, as ours has it.
func (m *made) peer() (func() error, error) {
	// gnark's forms end with commitments, of which there are none.
	const length = 4
	var key gnark.VerifyingKey
	if _, err := key.ReadFrom(bytes.NewReader(append(m.key.Bytes(), make([]byte, 2*length)...))); err != nil {
		return nil, fmt.Errorf("gnark: key of %s: %w", m.what, err)
	}
	infinity := new(curve.G1Affine).Bytes()
	encoded := append(append(bytes.Clone(m.proof), make([]byte, length)...), infinity[:]...)
	return func() error {
		var p gnark.Proof
		if _, err := p.ReadFrom(bytes.NewReader(encoded)); err != nil {
			return fmt.Errorf("gnark: %w", err)
		}
		return gnark.Verify(&p, &key, m.inputs)
	}, nil
}
