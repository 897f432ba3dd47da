package circuit

import (
	"fmt"
	"strings"
	"testing"

	"github.com/consensys/gnark/frontend"
	"github.com/filecoin-project/go-state-types/abi"

	"github.com/lodenet/lode/proofs/internal/vectors"
	"github.com/lodenet/lode/proofs/merkle"
	"github.com/lodenet/lode/proofs/registry"
	"github.com/lodenet/lode/proofs/sdr"
)

// costs counts constraints of gadgets, each compiled once.
type costs struct {
	t     testing.TB
	known map[string]int
}

// counted is what tests have compiled already.
var counted = make(map[string]int)

func newCosts(t testing.TB) *costs { return &costs{t, counted} }

func (c *costs) of(name string, in, public int, define func(api frontend.API, in, public []frontend.Variable)) int {
	if n, ok := c.known[name]; ok {
		return n
	}
	n := newGadget(c.t, in, public, define).GetNbConstraints()
	c.known[name] = n
	return n
}

func (c *costs) hash(arity int) int {
	return c.of(fmt.Sprint("hash ", arity), arity, 0, func(api frontend.API, in, _ []frontend.Variable) { hash(api, in) })
}

// choose is that of one child among so many, held to be what is below.
func (c *costs) choose(arity int) int {
	return c.of(fmt.Sprint("choose ", arity), arity+arityBits(arity)+1, 0, func(api frontend.API, in, _ []frontend.Variable) {
		api.AssertIsEqual(choose(api, in[:arity], in[arity:len(in)-1]), in[len(in)-1])
	})
}

func (c *costs) trimmed() int {
	return c.of("trimmed", 1, 0, func(api frontend.API, in, _ []frontend.Variable) { newArith(api).trimmed(in[0]) })
}

func (c *costs) canonical() int {
	return c.of("canonical", 1, 0, func(api frontend.API, in, _ []frontend.Variable) { newArith(api).canonical(in[0]) })
}

// levels are the Poseidon levels of a path.
func (c *costs) levels(arities []int) (n int) {
	for _, arity := range arities {
		n += c.hash(arity) + c.choose(arity)
	}
	return n
}

// index is a public one as bits.
func indexCost(bits int) int { return bits + 1 }

// inclusion is a whole path: the index, the levels, and that the root is the one there is.
func (c *costs) inclusion(arities []int) int {
	return indexCost(pathBits(arities)) + c.levels(arities) + 1
}

func pathBits(arities []int) (n int) {
	for _, arity := range arities {
		n += arityBits(arity)
	}
	return n
}

// data is a path in tree D without its index.
func (c *costs) data(levels int) int {
	if levels > 3 { // all but the lowest are alike
		return c.data(3) + (levels-3)*(c.data(3)-c.data(2))
	}
	bits := levels + nodeBits
	n := c.of(fmt.Sprint("data ", levels), 2*levels+bits, 0, func(api frontend.API, in, _ []frontend.Variable) {
		a := newArith(api)
		var pairs []pair
		for range levels {
			pairs, in = append(pairs, pair{in[0], in[1]}), in[2:]
		}
		a.dataPath(pairs, in[:levels], a.words(in[levels:]))
	})
	return n
}

// label is that of a layer, made of bits.
func (c *costs) label(layer int) int {
	layer = min(layer, 2)
	parents := parentsOf(layer)
	return c.of(fmt.Sprint("label ", layer), (1+parents)*trimmedBits+6, 0, func(api frontend.API, in, _ []frontend.Variable) {
		a := newArith(api)
		var words [][]*word
		for range 1 + parents {
			words, in = append(words, a.words(in[:trimmedBits])), in[trimmedBits:]
		}
		a.label(words[0], layer, in, words[1:])
	})
}

// porep is a whole partition. It is written down independently of the circuit, which tests
// hold against it.
func (c *costs) porep(s registry.Seal) int {
	arities, err := s.Shape.Arities(s.Nodes())
	if err != nil {
		c.t.Fatal(err)
	}
	const inputsOfNode, columnsOfNode = 4, 2 // the index is in four inputs; trees R and C
	each := indexCost(pathBits(arities)) + inputsOfNode - 1
	each += c.data(indexBits(s.Nodes()))
	each += sdr.Parents * (c.hash(s.Layers) + c.inclusion(arities))
	each += (sdr.BaseParents*s.Layers + sdr.ExpanderParents*(s.Layers-1)) * c.trimmed()
	for layer := range s.Layers {
		each += c.label(layer + 1)
	}
	each += c.hash(s.Layers) + columnsOfNode*(c.levels(arities)+1)
	return c.hash(2) + 1 + 2*c.trimmed() + s.Challenges*each
}

func (c *costs) post(p registry.PoSt) int {
	arities, err := p.Shape.Arities(p.Nodes())
	if err != nil {
		c.t.Fatal(err)
	}
	roots := 1 // that CommR is an input
	if p.Winning {
		roots = p.Challenges
	}
	return p.Sectors * (c.hash(2) + roots + p.Challenges*c.inclusion(arities))
}

// The reference's numbers (spec: proofs 8.4).
func referencePoseidon(arity int) int {
	return map[int]int{2: 311, 4: 377, 8: 505, 11: 598}[arity]
}

const (
	referenceDataLevel = 45382
	referenceLabel     = 522269
	referenceBits      = 256
)

// referencePath is the reference's for a path, with its index and root.
func referencePath(arities []int) int {
	n := 2
	for _, arity := range arities {
		n += map[int]int{2: 314, 4: 387, 8: 530}[arity]
	}
	return n
}

