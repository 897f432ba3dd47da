package sdr

import (
	"encoding/binary"
	"math/bits"
)

// chacha8 is the generator that samples base parents: ChaCha in the original layout with a
// 64-bit block counter from 0, stream 0, and 8 rounds (spec: 4.2).
type chacha8 struct {
	state [16]uint32
	block [16]uint32
	used  int // words of block
}

func newChaCha8(key *[32]byte) chacha8 {
	c := chacha8{used: 16}
	c.state[0], c.state[1], c.state[2], c.state[3] = 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574
	for i := range 8 {
		c.state[4+i] = binary.LittleEndian.Uint32(key[4*i:])
	}
	return c
}

// next64 is the next two words, the low one first.
func (c *chacha8) next64() uint64 {
	if c.used == len(c.block) {
		c.refill()
	}
	v := uint64(c.block[c.used]) | uint64(c.block[c.used+1])<<32
	c.used += 2
	return v
}

// refill keeps the words in variables, so that they stay in registers.
func (c *chacha8) refill() {
	s := &c.state
	x0, x1, x2, x3 := s[0], s[1], s[2], s[3]
	x4, x5, x6, x7 := s[4], s[5], s[6], s[7]
	x8, x9, x10, x11 := s[8], s[9], s[10], s[11]
	x12, x13, x14, x15 := s[12], s[13], s[14], s[15]
	for range 4 {
		x0, x4, x8, x12 = quarter(x0, x4, x8, x12)
		x1, x5, x9, x13 = quarter(x1, x5, x9, x13)
		x2, x6, x10, x14 = quarter(x2, x6, x10, x14)
		x3, x7, x11, x15 = quarter(x3, x7, x11, x15)
		x0, x5, x10, x15 = quarter(x0, x5, x10, x15)
		x1, x6, x11, x12 = quarter(x1, x6, x11, x12)
		x2, x7, x8, x13 = quarter(x2, x7, x8, x13)
		x3, x4, x9, x14 = quarter(x3, x4, x9, x14)
	}
	c.block = [16]uint32{
		x0 + s[0], x1 + s[1], x2 + s[2], x3 + s[3], x4 + s[4], x5 + s[5], x6 + s[6], x7 + s[7],
		x8 + s[8], x9 + s[9], x10 + s[10], x11 + s[11], x12 + s[12], x13 + s[13], x14 + s[14], x15 + s[15],
	}
	c.used = 0
	s[12]++ // a node draws 20 words, so the upper word of the counter stays 0
}

func quarter(a, b, c, d uint32) (uint32, uint32, uint32, uint32) {
	a += b
	d = bits.RotateLeft32(d^a, 16)
	c += d
	b = bits.RotateLeft32(b^c, 12)
	a += b
	d = bits.RotateLeft32(d^a, 8)
	c += d
	b = bits.RotateLeft32(b^c, 7)
	return a, b, c, d
}
