package groth16

import (
	"context"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr/fft"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bls12-381"

	"github.com/lodenet/lode/proofs/internal/parallel"
)

// qap are the polynomials of a constraint system at the secret point: for each wire, the
// value of its left, right and output polynomial.
type qap struct {
	a, b, c []fr.Element
	// vanishing is tau^n - 1 for a domain of n points.
	n         uint64
	vanishing fr.Element
}

// evaluate computes them. Constraint i contributes its coefficients times the Lagrange
// polynomial of the i-th point of the domain.
func evaluate(ctx context.Context, r *cs.R1CS, tau *fr.Element) (*qap, error) {
	domain := fft.NewDomain(uint64(r.GetNbConstraints()), fft.WithoutPrecompute())
	q := &qap{n: domain.Cardinality}
	one := fr.One()
	q.vanishing.Exp(*tau, new(big.Int).SetUint64(q.n))
	q.vanishing.Sub(&q.vanishing, &one)
	lagrange, err := lagrangeAt(ctx, r.GetNbConstraints(), domain, &q.vanishing, tau)
	if err != nil {
		return nil, err
	}
	nb := wires(r)
	q.a, q.b, q.c = make([]fr.Element, nb), make([]fr.Element, nb), make([]fr.Element, nb)
	sums := []struct {
		of   []fr.Element
		side func(*constraint.R1C) constraint.LinearExpression
	}{
		{q.a, func(c *constraint.R1C) constraint.LinearExpression { return c.L }},
		{q.b, func(c *constraint.R1C) constraint.LinearExpression { return c.R }},
		{q.c, func(c *constraint.R1C) constraint.LinearExpression { return c.O }},
	}
	return q, parallel.Each(ctx, len(sums), func(i int) error {
		it := r.GetR1CIterator()
		for n := 0; ; n++ {
			c := it.Next()
			if c == nil {
				return nil
			}
			if n%(1<<16) == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			for _, t := range sums[i].side(c) {
				accumulate(&sums[i].of[t.WireID()], r, t, &lagrange[n])
			}
		}
	})
}

// accumulate adds coefficient times value.
func accumulate(sum *fr.Element, r *cs.R1CS, t constraint.Term, value *fr.Element) {
	switch id := t.CoeffID(); id {
	case constraint.CoeffIdZero:
	case constraint.CoeffIdOne:
		sum.Add(sum, value)
	case constraint.CoeffIdMinusOne:
		sum.Sub(sum, value)
	default:
		var v fr.Element
		v.Mul(&r.Coefficients[id], value)
		sum.Add(sum, &v)
	}
}

// lagrangeAt are the first count Lagrange polynomials of the domain at tau:
// L_i = w^i (tau^n - 1) / (n (tau - w^i)).
func lagrangeAt(ctx context.Context, count int, domain *fft.Domain, vanishing, tau *fr.Element) ([]fr.Element, error) {
	out := make([]fr.Element, count)
	var factor fr.Element
	factor.Mul(vanishing, &domain.CardinalityInv)
	const block = 1 << 14
	return out, parallel.Each(ctx, (count+block-1)/block, func(k int) error {
		part := out[k*block : min((k+1)*block, count)]
		var w fr.Element
		w.Exp(domain.Generator, big.NewInt(int64(k*block)))
		points := make([]fr.Element, len(part))
		for i := range part {
			points[i] = w
			part[i].Sub(tau, &w)
			w.Mul(&w, &domain.Generator)
		}
		inverse := fr.BatchInvert(part)
		for i := range part {
			part[i].Mul(&factor, &points[i])
			part[i].Mul(&part[i], &inverse[i])
		}
		return nil
	})
}

// input is the scalar of a wire in the keys' K vectors before division by gamma or delta:
// beta A + alpha B + C.
func (q *qap) input(s *Secrets, wire int) fr.Element {
	var x, y fr.Element
	x.Mul(&q.a[wire], &s.beta)
	y.Mul(&q.b[wire], &s.alpha)
	x.Add(&x, &y)
	return *x.Add(&x, &q.c[wire])
}
