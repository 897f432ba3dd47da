package groth16

import (
	"context"
	"errors"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

func TestProve(t *testing.T) {
	ccs := compile(t, small)
	file, vk := setup(t, ccs, "a")
	pk := openKey(t, file)
	proof, inputs, err := pk.Prove(t.Context(), ccs, witnessOf(t, small.assign(12345)))
	if err != nil {
		t.Fatal(err)
	}
	if len(proof) != ProofBytes || len(inputs) != vk.Inputs() {
		t.Errorf("got %d bytes and %d inputs", len(proof), len(inputs))
	}
	if ok, err := vk.Verify(inputs, proof); !ok || err != nil {
		t.Errorf("the proof is refused: %v", err)
	}
	for i := range inputs {
		bad := append([]fr.Element(nil), inputs...)
		bad[i].Add(&bad[i], new(fr.Element).SetOne())
		if ok, err := vk.Verify(bad, proof); ok || err != nil {
			t.Errorf("input %d changed: got %v, %v", i, ok, err)
		}
	}
	if _, err := vk.Verify(inputs[1:], proof); err == nil {
		t.Error("an input less was taken")
	}
	if _, err := vk.Verify(append(inputs, inputs[0]), proof); err == nil {
		t.Error("an input more was taken")
	}

	t.Run("false statement", func(t *testing.T) {
		a := small.assign(12345)
		a.Salt = 10
		if _, _, err := pk.Prove(t.Context(), ccs, witnessOf(t, a)); !errors.Is(err, ErrUnsatisfied) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("witness of another shape", func(t *testing.T) {
		if _, _, err := pk.Prove(t.Context(), ccs, witnessOf(t, &load{In: 1, Out: 1})); err == nil {
			t.Error("got a proof")
		}
	})
	t.Run("another circuit", func(t *testing.T) {
		other := &toy{Rounds: 21, Bits: 16}
		if _, _, err := pk.Prove(t.Context(), compile(t, other), witnessOf(t, other.assign(1))); err == nil {
			t.Error("got a proof")
		}
	})
	t.Run("another circuit of the same size", func(t *testing.T) {
		three, four := &constants{A: 3}, &constants{A: 4}
		file, _ := setup(t, compile(t, three), "a")
		_, _, err := openKey(t, file).Prove(t.Context(), compile(t, four), witnessOf(t, &constants{X: 1, Out: 4 * 29}))
		if !errors.Is(err, ErrFalse) {
			t.Errorf("got %v", err)
		}
		if _, _, err := openKey(t, file).Prove(t.Context(), compile(t, three), witnessOf(t, &constants{X: 1, Out: 3 * 22})); err != nil {
			t.Error(err)
		}
	})
	t.Run("key of another circuit", func(t *testing.T) {
		other := &toy{Rounds: 21, Bits: 16}
		_, otherVK := setup(t, compile(t, other), "a")
		if ok, err := otherVK.Verify(inputs, proof); ok || err != nil {
			t.Errorf("got %v, %v", ok, err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := pk.Prove(ctx, ccs, witnessOf(t, small.assign(1))); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
