package groth16

import (
	"fmt"
	"math/big"
	"testing"

	curve "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

// edgeScalars are those where digits carry, vanish or change sign, and random ones.
func edgeScalars(t testing.TB, n int) []fr.Element {
	s := make([]fr.Element, n)
	half := new(big.Int).Rsh(fr.Modulus(), 1)
	for i := range s {
		switch {
		case i < 20:
			s[i].SetInt64(int64(i - 10))
		case i < 30:
			s[i].SetBigInt(new(big.Int).Add(half, big.NewInt(int64(i-25))))
		case i < 284:
			s[i].SetBigInt(new(big.Int).Lsh(big.NewInt(1), uint(i-30)))
		case i < 538:
			b := new(big.Int).Lsh(big.NewInt(1), uint(i-284))
			s[i].SetBigInt(b.Sub(b, big.NewInt(1)))
		default:
			if _, err := s[i].SetRandom(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s
}

func TestMultiply(t *testing.T) {
	_, _, g1, g2 := curve.Generators()
	scalars := edgeScalars(t, 600)
	for _, c := range []int{4, 7, 8, 13} {
		t.Run(fmt.Sprintf("window %d", c), func(t *testing.T) {
			t1, err := newTable[fp.Element](t.Context(), g1Point(g1), c)
			if err != nil {
				t.Fatal(err)
			}
			t2, err := newTable[curve.E2](t.Context(), g2Point(g2), c)
			if err != nil {
				t.Fatal(err)
			}
			got1, got2 := make([]g1Point, len(scalars)), make([]g2Point, len(scalars))
			t1.multiply(got1, scalars, &scratch[fp.Element, *fp.Element]{})
			t2.multiply(got2, scalars, &scratch[curve.E2, *curve.E2]{})
			want1, want2 := curve.BatchScalarMultiplicationG1(&g1, scalars), curve.BatchScalarMultiplicationG2(&g2, scalars)
			for i := range scalars {
				if curve.G1Affine(got1[i]) != want1[i] {
					t.Fatalf("scalar %d (%s): got another point of G1", i, scalars[i].String())
				}
				if curve.G2Affine(got2[i]) != want2[i] {
					t.Fatalf("scalar %d (%s): got another point of G2", i, scalars[i].String())
				}
			}
		})
	}
}

func BenchmarkMultiply(b *testing.B) {
	_, _, g1, g2 := curve.Generators()
	scalars := edgeScalars(b, 1<<14)[1<<14-blockPoints:]
	b.Run("G1", func(b *testing.B) {
		t, err := newTable[fp.Element](b.Context(), g1Point(g1), 16)
		if err != nil {
			b.Fatal(err)
		}
		out, s := make([]g1Point, len(scalars)), &scratch[fp.Element, *fp.Element]{}
		perPoint(b, len(scalars), func() { t.multiply(out, scalars, s) })
	})
	b.Run("G2", func(b *testing.B) {
		t, err := newTable[curve.E2](b.Context(), g2Point(g2), 16)
		if err != nil {
			b.Fatal(err)
		}
		out, s := make([]g2Point, len(scalars)), &scratch[curve.E2, *curve.E2]{}
		perPoint(b, len(scalars), func() { t.multiply(out, scalars, s) })
	})
	b.Run("gnark G1", func(b *testing.B) {
		perPoint(b, len(scalars), func() { curve.BatchScalarMultiplicationG1(&g1, scalars) })
	})
	b.Run("gnark G2", func(b *testing.B) {
		perPoint(b, len(scalars), func() { curve.BatchScalarMultiplicationG2(&g2, scalars) })
	})
}

// perPoint reports the time a point, also that of processors, which others change less.
func perPoint(b *testing.B, points int, work func()) {
	used := cpu()
	for b.Loop() {
		work()
	}
	n := float64(b.N * points)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/point")
	b.ReportMetric((cpu()-used)*1e9/n, "cpu-ns/point")
}
