package groth16

import (
	"context"

	curve "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"

	"github.com/lodenet/lode/proofs/internal/parallel"
)

// Key generation multiplies two generators by millions of scalars. A table holds, for each
// window of c bits, every multiple of the generator that this window can ask for, so a
// product is one addition a window and no doubling. Scalars go through the table in blocks,
// window by window: the additions of a block are independent, so they are done in affine
// coordinates with one inversion for all of them.

// scalarBits bounds a scalar after halving: one above (r-1)/2 is negated, and its point too.
const scalarBits = fr.Bits - 1

// blockPoints is how many scalars go through the table together: enough to make the shared
// inversion cheap, few enough to stay in the second-level cache.
const blockPoints = 2048

// coordinate is what the formulas need of the field below a curve.
type coordinate[T any] interface {
	*T
	Add(a, b *T) *T
	Sub(a, b *T) *T
	Mul(a, b *T) *T
	Square(a *T) *T
	Neg(a *T) *T
	Inverse(a *T) *T
	IsZero() bool
	SetOne() *T
}

// point is an affine point, laid out as curve.G1Affine and curve.G2Affine are. Infinity is
// (0, 0), which is on neither curve.
type point[T any] struct{ X, Y T }

type (
	g1Point = point[fp.Element]
	g2Point = point[curve.E2]
)

// table is a generator's multiples: rows[w][d-1] = d * 2^(window*w) * G.
type table[T any, F coordinate[T]] struct {
	window int
	rows   [][]point[T]
}

// windowFor is the window that needs the fewest additions for n products, table included.
func windowFor(n int) int {
	best, bestCost := 0, 0
	for c := 4; c <= 16; c++ {
		rows := windows(c)
		if cost := rows * (1<<(c-1) + n); best == 0 || cost < bestCost {
			best, bestCost = c, cost
		}
	}
	return best
}

// windows is how many windows of c bits a scalar has. Digits are signed, so the top window
// must have room for a carry.
func windows(c int) int { return (scalarBits + 1 + c - 1) / c }

// newTable makes the table of a generator, its rows on all cores.
func newTable[T any, F coordinate[T]](ctx context.Context, g point[T], window int) (*table[T, F], error) {
	t := &table[T, F]{window: window, rows: make([][]point[T], windows(window))}
	for w := range t.rows {
		t.rows[w] = make([]point[T], 1<<(window-1))
		t.rows[w][0] = g
		for range window {
			double[T, F](&g)
		}
	}
	return t, parallel.Each(ctx, len(t.rows), func(w int) error {
		row := t.rows[w]
		var a adder[T, F]
		// row[n+i] = row[i] + row[n-1], where n multiples are there already.
		for n := 1; n < len(row); n *= 2 {
			copy(row[n:], row[:n])
			a.reset(n)
			for i := range n {
				a.add(i, &row[n-1], false)
			}
			a.flush(row[n : 2*n])
		}
		return nil
	})
}

// multiply sets out[i] = scalars[i] * G, one block.
func (t *table[T, F]) multiply(out []point[T], scalars []fr.Element, s *scratch[T, F]) {
	n := len(scalars)
	s.digits = grow(s.digits, len(t.rows)*n)
	for i := range scalars {
		digits(s.digits[i:], n, len(t.rows), t.window, &scalars[i])
	}
	clear(out)
	for w, row := range t.rows {
		s.adder.reset(n)
		for i, d := range s.digits[w*n : (w+1)*n] {
			switch {
			case d > 0:
				s.adder.add(i, &row[d-1], false)
			case d < 0:
				s.adder.add(i, &row[-d-1], true)
			}
		}
		s.adder.flush(out)
	}
}

// scratch is the memory of one goroutine that multiplies.
type scratch[T any, F coordinate[T]] struct {
	digits []int32
	adder  adder[T, F]
}

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// digits writes the signed digits of a scalar, least first, with the given stride: its value
// is the sum of digit[w] * 2^(window*w), and no digit is larger than 2^(window-1).
func digits(to []int32, stride, rows, window int, scalar *fr.Element) {
	e, sign := *scalar, int32(1)
	if e.LexicographicallyLargest() {
		e.Neg(&e)
		sign = -1
	}
	limbs := e.Bits()
	carry := uint64(0)
	for w := range rows {
		bit := w * window
		v := uint64(0)
		if limb := bit / 64; limb < len(limbs) {
			v = limbs[limb] >> (bit % 64)
			if bit%64+window > 64 && limb+1 < len(limbs) {
				v |= limbs[limb+1] << (64 - bit%64)
			}
		}
		v = v&(1<<window-1) + carry
		carry = 0
		d := int32(v)
		if v > 1<<(window-1) {
			d -= 1 << window
			carry = 1
		}
		to[w*stride] = sign * d
	}
}

