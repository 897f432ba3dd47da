package poseidon

import "github.com/consensys/gnark-crypto/ecc/bls12-381/fr"

// grain is the self-shrinking shift register that the round constants come from (spec: 3.2).
type grain struct {
	bits [80]byte // a ring of single bits
	at   int      // the oldest one
}

func newGrain(width, full, partial int) *grain {
	g := &grain{}
	n := 0
	field := func(v, width int) {
		for i := width - 1; i >= 0; i-- {
			g.bits[n] = byte(v>>i) & 1
			n++
		}
	}
	field(1, 2) // a prime field
	field(1, 4) // S-box x^5
	field(fr.Bits, 12)
	field(width, 12)
	field(full, 10)
	field(partial, 10)
	field(1<<30-1, 30)
	for range 160 {
		g.step()
	}
	return g
}

func (g *grain) step() byte {
	bit := byte(0)
	for _, tap := range [...]int{62, 51, 38, 23, 13, 0} {
		bit ^= g.bits[(g.at+tap)%len(g.bits)]
	}
	g.bits[g.at] = bit
	g.at = (g.at + 1) % len(g.bits)
	return bit
}

// bit draws pairs until one starts with a 1 and returns its second.
func (g *grain) bit() byte {
	for {
		keep, bit := g.step(), g.step()
		if keep == 1 {
			return bit
		}
	}
}

// element draws 255 bits, most significant first, until they are below the modulus.
func (g *grain) element() fr.Element {
	for {
		var le [fr.Bytes]byte
		for i := fr.Bits - 1; i >= 0; i-- {
			le[i/8] |= g.bit() << (i % 8)
		}
		if e, err := fr.LittleEndian.Element(&le); err == nil {
			return e
		}
	}
}
