package fr32

import "encoding/binary"

// Pad spreads src, whole chunks of 127 bytes, over dst, chunks of 128: two zero bits follow
// every 254 payload bits, counted from the least significant bit of byte 0 (spec: 1.1). It
// returns how many chunks it wrote, which is as many as both slices hold. The slices must
// not overlap.
func Pad(dst, src []byte) int {
	n := min(len(dst)/Padded, len(src)/Unpadded)
	for i := range n {
		padChunk((*[Padded]byte)(dst[i*Padded:]), (*[Unpadded]byte)(src[i*Unpadded:]))
	}
	return n
}

// Unpad is the inverse of Pad; the two top bits of every node are dropped unread. It returns
// how many chunks it wrote. The slices must not overlap.
func Unpad(dst, src []byte) int {
	n := min(len(dst)/Unpadded, len(src)/Padded)
	for i := range n {
		unpadChunk((*[Unpadded]byte)(dst[i*Unpadded:]), (*[Padded]byte)(src[i*Padded:]))
	}
	return n
}

// padChunk works on words of 64 bits: node i is the payload shifted right by 254·i bits,
// so its words are those of the payload from word 4i on, moved up by 2·i bits.
func padChunk(dst *[Padded]byte, src *[Unpadded]byte) {
	var in [17]uint64 // word 16 stays zero
	for i := range 15 {
		in[i] = binary.LittleEndian.Uint64(src[i*8:])
	}
	// The last seven bytes are the top of the word that starts one byte earlier.
	in[15] = binary.LittleEndian.Uint64(src[119:]) >> 8
	for node := range 4 {
		up := uint(2 * node)
		for w := range 4 {
			at := 4*node + w
			v := in[at] << up
			if at > 0 {
				v |= in[at-1] >> (64 - up) // a shift by 64 gives 0
			}
			if w == 3 {
				v &= 1<<62 - 1
			}
			binary.LittleEndian.PutUint64(dst[at*8:], v)
		}
	}
}

func unpadChunk(dst *[Unpadded]byte, src *[Padded]byte) {
	var out [16]uint64
	for node := range 4 {
		down := uint(2 * node)
		for w := range 4 {
			at := 4*node + w
			v := binary.LittleEndian.Uint64(src[at*8:])
			if w == 3 {
				v &= 1<<62 - 1
			}
			out[at] |= v >> down
			if at > 0 {
				out[at-1] |= v << (64 - down)
			}
		}
	}
	for i := range 15 {
		binary.LittleEndian.PutUint64(dst[i*8:], out[i])
	}
	var last [8]byte
	binary.LittleEndian.PutUint64(last[:], out[15])
	copy(dst[120:], last[:7])
}

// padded reports whether the two top bits of all nodes are clear.
func padded(chunk *[Padded]byte) bool {
	return (chunk[31]|chunk[63]|chunk[95]|chunk[127])&0xc0 == 0
}
