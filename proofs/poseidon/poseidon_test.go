package poseidon

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

// The fast form must be the definition, for every instance and any input.
func TestFastIsPlain(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for arity, rounds := range partialRounds {
		for s, n := range rounds {
			if n == 0 {
				continue
			}
			p, err := New(arity, Strength(s))
			if err != nil {
				t.Fatal(err)
			}
			for range 4 {
				in := make([]fr.Element, arity)
				for i := range in {
					in[i] = fr.Element{rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64() >> 4}
				}
				tag := fr.NewElement(rng.Uint64())
				if got, want := p.HashTagged(tag, in), p.HashPlain(tag, in); got != want {
					t.Fatalf("arity %d strength %d: got %v, want %v", arity, s, got.String(), want.String())
				}
			}
		}
	}
}

// Many hashes side by side must be the hashes one by one, whatever their number.
func TestHashManyIsHash(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, arity := range []int{2, 8, 11} {
		p := Arity(arity)
		for _, n := range []int{0, 1, minLanes, minLanes + 1, lanes - 1, lanes, lanes + 1, 2*lanes + 9} {
			in := make([]fr.Element, n*arity)
			for i := range in {
				in[i] = fr.Element{rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64() >> 4}
			}
			got, side := make([]fr.Element, n), make([]fr.Element, n)
			p.HashMany(got, in)
			p.hashLanes(side, in) // also where the processor would not choose it
			for i := range n {
				if want := p.Hash(in[i*arity:][:arity]); got[i] != want || side[i] != want {
					t.Fatalf("arity %d, hash %d of %d: got %v and %v, want %v", arity, i, n, got[i].String(), side[i].String(), want.String())
				}
			}
		}
	}
}

func BenchmarkHashMany(b *testing.B) {
	for _, arity := range []int{2, 8, 11} {
		b.Run(fmt.Sprint("arity", arity), func(b *testing.B) {
			const n = 512
			in, out := make([]fr.Element, n*arity), make([]fr.Element, n)
			for i := range in {
				in[i].SetUint64(uint64(i))
			}
			for b.Loop() {
				Arity(arity).HashMany(out, in)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/hash")
		})
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		arity    int
		strength Strength
	}{{0, Standard}, {-1, Standard}, {17, Standard}, {3, Strengthened}, {2, 2}, {2, -1}} {
		if _, err := New(c.arity, c.strength); err == nil {
			t.Errorf("arity %d strength %d was accepted", c.arity, c.strength)
		}
	}
}

func TestArityIsShared(t *testing.T) {
	for _, n := range []int{2, 4, 8, 11} {
		if first, second := Arity(n), Arity(n); first != second {
			t.Errorf("arity %d was built twice", n)
		}
		fresh, err := New(n, Standard)
		if err != nil {
			t.Fatal(err)
		}
		in := make([]fr.Element, n)
		if got, want := Arity(n).Hash(in), fresh.Hash(in); got != want {
			t.Errorf("arity %d: got %v, want %v", n, got, want)
		}
	}
}

func BenchmarkHash(b *testing.B) {
	for _, c := range []struct {
		name  string
		arity int
		hash  func(*Params, []fr.Element) fr.Element
	}{
		{"arity2", 2, (*Params).Hash},
		{"arity8", 8, (*Params).Hash},
		{"arity11", 11, (*Params).Hash},
		{"arity8plain", 8, func(p *Params, in []fr.Element) fr.Element { return p.HashPlain(p.tag, in) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := Arity(c.arity)
			in := make([]fr.Element, c.arity)
			for i := range in {
				in[i].SetUint64(uint64(i))
			}
			b.ReportAllocs()
			for b.Loop() {
				in[0] = c.hash(p, in)
			}
		})
	}
}
