package groth16

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/big"
	"math/bits"
	"runtime"

	curve "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	gnark "github.com/consensys/gnark/backend/groth16/bls12-381"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bls12-381"

	"github.com/lodenet/lode/proofs/internal/parallel"
)

// Setup makes the keys of a circuit from secrets: it writes the proving key, with this label,
// and returns the verifying key. The same arguments give the same bytes on every machine.
// label.Constraints is filled in. Beside the circuit it holds three scalars a wire and two
// tables of 150 MB at most, never the key. progress, which may be nil, hears how much is done.
func Setup(ctx context.Context, ccs constraint.ConstraintSystem, s *Secrets, label Label, w io.Writer, progress func(done float64)) (*VerifyingKey, error) {
	if !littleEndian() {
		return nil, errors.New("setup: proving keys need a little-endian machine")
	}
	var err error
	if label.Constraints, err = Fingerprint(ccs); err != nil {
		return nil, fmt.Errorf("setup: %w", err)
	}
	m, err := newMaker(ctx, ccs, s)
	if err != nil {
		return nil, fmt.Errorf("setup: %w", err)
	}
	m.progress = progress
	if err := m.write(ctx, label, w); err != nil {
		return nil, fmt.Errorf("setup: %w", err)
	}
	return m.vk, nil
}

// DeriveVerifyingKey makes the verifying key that Setup returns, without making the proving
// key: what a node needs that only verifies.
func DeriveVerifyingKey(ctx context.Context, ccs constraint.ConstraintSystem, s *Secrets) (*VerifyingKey, error) {
	m, err := newMaker(ctx, ccs, s)
	if err != nil {
		return nil, fmt.Errorf("setup: %w", err)
	}
	return m.vk, nil
}

// maker is one setup.
type maker struct {
	r        *cs.R1CS
	s        *Secrets
	q        *qap
	vk       *VerifyingKey
	progress func(float64)

	done, total float64
}

func newMaker(ctx context.Context, ccs constraint.ConstraintSystem, s *Secrets) (*maker, error) {
	r, err := rankOne(ccs)
	if err != nil {
		return nil, err
	}
	m := &maker{r: r, s: s}
	if m.q, err = evaluate(ctx, r, &s.tau); err != nil {
		return nil, err
	}
	if m.q.vanishing.IsZero() {
		return nil, errors.New("the secret point is one of the domain; draw other secrets")
	}
	m.vk, err = m.verifyingKey()
	return m, err
}

// verifyingKey multiplies the few points that the verifier needs.
func (m *maker) verifyingKey() (*VerifyingKey, error) {
	var k gnark.VerifyingKey
	g1 := func(p *curve.G1Affine, e fr.Element) { var b big.Int; p.ScalarMultiplicationBase(e.BigInt(&b)) }
	g2 := func(p *curve.G2Affine, e fr.Element) { var b big.Int; p.ScalarMultiplicationBase(e.BigInt(&b)) }
	g1(&k.G1.Alpha, m.s.alpha)
	g1(&k.G1.Beta, m.s.beta)
	g1(&k.G1.Delta, m.s.delta)
	g2(&k.G2.Beta, m.s.beta)
	g2(&k.G2.Gamma, m.s.gamma)
	g2(&k.G2.Delta, m.s.delta)
	var gammaInv fr.Element
	gammaInv.Inverse(&m.s.gamma)
	k.G1.K = make([]curve.G1Affine, m.r.GetNbPublicVariables())
	for i := range k.G1.K {
		e := m.q.input(m.s, i)
		g1(&k.G1.K[i], *e.Mul(&e, &gammaInv))
	}
	return newVerifyingKey(&k)
}

// write makes the proving key.
func (m *maker) write(ctx context.Context, label Label, w io.Writer) error {
	infinityA, nA := zeros(m.q.a)
	infinityB, nB := zeros(m.q.b)
	h := &Header{
		Label: label, VerifyingKey: m.vk.Bytes(), Domain: int64(m.q.n), Wires: int64(len(m.q.a)), A: nA, B: nB,
		K: int64(len(m.q.a) - m.r.GetNbPublicVariables()),
	}
	out, err := newKeyWriter(w, h)
	if err != nil {
		return err
	}
	for _, f := range [][]bool{infinityA, infinityB} {
		if err := out.write(flags(f)); err != nil {
			return err
		}
		if err := out.endSection(); err != nil {
			return err
		}
	}
	n1 := int(h.A + h.B + h.Domain - 1 + h.K)
	m.total = float64(n1) + g2Cost*float64(h.B)
	_, _, g1, g2 := curve.Generators()
	t1, err := newTable[fp.Element](ctx, g1Point(g1), windowFor(n1))
	if err != nil {
		return err
	}
	for _, scalars := range []iter.Seq[fr.Element]{nonZero(m.q.a), nonZero(m.q.b), m.z(), m.k()} {
		if err := writePoints(ctx, m, out, t1, scalars, 1); err != nil {
			return err
		}
	}
	t2, err := newTable[curve.E2](ctx, g2Point(g2), windowFor(int(h.B)))
	if err != nil {
		return err
	}
	if err := writePoints(ctx, m, out, t2, nonZero(m.q.b), g2Cost); err != nil {
		return err
	}
	return out.close()
}

