package groth16

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

// spoil makes the claims at these places false or malformed, each in its own way.
func spoil(c []Claim, at ...int) {
	for k, i := range at {
		c[i].Inputs, c[i].Proof = slices.Clone(c[i].Inputs), slices.Clone(c[i].Proof)
		switch k % 5 {
		case 0:
			c[i].Inputs[0].Add(&c[i].Inputs[0], new(fr.Element).SetOne())
		case 1:
			c[i].Proof[0] ^= 0x20 // the sign of A
		case 2:
			c[i].Proof = c[i].Proof[:100]
		case 3:
			c[i].Inputs = c[i].Inputs[1:]
		case 4:
			c[i].Proof[150] ^= 1
		}
	}
}

// TestVerifyBatch: a batch answers what each claim alone gets.
func TestVerifyBatch(t *testing.T) {
	all := claims(t)
	for _, c := range []struct {
		n   int
		bad []int
	}{
		{0, nil}, {1, nil}, {1, []int{0}}, {2, nil}, {8, nil}, {8, []int{3}}, {8, []int{0, 7, 4, 5, 2}},
		{8, []int{0, 1, 2, 3, 4, 5, 6, 7}}, {21, nil}, {21, []int{20, 19}},
	} {
		t.Run(fmt.Sprintf("%d with %d bad", c.n, len(c.bad)), func(t *testing.T) {
			batch := make([]Claim, c.n)
			for i := range batch {
				batch[i] = all[i%len(all)]
			}
			spoil(batch, c.bad...)
			got, err := VerifyBatch(t.Context(), batch)
			if err != nil || len(got) != c.n {
				t.Fatalf("got %d answers, %v", len(got), err)
			}
			for i, cl := range batch {
				ok, err := cl.Key.Verify(cl.Inputs, cl.Proof)
				if ok != (got[i] == nil) || (err == nil && !ok) != errors.Is(got[i], ErrFalse) {
					t.Errorf("claim %d: alone %v, %v; in the batch %v", i, ok, err, got[i])
				}
				if ok == slices.Contains(c.bad, i) {
					t.Errorf("claim %d: alone %v", i, ok)
				}
			}
		})
	}
}

// TestBatchIsNotFooled: two false proofs whose errors cancel in a plain sum are both found.
func TestBatchIsNotFooled(t *testing.T) {
	all := claims(t)
	a, b := all[0], all[1]
	pa, err := ParseProof(a.Proof)
	if err != nil {
		t.Fatal(err)
	}
	pb, err := ParseProof(b.Proof)
	if err != nil {
		t.Fatal(err)
	}
	pa.c.Add(&pa.c, &pb.a) // C_a + P and C_b - P
	pb.c.Sub(&pb.c, &pb.a)
	a.Proof, b.Proof = pa.Bytes(), pb.Bytes()
	got, err := VerifyBatch(t.Context(), []Claim{a, b, all[2]})
	if err != nil || !errors.Is(got[0], ErrFalse) || !errors.Is(got[1], ErrFalse) || got[2] != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestBatchStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := VerifyBatch(ctx, claims(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkVerify(b *testing.B) {
	c := claims(b)[0]
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			if ok, err := c.Key.Verify(c.Inputs, c.Proof); !ok {
				b.Fatal(err)
			}
		}
	})
	for _, n := range []int{10, 100} {
		b.Run(fmt.Sprintf("batch of %d", n), func(b *testing.B) {
			all := claims(b)
			batch := make([]Claim, n)
			for i := range batch {
				batch[i] = all[rand.IntN(4)]
			}
			for b.Loop() {
				if got, err := VerifyBatch(b.Context(), batch); err != nil || got[0] != nil {
					b.Fatal(got, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "us/proof")
		})
	}
}
