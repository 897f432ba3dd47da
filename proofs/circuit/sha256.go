package circuit

import "github.com/consensys/gnark/frontend"

const (
	shaRounds  = 64
	blockWords = 16
	stateWords = 8
)

// schedule is the expanded message of one block. Blocks of the same content can share one.
type schedule [shaRounds]*word

// state is what a block leaves behind for the next.
type state [stateWords]*word

// expand makes the schedule of the 16 words of a block.
func (a *arith) expand(block []*word) *schedule {
	var w schedule
	copy(w[:blockWords], block)
	for t := blockWords; t < shaRounds; t++ {
		w[t] = a.add(w[t-16], a.rotations(w[t-15], 7, 18, 3, true), w[t-7], a.rotations(w[t-2], 17, 19, 10, true))
	}
	return &w
}

// rotations is the sum modulo 2, bit by bit, of a word rotated to the right three times, the
// last time shifted if it is said so.
func (a *arith) rotations(w *word, i, j, k int, shift bool) *word {
	b := a.split(w)
	return a.perBit(func(n int) frontend.Variable {
		last := frontend.Variable(0)
		if n+k < wordBits || !shift {
			last = b[(n+k)%wordBits]
		}
		return a.xor(b[(n+i)%wordBits], b[(n+j)%wordBits], last)
	})
}

func (a *arith) choice(x, y, z *word) *word {
	xb, yb, zb := a.split(x), a.split(y), a.split(z)
	return a.perBit(func(i int) frontend.Variable { return a.ch(xb[i], yb[i], zb[i]) })
}

func (a *arith) majority(x, y, z *word) *word {
	xb, yb, zb := a.split(x), a.split(y), a.split(z)
	return a.perBit(func(i int) frontend.Variable { return a.maj(xb[i], yb[i], zb[i]) })
}

// compress takes the state through one block (FIPS 180-4, 6.2.2).
func (a *arith) compress(s state, w *schedule) state {
	v := s
	for t := range w {
		t1 := a.add(v[7], a.rotations(v[4], 6, 11, 25, false), a.choice(v[4], v[5], v[6]), a.number(shaConstants[t]), w[t])
		e := a.add(v[3], t1)
		if t < shaRounds-1 {
			a.split(e) // so that what follows is made of fewer terms; the last is only added up
		}
		// t1 is e less the word that was added, of which e's bits are a shorter form.
		next := a.add(e, a.negate(v[3]), a.rotations(v[0], 2, 13, 22, false), a.majority(v[0], v[1], v[2]))
		v = state{next, v[0], v[1], v[2], e, v[4], v[5], v[6]}
	}
	for i := range s {
		s[i] = a.add(s[i], v[i])
	}
	return s
}

// initial is the state before the first block.
func (a *arith) initial() (s state) {
	for i, n := range shaInitial {
		s[i] = a.number(n)
	}
	return s
}

// padding is what ends the last block of a message of so many words.
func (a *arith) padding(words int) []*word {
	const lengthWords = 2
	p := []*word{a.number(1 << 31)}
	for (words+len(p)+lengthWords)%blockWords != 0 {
		p = append(p, a.number(0))
	}
	length := uint64(words) * wordBits
	return append(p, a.number(uint32(length>>32)), a.number(uint32(length)))
}

// digest hashes a message of whole words.
func (a *arith) digest(message []*word) state {
	message = append(message[:len(message):len(message)], a.padding(len(message))...)
	s := a.initial()
	for ; len(message) > 0; message = message[blockWords:] {
		s = a.compress(s, a.expand(message[:blockWords]))
	}
	return s
}

// The first 32 bits of the fractional parts of the square roots of the first 8 primes.
var shaInitial = [stateWords]uint32{
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
}

// The same of the cube roots of the first 64 primes.
var shaConstants = [shaRounds]uint32{
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}
