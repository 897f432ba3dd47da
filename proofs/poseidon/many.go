package poseidon

import (
	"fmt"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/consensys/gnark-crypto/utils/cpu"
)

// lanes is how many hashes are worked on side by side: their states stay in the first cache.
const lanes = 64

// HashMany sets dst[i] to the tree hash of the i-th arity inputs. It is Hash, several times
// faster where the processor multiplies many field elements at a time. Any other number of
// inputs than that of dst times the arity panics.
func (p *Params) HashMany(dst, inputs []fr.Element) {
	if len(inputs) != len(dst)*p.arity {
		panic(fmt.Sprintf("poseidon: %d inputs for %d hashes of arity %d", len(inputs), len(dst), p.arity))
	}
	if cpu.SupportAVX512IFMA && len(dst) >= minLanes {
		p.hashLanes(dst, inputs)
		return
	}
	for i := range dst {
		dst[i] = p.Hash(inputs[i*p.arity:][:p.arity])
	}
}

// minLanes is how many hashes are worth being worked on side by side.
const minLanes = 8

func (p *Params) hashLanes(dst, inputs []fr.Element) {
	l := newLaneState(p.width, min(len(dst), lanes))
	for len(dst) > 0 {
		n := min(len(dst), lanes)
		l.resize(n)
		for i := range n {
			l.s[0][i] = p.tag
			for j := range p.arity {
				l.s[1+j][i] = inputs[i*p.arity+j]
			}
		}
		p.permuteLanes(l)
		copy(dst, l.s[1])
		dst, inputs = dst[n:], inputs[n*p.arity:]
	}
}

// laneState is the states of many hashes: vector i has element i of each.
type laneState struct {
	s, next   []fr.Vector
	all, more []fr.Vector // the same at their full length
	x         fr.Vector   // scratch
}

func newLaneState(width, n int) *laneState {
	l := &laneState{all: make([]fr.Vector, width), more: make([]fr.Vector, width), x: make(fr.Vector, n)}
	for i := range width {
		l.all[i], l.more[i] = make(fr.Vector, n), make(fr.Vector, n)
	}
	l.s, l.next = make([]fr.Vector, width), make([]fr.Vector, width)
	return l
}

func (l *laneState) resize(n int) {
	for i := range l.all {
		l.s[i], l.next[i] = l.all[i][:n], l.more[i][:n]
	}
	l.x = l.x[:n]
}

// permuteLanes is permute.
func (p *Params) permuteLanes(l *laneState) {
	for round := range fullRounds / 2 {
		p.fullRoundLanes(round, l)
	}
	z := &p.sparse
	for i := range l.s {
		addConstant(l.s[i], &z.first[i])
	}
	for i := range z.mix {
		l.quintic(0)
		addConstant(l.s[0], &z.post[i])
		l.mix(&z.mix[i])
	}
	l.quintic(0)
	l.apply(z.last)
	for round := fullRounds/2 + p.partial; round < fullRounds+p.partial; round++ {
		p.fullRoundLanes(round, l)
	}
}

func (p *Params) fullRoundLanes(round int, l *laneState) {
	constants := p.constants[round*p.width:]
	for i := range l.s {
		addConstant(l.s[i], &constants[i])
		l.quintic(i)
	}
	l.apply(p.mds)
}

func addConstant(v fr.Vector, c *fr.Element) {
	for i := range v {
		v[i].Add(&v[i], c)
	}
}

func (l *laneState) quintic(i int) {
	l.x.Mul(l.s[i], l.s[i])
	l.x.Mul(l.x, l.x)
	l.s[i].Mul(l.s[i], l.x)
}

// apply is matrix.apply.
func (l *laneState) apply(m matrix) {
	for i := range m {
		l.dot(l.next[i], m[i])
	}
	l.s, l.next = l.next, l.s
}

// dot sets to to the sum of the state's elements, each times its factor.
func (l *laneState) dot(to fr.Vector, factors []fr.Element) {
	to.ScalarMul(l.s[0], &factors[0])
	for j := 1; j < len(factors); j++ {
		l.x.ScalarMul(l.s[j], &factors[j])
		to.Add(to, l.x)
	}
}

// mix is sparseRound.apply.
func (l *laneState) mix(r *sparseRound) {
	l.dot(l.next[0], r.row)
	for i := range r.column {
		l.x.ScalarMul(l.s[0], &r.column[i])
		l.s[i+1].Add(l.s[i+1], l.x)
	}
	l.s[0], l.next[0] = l.next[0], l.s[0]
}