// adder collects additions acc[i] += q to distinct i, and does them with one inversion. What
// it works on is in its own memory: a variable whose address goes to a method of F would be
// allocated anew each time.
type adder[T any, F coordinate[T]] struct {
	list []addition[T]
	n    int // additions on the list

	prod, inv, lambda, x T
}

type addition[T any] struct {
	index  int
	minus  bool
	point  point[T]
	delta  T // point.X - acc.X
	prefix T // product of the deltas before
}

// reset makes room for n additions.
func (a *adder[T, F]) reset(n int) { a.list, a.n = grow(a.list, n), 0 }

// add puts acc[i] += q, or -q, on the list. It does nothing else, so that many points are on
// their way from memory at once.
func (a *adder[T, F]) add(i int, q *point[T], minus bool) {
	e := &a.list[a.n]
	e.index, e.minus, e.point = i, minus, *q
	a.n++
}

// flush does what is on the list.
func (a *adder[T, F]) flush(acc []point[T]) {
	a.multiplyDeltas(acc)
	if a.n == 0 {
		return
	}
	inv, lambda, x := F(&a.inv), F(&a.lambda), F(&a.x)
	inv.Inverse(&a.prod)
	for k := a.n - 1; k >= 0; k-- {
		e := &a.list[k]
		p, q := &acc[e.index], &e.point
		x.Mul(&a.inv, &e.prefix) // 1 / delta
		inv.Mul(&a.inv, &e.delta)
		lambda.Sub(&q.Y, &p.Y)
		lambda.Mul(&a.lambda, &a.x)
		x.Square(&a.lambda)
		x.Sub(&a.x, &p.X)
		x.Sub(&a.x, &q.X)
		F(&p.X).Sub(&p.X, &a.x)
		lambda.Mul(&a.lambda, &p.X)
		F(&p.Y).Sub(&a.lambda, &p.Y)
		p.X = a.x
	}
}

// multiplyDeltas leaves the product of all deltas in prod. Additions for which the formula has
// no answer are done at once and leave the list.
func (a *adder[T, F]) multiplyDeltas(acc []point[T]) {
	prod := F(&a.prod)
	prod.SetOne()
	kept := 0
	for k := range a.n {
		e := &a.list[k]
		p, q := &acc[e.index], &e.point
		if e.minus {
			F(&q.Y).Neg(&q.Y)
		}
		if F(&p.X).IsZero() && F(&p.Y).IsZero() {
			*p = *q
			continue
		}
		F(&e.delta).Sub(&q.X, &p.X)
		if F(&e.delta).IsZero() {
			if F(&a.x).Add(&p.Y, &q.Y); F(&a.x).IsZero() {
				*p = point[T]{}
			} else {
				double[T, F](p)
			}
			continue
		}
		e.prefix = a.prod
		prod.Mul(&a.prod, &e.delta)
		if kept != k {
			a.list[kept] = *e
		}
		kept++
	}
	a.n = kept
}

// double doubles a point other than infinity. Neither curve has points of order two.
func double[T any, F coordinate[T]](p *point[T]) {
	var lambda, den, x T
	F(&lambda).Square(&p.X)
	F(&den).Add(&lambda, &lambda)
	F(&lambda).Add(&lambda, &den) // 3x², the curves have a = 0
	F(&den).Add(&p.Y, &p.Y)
	F(&den).Inverse(&den)
	F(&lambda).Mul(&lambda, &den)
	F(&x).Square(&lambda)
	F(&x).Sub(&x, &p.X)
	F(&x).Sub(&x, &p.X)
	F(&p.X).Sub(&p.X, &x)
	F(&lambda).Mul(&lambda, &p.X)
	F(&p.Y).Sub(&lambda, &p.Y)
	p.X = x
}