func referencePoRep(s registry.Seal, arities []int) int {
	column, labels := referencePoseidon(2), 1044538
	if s.Layers == 11 {
		column, labels = referencePoseidon(11), 11*referenceLabel
	}
	path := referencePath(arities)
	each := referenceDataLevel*indexBits(s.Nodes()) + 2 + 14*(column+path) + 65 + referenceBits*(6+14*(s.Layers-1)) + labels + 1 + path + column + path
	return 571 + s.Challenges*each
}

func referencePoSt(p registry.PoSt, arities []int) int {
	if p.Winning { // as many sectors of one challenge
		return p.Challenges * (313 + referencePath(arities))
	}
	return p.Sectors * (313 + p.Challenges*referencePath(arities))
}

// table prints our numbers beside the reference's, and fails where ours are higher.
type table struct {
	t    testing.TB
	rows strings.Builder
}

func (b *table) row(what string, ours, reference int, higher bool) {
	fmt.Fprintf(&b.rows, "\n%-34s %12d %12d %6.3f", what, ours, reference, float64(ours)/float64(reference))
	if ours > reference && !higher {
		b.t.Errorf("%s has %d constraints, the reference %d", what, ours, reference)
	}
}

func TestConstraintCounts(t *testing.T) {
	c, b := newCosts(t), &table{t: t}
	for _, arity := range []int{2, 4, 8, 11} {
		b.row(fmt.Sprintf("Poseidon of %d", arity), c.hash(arity), referencePoseidon(arity), false)
	}
	for _, s := range []struct{ arity, reference int }{{2, 2}, {4, 8}, {8, 22}} {
		b.row(fmt.Sprintf("select among %d", s.arity), c.choose(s.arity), s.reference, false)
	}
	for _, arity := range []int{2, 4, 8} {
		b.row(fmt.Sprintf("Poseidon level of arity %d", arity), c.levels([]int{arity})+arityBits(arity), referencePath([]int{arity})-2, false)
	}
	b.row("SHA-256 level", c.data(3)-c.data(2)+1, referenceDataLevel, false)
	b.row("label of layer 1, of bits", c.label(1), referenceLabel, false)
	b.row("label of layer 2, of bits", c.label(2), referenceLabel, false)
	b.row("bits of a node below 2^254", c.trimmed(), referenceBits, true)
	b.row("bits of any node", c.canonical(), referenceBits, true)

	for i := range 5 {
		s := sealOf(t, abi.RegisteredSealProof(5+i))
		arities, err := s.Shape.Arities(s.Nodes())
		if err != nil {
			t.Fatal(err)
		}
		b.row(fmt.Sprintf("PoRep %d", s.SectorSize), c.porep(s), referencePoRep(s, arities), false)
	}
	for i := range 10 {
		p := postOf(t, abi.RegisteredPoStProof(i))
		arities, err := p.Shape.Arities(p.Nodes())
		if err != nil {
			t.Fatal(err)
		}
		kind := "window"
		if p.Winning {
			kind = "winning"
		}
		b.row(fmt.Sprintf("%s PoSt %d", kind, p.SectorSize), c.post(p), referencePoSt(p, arities), false)
	}
	t.Logf("constraints                                ours    reference  ratio%s", b.rows.String())

	// What is added up is what the circuits have.
	if got, want := c.porep(oneChallenge(t)), oneSystem(t).GetNbConstraints(); got != want {
		t.Errorf("%d constraints of a PoRep added up, %d compiled", got, want)
	}
	for _, proof := range []abi.RegisteredPoStProof{winning, window} {
		p := postOf(t, proof)
		cs, err := statementOf(t, p).Compile()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := c.post(p), cs.GetNbConstraints(); got != want {
			t.Errorf("%d constraints of post proof %d added up, %d compiled", got, proof, want)
		}
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
	c, b := newCosts(t), &table{t: t}
	octal := func(shape string) (s merkle.Shape, ok bool) {
		_, _ = fmt.Sscanf(shape, "%d-%d-%d", &s.Base, &s.Sub, &s.Top)
		_, err := s.Arities(8 * uint64(s.BaseTrees()))
		return s, err == nil
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
			row("label with the bits of 37 parents", c.label(2)+37*nodeBits, e.Count)
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
						arities, err := s.Arities(64 * uint64(s.BaseTrees()))
						if err != nil {
							t.Fatal(err)
						}
						row("path, "+key, c.inclusion(arities), n)
					}
				}
			}
		case strings.HasPrefix(e.What, "PoRep circuit, 8 nodes"):
			for shape, n := range e.Counts {
				if s, ok := octal(shape); ok {
					z := registry.Seal{SectorSize: abi.SectorSize(8 * 32 * s.BaseTrees()), Layers: 2, Shape: s, Challenges: 1}
					row("PoRep of 8 nodes, "+shape, c.porep(z), n)
				}
			}
		case strings.HasPrefix(e.What, "FallbackPoSt, 64 leaves"):
			for shape, n := range e.Counts {
				if s, ok := octal(shape); ok {
					p := registry.PoSt{SectorSize: abi.SectorSize(64 * 32 * s.BaseTrees()), Shape: s, Challenges: 5, Sectors: 3}
					row("PoSt of 64 leaves, "+shape, c.post(p), n)
				}
			}
		case strings.HasPrefix(e.What, "WindowPoSt 32GiB"):
			row("window PoSt of 32 GiB", c.post(postOf(t, abi.RegisteredPoStProof_StackedDrgWindow32GiBV1)), e.Counts["32GiB"])
			row("window PoSt of 64 GiB", c.post(postOf(t, abi.RegisteredPoStProof_StackedDrgWindow64GiBV1)), e.Counts["64GiB"])
		}
	}
	if rows == 0 {
		t.Error("none of the counts is of a circuit there is here")
	}
	t.Logf("%d counts%s", rows, b.rows.String())
}
