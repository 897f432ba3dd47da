package circuit

import (
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/consensys/gnark/frontend"
	gnarkbits "github.com/consensys/gnark/std/math/bits"
)

const (
	nodeWords   = 8
	trimmedBits = 254
	nodeBits    = nodeWords * wordBits
)

// trimmed are the bits of a field element below 2^254, lowest first. There is one such form
// only, since 2^254 is below the modulus. All that sealing hashes with SHA-256, and all that
// comes out of it, is below, so nothing is lost.
func (a *arith) trimmed(x frontend.Variable) []frontend.Variable {
	return a.binary(x, trimmedBits)
}

// canonical are the bits of any field element, lowest first, held to be below the modulus:
// x + r, which also has 255 bits for a small x, is no solution.
func (a *arith) canonical(x frontend.Variable) []frontend.Variable {
	// The comparison with the modulus makes bits of them.
	return gnarkbits.ToBinary(a.api, x, gnarkbits.WithNbDigits(fr.Bits), gnarkbits.WithUnconstrainedOutputs())
}

// position are the bits of the index of one of 2^n leaves; no other number has them.
func (a *arith) position(index frontend.Variable, n int) []frontend.Variable {
	return a.binary(index, n)
}

// place is where the bit i of a node, a little-endian number of 32 bytes, is among the words
// that SHA-256 reads from those bytes, which are big-endian.
func place(i int) (word, bit int) {
	const byteBits, wordBytes = 8, wordBits / 8
	byt, bit := i/byteBits, i%byteBits
	return byt / wordBytes, (wordBytes-1-byt%wordBytes)*byteBits + bit
}

// words are a node as SHA-256 takes it, from its bits; bits that are not there are 0.
func (a *arith) words(node []frontend.Variable) []*word {
	var bits [nodeWords][]frontend.Variable
	for w := range bits {
		bits[w] = make([]frontend.Variable, wordBits)
	}
	for i := range nodeBits {
		w, bit := place(i)
		bits[w][bit] = 0
		if i < len(node) {
			bits[w][bit] = node[i]
		}
	}
	words := make([]*word, nodeWords)
	for w := range words {
		words[w] = a.pack(bits[w])
	}
	return words
}

// node is the field element that a digest is after trimming.
func (a *arith) node(digest state) frontend.Variable {
	terms := make([]frontend.Variable, trimmedBits)
	power := fr.One()
	for i := range terms {
		w, bit := place(i)
		terms[i] = a.api.Mul(a.split(digest[w])[bit], power)
		power.Double(&power)
	}
	return a.sum(terms...)
}

// assertTrimsTo holds a digest to a trimmed node, given as the numbers of its words. Only the
// word from which trimming drops bits is split.
func (a *arith) assertTrimsTo(digest state, node []frontend.Variable) {
	for w := range digest {
		kept := digest[w]
		if last, _ := place(trimmedBits); w == last {
			b := append([]frontend.Variable(nil), a.split(kept)...)
			for i := trimmedBits; i < nodeBits; i++ {
				_, bit := place(i)
				b[bit] = 0
			}
			kept = a.pack(b)
		}
		a.assertEqual(kept, node[w])
	}
}
