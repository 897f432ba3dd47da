package circuit

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	bls12381 "github.com/consensys/gnark/constraint/bls12-381"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"

	"github.com/lodenet/lode/proofs/internal/vectors"
	"github.com/lodenet/lode/proofs/merkle"
	"github.com/lodenet/lode/proofs/post"
	"github.com/lodenet/lode/proofs/registry"
)

const (
	winning  = abi.RegisteredPoStProof_StackedDrgWinning2KiBV1
	window   = abi.RegisteredPoStProof_StackedDrgWindow2KiBV1
	window11 = abi.RegisteredPoStProof_StackedDrgWindow2KiBV1_1
)

// moved is a path of which the first position is none.
func moved(e []merkle.Element) []merkle.Element {
	e = append([]merkle.Element(nil), e...)
	e[0].Position = 8
	return e
}

// prove makes a statement over some of the small sectors, and its vanilla proofs.
func prove(t testing.TB, p abi.RegisteredPoStProof, n int) (*post.Statement, []*post.SectorProof) {
	t.Helper()
	rand := abi.PoStRandomness(bytes.Repeat([]byte{0xf7}, 32))
	var infos []proof.SectorInfo
	var v []*post.SectorProof
	for i, s := range small(t)[:n] {
		info := proof.SectorInfo{SealProof: s.info.SealProof, SectorNumber: s.info.Number, SealedCID: s.info.SealedCID}
		one, err := post.ProveSector(context.Background(), p, info, i, rand, s.files)
		if err != nil {
			t.Fatal(err)
		}
		infos, v = append(infos, info), append(v, one)
	}
	st, err := post.NewStatement(p, miner, rand, infos)
	if err != nil {
		t.Fatal(err)
	}
	return st, v
}

func statementOf(t testing.TB, p registry.PoSt) *Statement {
	t.Helper()
	of := Window
	if p.Winning {
		of = Winning
	}
	s, err := of(p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPoSt(t *testing.T) {
	for _, c := range []struct {
		proof      abi.RegisteredPoStProof
		sectors    int
		partitions int
	}{
		{window, 1, 1}, {window, 2, 1}, {window, 3, 2}, {window11, 3, 2}, {winning, 1, 1},
	} {
		t.Run(fmt.Sprintf("%d-%d", c.proof, c.sectors), func(t *testing.T) {
			st, v := prove(t, c.proof, c.sectors)
			s := statementOf(t, st.PoSt)
			cs, err := s.Compile()
			if err != nil {
				t.Fatal(err)
			}
			if st.Partitions() != c.partitions {
				t.Fatalf("%d partitions, want %d", st.Partitions(), c.partitions)
			}
			for k := range c.partitions {
				in, err := PoStInputs(st, k)
				if err != nil || len(in) != s.PublicInputs() || len(in)+1 != cs.GetNbPublicVariables() {
					t.Fatalf("%d public inputs, want %d (%v)", len(in), s.PublicInputs(), err)
				}
				w, err := PoStWitness(st, v, k)
				if err != nil {
					t.Fatal(err)
				}
				for i, v := range w.Vector().(fr.Vector)[:len(in)] {
					if v != in[i] {
						t.Errorf("public input %d differs", i)
					}
				}
				solution, err := cs.Solve(w)
				if err != nil {
					t.Fatalf("partition %d: %v", k, err)
				}
				everyWireIsHeld(t, cs.(*bls12381.R1CS), solution.(*bls12381.R1CSSolution).W)
			}
		})
	}
}

func TestPoStRefusesChanges(t *testing.T) {
	for p, each := range map[abi.RegisteredPoStProof]int{window: 5, winning: 41} {
		st, v := prove(t, p, 1)
		cs, err := statementOf(t, st.PoSt).Compile()
		if err != nil {
			t.Fatal(err)
		}
		w, err := PoStWitness(st, v, 0)
		if err != nil {
			t.Fatal(err)
		}
		refusesChanges(t, cs, w, each, nil)
	}
}

func TestPoStRefusesEveryChange(t *testing.T) {
	vectors.Huge(t, "thousands of changes take a minute")
	for _, p := range []abi.RegisteredPoStProof{window, winning} {
		st, v := prove(t, p, 1)
		cs, err := statementOf(t, st.PoSt).Compile()
		if err != nil {
			t.Fatal(err)
		}
		w, err := PoStWitness(st, v, 0)
		if err != nil {
			t.Fatal(err)
		}
		refusesChanges(t, cs, w, 1, nil)
	}
}

func TestPoStRefusesBadInput(t *testing.T) {
	st, v := prove(t, window, 3)
	for _, k := range []int{-1, 2} {
		if _, err := PoStInputs(st, k); err == nil {
			t.Errorf("partition %d has inputs", k)
		}
		if _, err := PoStWitness(st, v, k); err == nil {
			t.Errorf("partition %d has a witness", k)
		}
	}
	change := func(f func(p *post.SectorProof)) []*post.SectorProof {
		p := *v[0]
		p.Paths = append([]merkle.Path(nil), p.Paths...)
		f(&p)
		return []*post.SectorProof{&p, v[1], v[2]}
	}
	for name, bad := range map[string][]*post.SectorProof{
		"none":          nil,
		"one less":      v[:2],
		"nil":           {v[0], nil, v[2]},
		"a path less":   change(func(p *post.SectorProof) { p.Paths = p.Paths[1:] }),
		"a short path":  change(func(p *post.SectorProof) { p.Paths[2].Elements = p.Paths[2].Elements[1:] }),
		"position":      change(func(p *post.SectorProof) { p.Paths[2].Elements = moved(p.Paths[2].Elements) }),
		"not canonical": change(func(p *post.SectorProof) { p.CommC[31] = 0xff }),
	} {
		if _, err := PoStWitness(st, bad, 0); err == nil {
			t.Errorf("%s: has a witness", name)
		}
	}
	if _, err := Window(postOf(t, winning)); err == nil {
		t.Error("a winning PoSt has a window's circuit")
	}
	if _, err := Winning(postOf(t, window)); err == nil {
		t.Error("a window PoSt has a winning one's circuit")
	}
}

// A name belongs to one circuit.
func TestNames(t *testing.T) {
	names := make(map[string]string)
	add := func(kind string, s *Statement, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := names[s.Name()]; ok {
			t.Errorf("%s is the name of %s and of %s", s.Name(), other, kind)
		}
		names[s.Name()] = kind
	}
	for i := range 5 {
		p := abi.RegisteredSealProof(5 + i)
		s, err := PoRep(sealOf(t, p))
		add(fmt.Sprint("seal ", p), s, err)
		s, err = Winning(postOf(t, abi.RegisteredPoStProof(i)))
		add(fmt.Sprint("winning ", i), s, err)
		s, err = Window(postOf(t, abi.RegisteredPoStProof(5+i)))
		add(fmt.Sprint("window ", i), s, err)
	}
	if got := names["porep-2048-8-0-0-2-2-v1"]; got == "" {
		t.Errorf("names are %v", names)
	}
}
