package poseidon

import (
	"fmt"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

// sparse is what the partial rounds need in their fast form (spec: 3.6). A partial round
// changes only element 0 other than linearly, so everything linear in the other elements can
// be moved past it:
//
//   - Constants move backwards. Adding c after M is adding M⁻¹c before M, and all of that but
//     its element 0 commutes with the S-box, into the round before. Left are one constant a
//     round, added to element 0 behind the S-box, and one full row before the first round.
//   - Matrices move forwards. M = [[1,0],[0,N]]·[[a,v],[N⁻¹w,I]] with N its minor; the left
//     factor commutes with the next round's S-box and joins that round's M. Left are a
//     sparse matrix a round and a dense one in the last round.
type sparse struct {
	first []fr.Element  // added before the first partial round
	post  []fr.Element  // added to element 0 behind the S-box, one a round
	mix   []sparseRound // all rounds but the last
	last  matrix
}

// sparseRound is [[row], [column, I]]: row has all of the first row, column the first column
// below it.
type sparseRound struct{ row, column []fr.Element }

func newSparse(p *Params) sparse {
	z := sparse{post: make([]fr.Element, p.partial)}
	inv := mustInvert(p.mds)
	scratch := make([]fr.Element, p.width)

	z.first = p.roundConstants(fullRounds/2 + p.partial - 1)
	for i := p.partial - 2; i >= 0; i-- {
		inv.apply(z.first, scratch)
		z.post[i] = z.first[0]
		z.first[0].SetZero()
		for j, c := range p.roundConstants(fullRounds/2 + i) {
			z.first[j].Add(&z.first[j], &c)
		}
	}

	m := p.mds
	for range p.partial - 1 {
		minor := m.minor()
		r := sparseRound{row: append([]fr.Element(nil), m[0]...), column: make([]fr.Element, p.arity)}
		for i := range r.column {
			r.column[i] = m[i+1][0]
		}
		mustInvert(minor).apply(r.column, scratch[:p.arity])
		z.mix = append(z.mix, r)
		m = p.mds.times(minor.bordered())
	}
	z.last = m
	return z
}

// mustInvert panics when m has no inverse, which for the fixed matrices of a fixed instance
// is decided once and for all: the tests build them.
func mustInvert(m matrix) matrix {
	inv, ok := m.inverse()
	if !ok {
		panic(fmt.Sprintf("poseidon: a %d×%d matrix of the instance has no inverse", len(m), len(m)))
	}
	return inv
}

// roundConstants returns a copy of one round's constants.
func (p *Params) roundConstants(round int) []fr.Element {
	return append([]fr.Element(nil), p.constants[round*p.width:(round+1)*p.width]...)
}

// permute is PermutePlain, with the partial rounds in sparse form.
func (p *Params) permute(s []fr.Element) {
	var buf [maxStack]fr.Element
	scratch := buf[:]
	if p.width > maxStack {
		scratch = make([]fr.Element, p.width)
	}
	for round := range fullRounds / 2 {
		p.fullRound(round, s, scratch)
	}

	z := &p.sparse
	for i := range s {
		s[i].Add(&s[i], &z.first[i])
	}
	for i := range z.mix {
		quintic(&s[0])
		s[0].Add(&s[0], &z.post[i])
		z.mix[i].apply(s)
	}
	quintic(&s[0])
	z.last.apply(s, scratch)

	for round := fullRounds/2 + p.partial; round < fullRounds+p.partial; round++ {
		p.fullRound(round, s, scratch)
	}
}

func (p *Params) fullRound(round int, s, scratch []fr.Element) {
	constants := p.constants[round*p.width:]
	for i := range s {
		s[i].Add(&s[i], &constants[i])
		quintic(&s[i])
	}
	p.mds.apply(s, scratch)
}

func (r *sparseRound) apply(s []fr.Element) {
	first, s0 := dot(r.row, s), s[0]
	var x fr.Element
	for i := range r.column {
		x.Mul(&r.column[i], &s0)
		s[i+1].Add(&s[i+1], &x)
	}
	s[0] = first
}
