package poseidon

import (
	"fmt"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

const fullRounds = 8 // half of them before the partial rounds, half after

// Strength chooses the number of partial rounds.
type Strength int

// Everything of Filecoin is Standard.
const (
	Standard Strength = iota
	Strengthened
)

// partialRounds has, per arity, the partial rounds at each strength; 0 where the spec
// gives none.
var partialRounds = map[int][2]int{
	1: {55}, 2: {55, 69}, 3: {56}, 4: {56, 70}, 5: {56}, 6: {56}, 7: {57}, 8: {57, 72},
	9: {57}, 10: {57}, 11: {57, 72}, 12: {57}, 13: {57}, 14: {57}, 15: {59}, 16: {59, 74},
	24: {59, 74}, 36: {60, 75},
}

// Params are the constants of one arity. They are immutable.
type Params struct {
	arity, width, partial int
	tag                   fr.Element   // of a tree node
	constants             []fr.Element // width a round
	mds                   matrix
	sparse                sparse
}

var (
	arity2  = sync.OnceValue(func() *Params { return build(2, 55) })
	arity4  = sync.OnceValue(func() *Params { return build(4, 56) })
	arity8  = sync.OnceValue(func() *Params { return build(8, 57) })
	arity11 = sync.OnceValue(func() *Params { return build(11, 57) })
)

// Arity returns the standard parameters of an arity that sealing uses, 2, 4, 8 or 11, built
// on the first call. Any other is a mistake of the caller and panics.
func Arity(arity int) *Params {
	switch arity {
	case 2:
		return arity2()
	case 4:
		return arity4()
	case 8:
		return arity8()
	case 11:
		return arity11()
	}
	panic(fmt.Sprintf("poseidon: arity %d is not one that sealing uses", arity))
}

// New builds the parameters of an arity.
func New(arity int, s Strength) (*Params, error) {
	if s != Standard && s != Strengthened {
		return nil, fmt.Errorf("poseidon strength %d is not defined", s)
	}
	partial := partialRounds[arity][s]
	if partial == 0 {
		return nil, fmt.Errorf("poseidon arity %d at strength %d is not defined", arity, s)
	}
	return build(arity, partial), nil
}

func build(arity, partial int) *Params {
	p := &Params{arity: arity, width: arity + 1, partial: partial}
	p.tag = treeTag(arity)
	g := newGrain(p.width, fullRounds, partial)
	p.constants = make([]fr.Element, (fullRounds+partial)*p.width)
	for i := range p.constants {
		p.constants[i] = g.element()
	}
	p.mds = cauchy(p.width)
	p.sparse = newSparse(p)
	return p
}

// treeTag is the domain tag of a node with arity children: 2^arity - 1 (spec: 3.5).
func treeTag(arity int) fr.Element {
	tag, one := fr.Element{}, fr.One()
	for range arity {
		tag.Double(&tag)
		tag.Add(&tag, &one)
	}
	return tag
}

// PartialRounds is how many rounds have a single S-box. There are 8 full rounds besides.
func (p *Params) PartialRounds() int { return p.partial }

// Constants are the round constants in order, width a round. They are not to be changed.
func (p *Params) Constants() []fr.Element { return p.constants }

// MDS is one entry of the mixing matrix.
func (p *Params) MDS(i, j int) fr.Element { return p.mds[i][j] }

// Hash is the tree hash of as many inputs as the arity; any other number panics.
func (p *Params) Hash(inputs []fr.Element) fr.Element {
	return p.HashTagged(p.tag, inputs)
}

// HashTagged is Hash under another domain tag.
func (p *Params) HashTagged(tag fr.Element, inputs []fr.Element) fr.Element {
	var buf [maxStack]fr.Element
	s := p.state(buf[:0], tag, inputs)
	p.permute(s)
	return s[1]
}

// maxStack is the widest state kept on the stack.
const maxStack = 12

func (p *Params) state(s []fr.Element, tag fr.Element, inputs []fr.Element) []fr.Element {
	if len(inputs) != p.arity {
		panic(fmt.Sprintf("poseidon: %d inputs for arity %d", len(inputs), p.arity))
	}
	return append(append(s, tag), inputs...)
}
