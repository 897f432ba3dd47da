package circuit

import (
	"testing"

	bls12381 "github.com/consensys/gnark/constraint/bls12-381"
	"github.com/filecoin-project/go-state-types/abi"
)

// The sizes for which devnets prove; what is measured besides time says what proving needs.
var benchSizes = map[string]abi.RegisteredSealProof{
	"2KiB": abi.RegisteredSealProof_StackedDrg2KiBV1_1,
	"8MiB": abi.RegisteredSealProof_StackedDrg8MiBV1_1,
}

func BenchmarkCompile(b *testing.B) {
	for name, p := range benchSizes {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				st, err := PoRep(sealOf(b, p))
				if err != nil {
					b.Fatal(err)
				}
				cs, err := st.Compile()
				if err != nil {
					b.Fatal(err)
				}
				report(b, cs.(*bls12381.R1CS))
			}
		})
	}
}

// report counts the terms of all constraints, and the variables in second factors.
func report(b *testing.B, cs *bls12381.R1CS) {
	terms, second := 0, make(map[uint32]bool)
	it := cs.GetR1CIterator()
	for c := it.Next(); c != nil; c = it.Next() {
		terms += len(c.L) + len(c.R) + len(c.O)
		for _, t := range c.R {
			second[t.VID] = true
		}
	}
	n := float64(cs.GetNbConstraints())
	b.ReportMetric(n, "constraints")
	b.ReportMetric(float64(terms)/n, "terms/constraint")
	b.ReportMetric(float64(len(second))/n, "second/constraint")
}

func BenchmarkSolve(b *testing.B) {
	st, err := PoRep(sealOf(b, sealType))
	if err != nil {
		b.Fatal(err)
	}
	cs, err := st.Compile()
	if err != nil {
		b.Fatal(err)
	}
	s := small(b)[0]
	for b.Loop() {
		w, err := PoRepWitness(s.info, s.vanilla, 0)
		if err != nil {
			b.Fatal(err)
		}
		if !solved(cs, w) {
			b.Fatal("the witness does not hold")
		}
	}
}
