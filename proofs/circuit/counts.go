package circuit

import (
	"fmt"

	"github.com/consensys/gnark/frontend"

	"github.com/lodenet/lode/proofs/registry"
	"github.com/lodenet/lode/proofs/sdr"
)

// Count is how many constraints something has, here and in the reference.
type Count struct {
	What            string
	Ours, Reference int
	// Strict: it takes a value apart into bits, so that one way is left, where the reference
	// leaves two. Such gadgets alone may have more constraints than the reference's.
	Strict bool
}

// Gadgets counts the constraints of what the circuits of sectors of so many nodes are made of.
func Gadgets(nodes uint64) ([]Count, error) {
	c := newCosts()
	return c.gadgets(indexBits(nodes)), c.err
}

// CountPoRep counts the constraints of one partition of a seal proof, by adding up gadgets.
func CountPoRep(s registry.Seal) (Count, error) { return newCosts().countPoRep(s) }

// CountPoSt counts the constraints of one partition of a PoSt, by adding up gadgets.
func CountPoSt(p registry.PoSt) (Count, error) { return newCosts().countPoSt(p) }

func (c *costs) gadgets(index int) []Count {
	var out []Count
	row := func(what string, ours, reference int) {
		out = append(out, Count{What: what, Ours: ours, Reference: reference})
	}
	for _, arity := range []int{2, 4, 8, 11} {
		row(fmt.Sprintf("Poseidon of %d", arity), c.hash(arity), referencePoseidon(arity))
	}
	for _, arity := range []int{2, 4, 8} {
		row(fmt.Sprintf("select among %d", arity), c.choose(arity), referenceSelect(arity))
	}
	for _, arity := range []int{2, 4, 8} {
		row(fmt.Sprintf("Poseidon level of arity %d", arity), c.levels([]int{arity})+arityBits(arity), referenceLevel(arity))
	}
	row("SHA-256 level of tree D", c.data(3)-c.data(2)+1, referenceDataLevel)
	row("label of layer 1, of bits", c.label(1, index), referenceLabel)
	row("label of a further layer, of bits", c.label(2, index), referenceLabel)
	row("bits of a node below 2^254", c.trimmed(), referenceBits)
	row("bits of any node", c.canonical(), referenceBits)
	for i := len(out) - 2; i < len(out); i++ {
		out[i].Strict = true
	}
	return out
}

func (c *costs) countPoRep(s registry.Seal) (Count, error) {
	arities, err := s.Shape.Arities(s.Nodes())
	if err != nil {
		return Count{}, err
	}
	return Count{What: fmt.Sprintf("PoRep of %d bytes", s.SectorSize), Ours: c.porep(s, arities), Reference: referencePoRep(s, arities)}, c.err
}

func (c *costs) countPoSt(p registry.PoSt) (Count, error) {
	arities, err := p.Shape.Arities(p.Nodes())
	if err != nil {
		return Count{}, err
	}
	kind := "window"
	if p.Winning {
		kind = "winning"
	}
	return Count{What: fmt.Sprintf("%s PoSt of %d bytes", kind, p.SectorSize), Ours: c.post(p, arities), Reference: referencePoSt(p, arities)}, c.err
}

// gadget is a circuit of some gadget: inputs and what they are held to.
type gadget struct {
	In     []frontend.Variable
	Public []frontend.Variable `gnark:",public"`
	define func(api frontend.API, in, public []frontend.Variable)
}

// Define implements frontend.Circuit.
func (g *gadget) Define(api frontend.API) error {
	g.define(api, g.In, g.Public)
	return nil
}

// costs counts constraints of gadgets, each compiled once. After an error, which it keeps,
// numbers mean nothing.
type costs struct {
	known map[string]int
	err   error
}

func newCosts() *costs { return &costs{known: make(map[string]int)} }

func (c *costs) of(name string, in int, define func(api frontend.API, in []frontend.Variable)) int {
	n, ok := c.known[name]
	if ok || c.err != nil {
		return n
	}
	cs, err := compile(&gadget{
		In:     make([]frontend.Variable, in),
		define: func(api frontend.API, in, _ []frontend.Variable) { define(api, in) },
	}, name)
	if err != nil {
		c.err = err
		return 0
	}
	c.known[name] = cs.GetNbConstraints()
	return c.known[name]
}

func (c *costs) hash(arity int) int {
	return c.of(fmt.Sprint("hash ", arity), arity, func(api frontend.API, in []frontend.Variable) { hash(api, in) })
}

// choose is that of one child among so many, held to be what is below.
func (c *costs) choose(arity int) int {
	return c.of(fmt.Sprint("choose ", arity), arity+arityBits(arity)+1, func(api frontend.API, in []frontend.Variable) {
		api.AssertIsEqual(choose(api, in[:arity], in[arity:len(in)-1]), in[len(in)-1])
	})
}

func (c *costs) trimmed() int {
	return c.of("trimmed", 1, func(api frontend.API, in []frontend.Variable) { newArith(api).trimmed(in[0]) })
}

func (c *costs) canonical() int {
	return c.of("canonical", 1, func(api frontend.API, in []frontend.Variable) { newArith(api).canonical(in[0]) })
}

// levels are the Poseidon levels of a path.
func (c *costs) levels(arities []int) (n int) {
	for _, arity := range arities {
		n += c.hash(arity) + c.choose(arity)
	}
	return n
}

// indexCost is that of a public index as bits.
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
	return c.of(fmt.Sprint("data ", levels), 2*levels+bits, func(api frontend.API, in []frontend.Variable) {
		a := newArith(api)
		var pairs []pair
		for range levels {
			pairs, in = append(pairs, pair{in[0], in[1]}), in[2:]
		}
		a.dataPath(pairs, in[:levels], a.words(in[levels:]))
	})
}

// label is that of a layer, made of bits, of a node whose index has so many.
func (c *costs) label(layer, index int) int {
	layer = min(layer, 2)
	parents := parentsOf(layer)
	return c.of(fmt.Sprint("label ", layer, index), (1+parents)*trimmedBits+index, func(api frontend.API, in []frontend.Variable) {
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
func (c *costs) porep(s registry.Seal, arities []int) int {
	const inputsOfNode, columnsOfNode = 4, 2 // the index is in four inputs; trees R and C
	bits := indexBits(s.Nodes())
	each := indexCost(pathBits(arities)) + inputsOfNode - 1
	each += c.data(bits)
	each += sdr.Parents * (c.hash(s.Layers) + c.inclusion(arities))
	each += (sdr.BaseParents*s.Layers + sdr.ExpanderParents*(s.Layers-1)) * c.trimmed()
	for layer := range s.Layers {
		each += c.label(layer+1, bits)
	}
	each += c.hash(s.Layers) + columnsOfNode*(c.levels(arities)+1)
	return c.hash(2) + 1 + 2*c.trimmed() + s.Challenges*each
}

func (c *costs) post(p registry.PoSt, arities []int) int {
	roots := 1 // that CommR is an input
	if p.Winning {
		roots = p.Challenges
	}
	return p.Sectors * (c.hash(2) + roots + p.Challenges*c.inclusion(arities))
}
