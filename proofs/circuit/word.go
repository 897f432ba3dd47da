package circuit

import (
	"math/bits"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/consensys/gnark/constraint"
	"github.com/consensys/gnark/frontend"
	gnarkbits "github.com/consensys/gnark/std/math/bits"
)

const wordBits = 32

// word is a number of 32 bits inside a circuit. Its value is an integer from 0 to max, equal
// to the number modulo 2^32: sums are not reduced before their bits are needed, and many
// never need them. max stays far below the modulus, so that no value wraps around.
type word struct {
	value frontend.Variable
	max   uint64
	bits  []frontend.Variable // lowest first, each 0 or 1; nil while not asked for
}

// arith computes with words. Constants cost nothing: whatever follows from constants alone
// is a constant again.
type arith struct {
	api      frontend.API
	powers   [wordBits]fr.Element // of two
	over     fr.Element           // 2^-32
	half     fr.Element
	quarter  fr.Element
	shift    fr.Element // -3/2
	odd, two fr.Element // 3/4 and -3/4

	gate     constraint.BlueprintID
	calldata []uint32
}

func newArith(api frontend.API) *arith {
	a := &arith{api: api, gate: api.Compiler().AddBlueprint(&constraint.BlueprintGenericR1C{})}
	one := fr.One()
	two := fr.NewElement(2)
	a.powers[0] = one
	for i := 1; i < wordBits; i++ {
		a.powers[i].Double(&a.powers[i-1])
	}
	a.over.Double(&a.powers[wordBits-1]).Inverse(&a.over)
	a.half.Inverse(&two)
	a.quarter.Square(&a.half)
	a.odd.Sub(&one, &a.quarter)
	a.two.Neg(&a.odd)
	a.shift.Double(&a.two)
	return a
}

// sum adds any number of variables, and no constraint.
func (a *arith) sum(v ...frontend.Variable) frontend.Variable {
	switch len(v) {
	case 0:
		return 0
	case 1:
		return v[0]
	}
	return a.api.Add(v[0], v[1], v[2:]...)
}

// constant reports whether v is one.
func (a *arith) constant(v frontend.Variable) (uint64, bool) {
	if n, ok := v.(int); ok {
		return uint64(n), true
	}
	c, ok := a.api.Compiler().ConstantValue(v)
	if !ok {
		return 0, false
	}
	return c.Uint64(), true
}

// number is the word of a constant.
func (a *arith) number(n uint32) *word {
	w := &word{value: n, max: uint64(n), bits: make([]frontend.Variable, wordBits)}
	for i := range w.bits {
		w.bits[i] = int(n >> i & 1)
	}
	return w
}

// pack is the word of 32 bits, lowest first. Who calls it made sure that they are bits.
func (a *arith) pack(b []frontend.Variable) *word {
	w := &word{value: a.weighted(b), bits: b}
	for i, bit := range b {
		if c, ok := a.constant(bit); !ok || c != 0 {
			w.max |= 1 << i
		}
	}
	return w
}

// weighted is the number that at most 32 bits stand for.
func (a *arith) weighted(b []frontend.Variable) frontend.Variable {
	terms := make([]frontend.Variable, len(b))
	for i := range b {
		terms[i] = a.api.Mul(b[i], a.powers[i])
	}
	return a.sum(terms...)
}

// add is the sum of words, without any constraint.
func (a *arith) add(words ...*word) *word {
	values := make([]frontend.Variable, len(words))
	w := &word{}
	for i, x := range words {
		values[i] = x.value
		w.max += x.max
	}
	w.value = a.sum(values...)
	if c, ok := a.constant(w.value); ok {
		return a.number(uint32(c))
	}
	return w
}

// negate is what adds up to zero with w.
func (a *arith) negate(w *word) *word {
	if c, ok := a.constant(w.value); ok {
		return a.number(-uint32(c))
	}
	top := (w.max>>wordBits + 1) << wordBits
	return &word{value: a.api.Sub(top, w.value), max: top}
}

// split gives w its bits: one constraint for each, those above 32 included, and one that
// they make up the value. From then on the value is reduced.
func (a *arith) split(w *word) []frontend.Variable {
	if w.bits != nil {
		return w.bits
	}
	b := a.binary(w.value, max(bits.Len64(w.max), wordBits))
	*w = *a.pack(b[:wordBits:wordBits])
	return w.bits
}

// assertEqual holds w to a number, which must be known to have no more than 32 bits. What
// they differ by is a multiple of 2^32, small enough to be one among the integers.
func (a *arith) assertEqual(w *word, number frontend.Variable) {
	carry := bits.Len64(w.max >> wordBits)
	if carry == 0 {
		a.api.AssertIsEqual(w.value, number)
		return
	}
	a.binary(a.api.Mul(a.api.Sub(w.value, number), a.over), carry)
}

// binary are the n bits of a value, lowest first: one constraint for each bit, and one that
// they make up the value. It is strict when n is less than the modulus has, which is asked
// of the caller.
func (a *arith) binary(v frontend.Variable, n int) []frontend.Variable {
	if n == 1 {
		a.boolean(v)
		return []frontend.Variable{v}
	}
	b := gnarkbits.ToBinary(a.api, v, gnarkbits.WithNbDigits(n), gnarkbits.WithUnconstrainedOutputs())
	for _, bit := range b {
		a.boolean(bit)
	}
	return b
}

// boolean holds v to be 0 or 1, as AssertIsBoolean does, which besides remembers all that it
// was called for: of a million bits that takes most of the time and memory of compiling.
func (a *arith) boolean(v frontend.Variable) {
	if _, ok := a.constant(v); ok {
		a.api.AssertIsBoolean(v)
		return
	}
	a.constrain(v, a.api.Sub(1, v), nil)
}

// constrain adds the constraint x·y = z. None of them may be a constant; z is nil for 0.
func (a *arith) constrain(x, y, z frontend.Variable) {
	expression := func(v frontend.Variable) constraint.LinearExpression {
		if v == nil {
			return nil
		}
		return a.api.Compiler().ToCanonicalVariable(v).(constraint.LinearExpression)
	}
	r := constraint.R1C{L: expression(x), R: expression(y), O: expression(z)}
	a.calldata = a.calldata[:0]
	(&constraint.BlueprintGenericR1C{}).CompressR1C(&r, &a.calldata)
	a.api.Compiler().AddInstruction(a.gate, a.calldata)
}

// perBit is the word of a function of bits.
func (a *arith) perBit(f func(i int) frontend.Variable) *word {
	b := make([]frontend.Variable, wordBits)
	for i := range b {
		b[i] = f(i)
	}
	return a.pack(b)
}