// g2Cost is what a point of G2 takes in points of G1, for progress.
const g2Cost = 2

// writePoints multiplies a table's generator by scalars and writes the points as a section.
func writePoints[T any, F coordinate[T]](ctx context.Context, m *maker, out *keyWriter, t *table[T, F], scalars iter.Seq[fr.Element], cost float64) error {
	blocks := 16 * runtime.GOMAXPROCS(0)
	in := make([]fr.Element, 0, blocks*blockPoints)
	points := make([]point[T], cap(in))
	free := make(chan *scratch[T, F], runtime.GOMAXPROCS(0)) // no more than that many at once
	for range cap(free) {
		free <- new(scratch[T, F])
	}
	flush := func() error {
		err := parallel.Each(ctx, (len(in)+blockPoints-1)/blockPoints, func(i int) error {
			from, to := i*blockPoints, min((i+1)*blockPoints, len(in))
			s := <-free
			t.multiply(points[from:to], in[from:to], s)
			free <- s
			return nil
		})
		if err != nil {
			return err
		}
		err = out.write(memory(points[:len(in)]))
		if m.done += cost * float64(len(in)); m.progress != nil && m.total > 0 {
			m.progress(m.done / m.total)
		}
		in = in[:0]
		return err
	}
	for e := range scalars {
		if in = append(in, e); len(in) == cap(in) {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	return out.endSection()
}

// zeros tells which scalars are zero, and counts the others.
func zeros(s []fr.Element) (is []bool, others int64) {
	is = make([]bool, len(s))
	for i := range s {
		if is[i] = s[i].IsZero(); !is[i] {
			others++
		}
	}
	return is, others
}

func nonZero(s []fr.Element) iter.Seq[fr.Element] {
	return func(yield func(fr.Element) bool) {
		for i := range s {
			if !s[i].IsZero() && !yield(s[i]) {
				return
			}
		}
	}
}

// k are the scalars of the private wires: (beta A + alpha B + C) / delta.
func (m *maker) k() iter.Seq[fr.Element] {
	var deltaInv fr.Element
	deltaInv.Inverse(&m.s.delta)
	return func(yield func(fr.Element) bool) {
		for i := m.r.GetNbPublicVariables(); i < len(m.q.a); i++ {
			e := m.q.input(m.s, i)
			if !yield(*e.Mul(&e, &deltaInv)) {
				return
			}
		}
	}
}

// z are the scalars tau^i (tau^n - 1) / delta for i < n - 1, in the order of reversed bits,
// which is that of gnark's quotient.
func (m *maker) z() iter.Seq[fr.Element] {
	var start fr.Element
	start.Inverse(&m.s.delta)
	start.Mul(&start, &m.q.vanishing)
	log := bits.TrailingZeros64(m.q.n)
	// tau^(low + high * 2^(log/2)) is a product of an element of each of two short lists.
	low, high := powers(m.s.tau, 1<<(log/2)), []fr.Element(nil)
	var step fr.Element
	step.Exp(m.s.tau, new(big.Int).SetUint64(1<<(log/2)))
	high = powers(step, 1<<(log-log/2))
	return func(yield func(fr.Element) bool) {
		for i := range m.q.n - 1 {
			r := bits.Reverse64(i) >> (64 - log)
			var e fr.Element
			e.Mul(&low[r%uint64(len(low))], &high[r/uint64(len(low))])
			if !yield(*e.Mul(&e, &start)) {
				return
			}
		}
	}
}

func powers(x fr.Element, n int) []fr.Element {
	out := make([]fr.Element, n)
	out[0].SetOne()
	for i := 1; i < n; i++ {
		out[i].Mul(&out[i-1], &x)
	}
	return out
}
