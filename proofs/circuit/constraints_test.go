package circuit

import (
	"fmt"
	"strings"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"

	"github.com/lodenet/lode/proofs/internal/vectors"
	"github.com/lodenet/lode/proofs/merkle"
	"github.com/lodenet/lode/proofs/registry"
)

// counted is what tests have compiled already.
var counted = newCosts()

// table prints our numbers beside the reference's, and fails where ours are higher.
type table struct {
	t    testing.TB
	rows strings.Builder
}

func (b *table) print(what string) {
	b.t.Helper()
	b.t.Logf("%-34s %12s %12s %6s%s", what, "ours", "reference", "ratio", b.rows.String())
}

func (b *table) count(n Count, err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	b.row(n.What, n.Ours, n.Reference, n.Strict)
}

func (b *table) row(what string, ours, reference int, higher bool) {
	fmt.Fprintf(&b.rows, "\n%-34s %12d %12d %6.3f", what, ours, reference, float64(ours)/float64(reference))
	if ours > reference && !higher {
		b.t.Errorf("%s has %d constraints, the reference %d", what, ours, reference)
	}
}

// Every gadget has at most as many constraints as the reference's, but for those that leave
// no second way to write a number in bits; every circuit has at most as many.
func TestConstraintCounts(t *testing.T) {
	b, c := &table{t: t}, counted
	for _, n := range c.gadgets(6) {
		b.row(n.What, n.Ours, n.Reference, n.Strict)
	}
	for i := range 2 {
		b.count(c.countPoRep(sealOf(t, abi.RegisteredSealProof(5+i))))
	}
	for i := range 10 {
		b.count(c.countPoSt(postOf(t, abi.RegisteredPoStProof(i))))
	}
	b.print("constraints")
}

func TestConstraintCountsLarger(t *testing.T) {
	vectors.Huge(t, "labels of longer numbers are other gadgets, and take seconds to compile")
	b, c := &table{t: t}, counted
	for i := range 3 {
		b.count(c.countPoRep(sealOf(t, abi.RegisteredSealProof(7+i))))
	}
	b.print("constraints")
}

// What is added up is what the circuits have.
func TestCountsAddUp(t *testing.T) {
	n, err := counted.countPoRep(oneChallenge(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := n.Ours, oneSystem(t).GetNbConstraints(); got != want {
		t.Errorf("%d constraints of a PoRep added up, %d compiled", got, want)
	}
	for _, proof := range []abi.RegisteredPoStProof{winning, window} {
		p := postOf(t, proof)
		cs, err := statementOf(t, p).Compile()
		if err != nil {
			t.Fatal(err)
		}
		n, err := counted.countPoSt(p)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := n.Ours, cs.GetNbConstraints(); got != want {
			t.Errorf("%d constraints of post proof %d added up, %d compiled", got, proof, want)
		}
	}
}

// The circuit of a larger sector, whose nodes have longer numbers.
func TestCountsAddUpLarger(t *testing.T) {
	vectors.Huge(t, "compiling a PoRep of 8 MiB takes a minute")
	s := sealOf(t, abi.RegisteredSealProof_StackedDrg8MiBV1_1)
	st, err := PoRep(s)
	if err != nil {
		t.Fatal(err)
	}
	cs, err := st.Compile()
	if err != nil {
		t.Fatal(err)
	}
	n, err := CountPoRep(s)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := n.Ours, cs.GetNbConstraints(); got != want {
		t.Errorf("%d constraints added up, %d compiled", got, want)
	}
}

// The reference's own tests say how many constraints its circuits have.
func TestVectorsConstraintCounts(t *testing.T) {
	var f struct {
		Entries []struct {
			What    string         `json:"what"`
			ByArity map[int]int    `json:"by_arity"`
			Counts  map[string]int `json:"counts"`
			Count   int            `json:"count"`
		} `json:"entries"`
	}
	vectors.Load(t, "constraint_counts.json", &f)
	c, b := counted, &table{t: t}
	octal := func(shape string) (s merkle.Shape, ok bool) {
		_, _ = fmt.Sscanf(shape, "%d-%d-%d", &s.Base, &s.Sub, &s.Top)
		_, err := s.Arities(8 * uint64(s.BaseTrees()))
		return s, err == nil
	}
	arities := func(s merkle.Shape, nodes uint64) []int {
		a, err := s.Arities(nodes)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	rows := 0
	row := func(what string, ours, reference int) { rows++; b.row(what, ours, reference, false) }
	for _, e := range f.Entries {
		switch {
		case strings.HasPrefix(e.What, "Poseidon circuit v1"):
			for _, arity := range []int{2, 4, 8, 11} {
				if n, ok := e.ByArity[arity]; ok {
					row(fmt.Sprintf("Poseidon of %d", arity), c.hash(arity), n)
				}
			}
		case strings.HasPrefix(e.What, "create_label"):
			row("label with the bits of 37 parents", c.label(2, 6)+37*nodeBits, e.Count)
		case strings.HasPrefix(e.What, "insert"):
			for key, n := range e.Counts {
				var arity int
				if _, err := fmt.Sscan(key, &arity); err == nil {
					row("select among "+key, c.choose(arity), n)
				}
			}
		case strings.HasPrefix(e.What, "PoR public root, 64 leaves"):
			for key, n := range e.Counts {
				if key == "sha256 arity2" {
					row("path, "+key, indexCost(6)+c.trimmed()+c.data(6), n)
				}
				if shape, found := strings.CutPrefix(key, "poseidon "); found && strings.HasPrefix(shape, "8") {
					if s, ok := octal(shape); ok {
						row("path, "+key, c.inclusion(arities(s, 64*uint64(s.BaseTrees()))), n)
					}
				}
			}
		case strings.HasPrefix(e.What, "PoRep circuit, 8 nodes"):
			for shape, n := range e.Counts {
				if s, ok := octal(shape); ok {
					z := registry.Seal{SectorSize: abi.SectorSize(8 * 32 * s.BaseTrees()), Layers: 2, Shape: s, Challenges: 1}
					row("PoRep of 8 nodes, "+shape, c.porep(z, arities(s, z.Nodes())), n)
				}
			}
		case strings.HasPrefix(e.What, "FallbackPoSt, 64 leaves"):
			for shape, n := range e.Counts {
				if s, ok := octal(shape); ok {
					p := registry.PoSt{SectorSize: abi.SectorSize(64 * 32 * s.BaseTrees()), Shape: s, Challenges: 5, Sectors: 3}
					row("PoSt of 64 leaves, "+shape, c.post(p, arities(s, p.Nodes())), n)
				}
			}
		case strings.HasPrefix(e.What, "WindowPoSt 32GiB"):
			for size, proof := range map[string]abi.RegisteredPoStProof{"32GiB": abi.RegisteredPoStProof_StackedDrgWindow32GiBV1, "64GiB": abi.RegisteredPoStProof_StackedDrgWindow64GiBV1} {
				p := postOf(t, proof)
				row("window PoSt of "+size, c.post(p, arities(p.Shape, p.Nodes())), e.Counts[size])
			}
		}
	}
	if rows == 0 {
		t.Error("none of the counts is of a circuit there is here")
	}
	if c.err != nil {
		t.Fatal(c.err)
	}
	b.print(fmt.Sprintf("%d counts", rows))
}
