package circuit

import (
	"fmt"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/consensys/gnark/frontend"

	"github.com/lodenet/lode/proofs/poseidon"
)

// form is a linear combination of wires: the hash's inputs, followed by the outputs of its
// S-boxes in order.
type form struct {
	constant fr.Element
	terms    []term
}

type term struct {
	wire  int
	coeff fr.Element
}

// permutation is a Poseidon hash as what is not linear in it: what goes into each S-box, and
// what comes out in the end. Everything between is in the forms, computed once an arity.
type permutation struct {
	arity  int
	sboxes []form
	output form
}

var (
	arity2  = sync.OnceValue(func() *permutation { return newPermutation(2) })
	arity4  = sync.OnceValue(func() *permutation { return newPermutation(4) })
	arity8  = sync.OnceValue(func() *permutation { return newPermutation(8) })
	arity11 = sync.OnceValue(func() *permutation { return newPermutation(11) })
)

// permutationOf returns that of an arity that sealing uses; any other panics.
func permutationOf(arity int) *permutation {
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
	panic(fmt.Sprintf("circuit: no Poseidon of arity %d", arity))
}

// newPermutation follows the definition (spec: proofs 3.4) with forms in place of numbers.
func newPermutation(arity int) *permutation {
	const fullRounds = 8
	params, width := poseidon.Arity(arity), arity+1
	p := &permutation{arity: arity}
	wires := arity

	s := make([]form, width)
	s[0].constant.SetUint64(1<<arity - 1) // the tag of a tree's node (spec: proofs 3.5)
	for i := range arity {
		s[i+1].terms = []term{{wire: i, coeff: fr.One()}}
	}
	partial := params.PartialRounds()
	for round := range fullRounds + partial {
		boxes := 1
		if round < fullRounds/2 || round >= fullRounds/2+partial {
			boxes = width
		}
		for i := range s {
			s[i].constant.Add(&s[i].constant, &params.Constants()[round*width+i])
		}
		for i := range boxes {
			if len(s[i].terms) == 0 { // the tag, in the first round
				s[i].constant = quintic(s[i].constant)
				continue
			}
			p.sboxes = append(p.sboxes, s[i])
			s[i] = form{terms: []term{{wire: wires, coeff: fr.One()}}}
			wires++
		}
		s = mix(params, s)
	}
	p.output = s[1]
	return p
}

// mix multiplies the state by the MDS matrix.
func mix(params *poseidon.Params, s []form) []form {
	mixed := make([]form, len(s))
	var at map[int]int
	for i := range s {
		at = make(map[int]int)
		for j := range s {
			m := params.MDS(i, j)
			var x fr.Element
			x.Mul(&s[j].constant, &m)
			mixed[i].constant.Add(&mixed[i].constant, &x)
			for _, t := range s[j].terms {
				x.Mul(&t.coeff, &m)
				k, ok := at[t.wire]
				if !ok {
					k = len(mixed[i].terms)
					at[t.wire] = k
					mixed[i].terms = append(mixed[i].terms, term{wire: t.wire})
				}
				mixed[i].terms[k].coeff.Add(&mixed[i].terms[k].coeff, &x)
			}
		}
	}
	return mixed
}

func quintic(x fr.Element) (y fr.Element) {
	y.Square(&x).Square(&y).Mul(&y, &x)
	return y
}

// hash is the tree hash of field elements, as many as one of the arities that sealing uses:
// three constraints for each S-box.
func hash(api frontend.API, inputs []frontend.Variable) frontend.Variable {
	p := permutationOf(len(inputs))
	wires := append(make([]frontend.Variable, 0, len(inputs)+len(p.sboxes)), inputs...)
	for i := range p.sboxes {
		x := p.sboxes[i].of(api, wires)
		square := api.Mul(x, x)
		wires = append(wires, api.Mul(api.Mul(square, square), x))
	}
	return p.output.of(api, wires)
}

// of puts wires into the form.
func (f *form) of(api frontend.API, wires []frontend.Variable) frontend.Variable {
	v := make([]frontend.Variable, 0, len(f.terms))
	for i := range f.terms {
		v = append(v, api.Mul(wires[f.terms[i].wire], f.terms[i].coeff))
	}
	return api.Add(f.constant, v[0], v[1:]...)
}
