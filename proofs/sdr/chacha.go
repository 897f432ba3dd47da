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

func newChaCha8(key *[32]byte) *chacha8 {
	c := &chacha8{used: 16}
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

func (c *chacha8) refill() {
	x := c.state
	for range 4 {
		quarter(&x[0], &x[4], &x[8], &x[12])
		quarter(&x[1], &x[5], &x[9], &x[13])
		quarter(&x[2], &x[6], &x[10], &x[14])
		quarter(&x[3], &x[7], &x[11], &x[15])
		quarter(&x[0], &x[5], &x[10], &x[15])
		quarter(&x[1], &x[6], &x[11], &x[12])
		quarter(&x[2], &x[7], &x[8], &x[13])
		quarter(&x[3], &x[4], &x[9], &x[14])
	}
	for i := range x {
		c.block[i] = x[i] + c.state[i]
	}
	c.used = 0
	c.state[12]++ // a node draws 20 words, so the upper word of the counter stays 0
}

func quarter(a, b, c, d *uint32) {
	*a += *b
	*d = bits.RotateLeft32(*d^*a, 16)
	*c += *d
	*b = bits.RotateLeft32(*b^*c, 12)
	*a += *b
	*d = bits.RotateLeft32(*d^*a, 8)
	*c += *d
	*b = bits.RotateLeft32(*b^*c, 7)
}
