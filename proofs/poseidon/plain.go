package poseidon

import "github.com/consensys/gnark-crypto/ecc/bls12-381/fr"

// HashPlain is HashTagged by the definition (spec: 3.4), several times slower.
func (p *Params) HashPlain(tag fr.Element, inputs []fr.Element) fr.Element {
	s := p.state(nil, tag, inputs)
	p.PermutePlain(s)
	return s[1]
}

// PermutePlain runs all rounds over a state of arity+1 elements.
func (p *Params) PermutePlain(s []fr.Element) {
	scratch := make([]fr.Element, p.width)
	for round := range fullRounds + p.partial {
		for i := range s {
			s[i].Add(&s[i], &p.constants[round*p.width+i])
		}
		if round < fullRounds/2 || round >= fullRounds/2+p.partial {
			for i := range s {
				quintic(&s[i])
			}
		} else {
			quintic(&s[0])
		}
		p.mds.apply(s, scratch)
	}
}

// quintic is the S-box x^5.
func quintic(x *fr.Element) {
	var y fr.Element
	y.Square(x)
	y.Square(&y)
	x.Mul(x, &y)
}
