package circuit

import "github.com/consensys/gnark/frontend"

// The functions of three bits that SHA-256 uses take one constraint each where others take
// two, by a division. Let s = x+y+z, which is one of 0, 1, 2, 3:
//
//	xor:      (s - 3/2) · (s - 2·xor - 1/2) =  3/4
//	majority: (s - 3/2) · (s - 4·maj + 1/2) = -3/4
//
// The first factor is never zero, so the second, and with it the result, has just one value;
// that it is the right one is seen by putting the four values of s in. The quotient is the
// only new variable, and the result a linear combination.
//
// All of them need bits that are known to be bits, and give such.

// xor is the sum of three bits modulo 2.
func (a *arith) xor(x, y, z frontend.Variable) frontend.Variable {
	v, ones := a.variables(x, y, z)
	var r frontend.Variable
	switch len(v) {
	case 0:
		return ones % 2
	case 1:
		r = v[0]
	case 2:
		r = a.api.Sub(a.api.Add(v[0], v[1]), a.api.Mul(2, a.api.Mul(v[0], v[1])))
	default:
		s := a.api.Add(x, y, z, a.shift)
		r = a.api.Mul(a.api.Sub(s, a.api.DivUnchecked(a.odd, s), -1), a.half)
	}
	if ones%2 == 1 {
		r = a.api.Sub(1, r)
	}
	return r
}

// maj is the bit that two of three have in common.
func (a *arith) maj(x, y, z frontend.Variable) frontend.Variable {
	v, ones := a.variables(x, y, z)
	switch {
	case len(v) == 3:
		s := a.api.Add(x, y, z, a.shift)
		return a.api.Mul(a.api.Sub(s, a.api.DivUnchecked(a.two, s), -2), a.quarter)
	case len(v) == 2 && ones == 0:
		return a.api.Mul(v[0], v[1])
	case len(v) == 2:
		return a.api.Sub(a.api.Add(v[0], v[1]), a.api.Mul(v[0], v[1]))
	case len(v) == 1 && ones == 1:
		return v[0]
	}
	return min(ones, 2) / 2
}

// ch is y where x is 1, and z where it is 0.
func (a *arith) ch(x, y, z frontend.Variable) frontend.Variable {
	return a.api.Add(z, a.api.Mul(x, a.api.Sub(y, z)))
}

// variables are those bits that are not constant; ones is how many of the others are 1.
func (a *arith) variables(b ...frontend.Variable) (v []frontend.Variable, ones int) {
	for _, bit := range b {
		if c, ok := a.constant(bit); ok {
			ones += int(c)
		} else {
			v = append(v, bit)
		}
	}
	return v, ones
}
