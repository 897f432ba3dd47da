package groth16

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc"
	curve "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"

	"github.com/lodenet/lode/proofs/internal/parallel"
)

// Claim is a proof and what it is about.
type Claim struct {
	Key    *VerifyingKey
	Inputs []fr.Element
	Proof  []byte
}

// VerifyBatch checks many claims, under any mix of keys, and answers each: nil when it
// holds, ErrFalse when it does not, another error when it is malformed. The answers are
// those that VerifyingKey.Verify gives one by one, at a fraction of the time when all hold:
// the equations are added up with weights that no one could have known when making the
// proofs, and the sum is checked with one final exponentiation. When it fails, halves are
// checked until the bad ones are found. The error of the call itself is the context's.
func VerifyBatch(ctx context.Context, claims []Claim) ([]error, error) {
	answers := make([]error, len(claims))
	proofs := make([]*Proof, len(claims))
	err := parallel.Each(ctx, len(claims), func(i int) error {
		if answers[i] = claims[i].Key.fits(claims[i].Inputs); answers[i] == nil {
			proofs[i], answers[i] = ParseProof(claims[i].Proof)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	b := &batch{claims: claims, proofs: proofs, answers: answers}
	var open []int
	for i := range claims {
		if answers[i] == nil {
			open = append(open, i)
		}
	}
	b.weigh(open)
	return answers, b.settle(ctx, open)
}

// ErrFalse: the proof is well formed and does not prove the statement.
var ErrFalse = errors.New("proof does not hold")

type batch struct {
	claims  []Claim
	proofs  []*Proof
	answers []error
	weights []fr.Element
}

// weightBytes is the length of a weight: a false batch passes with probability 2^-128.
const weightBytes = 16

// weigh draws a weight for each claim from a hash of all of them: as unpredictable to whoever
// makes the proofs as random ones, and the same on every machine.
func (b *batch) weigh(open []int) {
	h := sha256.New()
	for _, i := range open {
		c := &b.claims[i]
		h.Write(c.Key.digest[:]) // the key says how many inputs follow
		for j := range c.Inputs {
			e := c.Inputs[j].Bytes()
			h.Write(e[:])
		}
		h.Write(c.Proof)
	}
	seed := h.Sum([]byte("lode/groth16/batch"))
	b.weights = make([]fr.Element, len(b.claims))
	for _, i := range open {
		d := sha256.Sum256(binary.BigEndian.AppendUint64(seed[:len(seed):len(seed)], uint64(i)))
		b.weights[i].SetBytes(d[:weightBytes])
		if b.weights[i].IsZero() {
			b.weights[i].SetOne()
		}
	}
}

// settle answers the claims that are open.
func (b *batch) settle(ctx context.Context, open []int) error {
	if err := ctx.Err(); err != nil || len(open) == 0 {
		return err
	}
	if len(open) == 1 {
		i := open[0]
		if !b.claims[i].Key.holds(b.claims[i].Inputs, b.proofs[i]) {
			b.answers[i] = ErrFalse
		}
		return nil
	}
	ok, err := b.holds(ctx, open)
	if err != nil || ok {
		return err
	}
	if err := b.settle(ctx, open[:len(open)/2]); err != nil {
		return err
	}
	return b.settle(ctx, open[len(open)/2:])
}

// holds checks the weighted sum: the product over the claims of e(z A, B), times for each
// key e(-Σz α, β) e(-Σz (ic₀ + Σ xᵢ icᵢ), γ) e(-Σz C, δ), is one.
func (b *batch) holds(ctx context.Context, open []int) (bool, error) {
	g1, g2 := make([]curve.G1Affine, len(open)), make([]curve.G2Affine, len(open))
	err := parallel.Each(ctx, len(open), func(k int) error {
		i := open[k]
		var z big.Int
		g1[k].ScalarMultiplication(&b.proofs[i].a, b.weights[i].BigInt(&z))
		g2[k] = b.proofs[i].b
		return nil
	})
	if err != nil {
		return false, err
	}
	for _, of := range b.byKey(open) {
		if g1, g2, err = b.keyTerms(g1, g2, of); err != nil {
			return false, err
		}
	}
	return pairingIsOne(ctx, g1, g2)
}

// byKey groups claims whose key is the same, in the order of their first.
func (b *batch) byKey(open []int) [][]int {
	var groups [][]int
	at := map[Digest]int{}
	for _, i := range open {
		d := b.claims[i].Key.digest
		k, ok := at[d]
		if !ok {
			k = len(groups)
			at[d] = k
			groups = append(groups, nil)
		}
		groups[k] = append(groups[k], i)
	}
	return groups
}

// keyTerms appends the three pairs of one key.
func (b *batch) keyTerms(g1 []curve.G1Affine, g2 []curve.G2Affine, of []int) ([]curve.G1Affine, []curve.G2Affine, error) {
	key := &b.claims[of[0]].Key.key
	// The weighted inputs, the constant first.
	x := make([]fr.Element, len(key.G1.K))
	z, c := make([]fr.Element, len(of)), make([]curve.G1Affine, len(of))
	for k, i := range of {
		z[k], c[k] = b.weights[i], b.proofs[i].c
		x[0].Add(&x[0], &z[k])
		for j := range b.claims[i].Inputs {
			var t fr.Element
			t.Mul(&z[k], &b.claims[i].Inputs[j])
			x[j+1].Add(&x[j+1], &t)
		}
	}
	var alpha, ic, sum curve.G1Affine
	var s big.Int
	alpha.ScalarMultiplication(&key.G1.Alpha, x[0].BigInt(&s))
	if _, err := ic.MultiExp(key.G1.K, x, ecc.MultiExpConfig{}); err != nil {
		return nil, nil, err
	}
	if _, err := sum.MultiExp(c, z, ecc.MultiExpConfig{}); err != nil {
		return nil, nil, err
	}
	for _, p := range []*curve.G1Affine{&alpha, &ic, &sum} {
		p.Neg(p)
		g1 = append(g1, *p)
	}
	return g1, append(g2, key.G2.Beta, key.G2.Gamma, key.G2.Delta), nil
}

// pairingIsOne tells whether the product of pairings is one. The Miller loops run on all
// cores; the final exponentiation runs once.
func pairingIsOne(ctx context.Context, g1 []curve.G1Affine, g2 []curve.G2Affine) (bool, error) {
	const share = 8
	n := (len(g1) + share - 1) / share
	loops := make([]curve.GT, n)
	err := parallel.Each(ctx, n, func(i int) (err error) {
		from, to := i*share, min((i+1)*share, len(g1))
		loops[i], err = curve.MillerLoop(g1[from:to], g2[from:to])
		return err
	})
	if err != nil {
		return false, err
	}
	for i := range loops[1:] {
		loops[0].Mul(&loops[0], &loops[i+1])
	}
	result := curve.FinalExponentiation(&loops[0])
	var one curve.GT
	return result.Equal(one.SetOne()), nil
}
