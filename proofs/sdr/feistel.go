package sdr

import (
	"encoding/binary"
	"math/bits"

	"golang.org/x/crypto/blake2b"
)

// feistel is a pseudorandom permutation of 0..n-1 (spec: 4.3).
type feistel struct {
	n    uint64
	half uint   // bits of either half of a number
	mask uint64 // of a half
	keys [3]uint64

	// rounds has, per key, the round function of every half; empty until tabulated. A half
	// has at most 17 bits.
	rounds [3][]uint32
}

func newFeistel(n uint64, keys [3]uint64) feistel {
	// The smallest half, at least 1, of which two hold every number below n.
	half := max(1, (uint(bits.Len64(n-1))+1)/2)
	return feistel{n: n, half: half, mask: 1<<half - 1, keys: keys}
}

// permute encrypts until the result is in the domain.
func (f *feistel) permute(u uint64) uint64 {
	if f.rounds[0] != nil {
		return f.lookup(u)
	}
	for {
		l, r := u>>f.half&f.mask, u&f.mask
		for i := range f.keys {
			l, r = r, l^f.round(i, r)
		}
		u = l<<f.half | r
		if u < f.n {
			return u
		}
	}
}

// lookup is permute with its round function in tables.
func (f *feistel) lookup(u uint64) uint64 {
	half, mask := f.half&63, f.mask
	t0, t1, t2 := f.rounds[0], f.rounds[1], f.rounds[2]
	for {
		l, r := u>>half&mask, u&mask
		l ^= uint64(t0[r])
		r ^= uint64(t1[l])
		l ^= uint64(t2[r])
		u = r<<half | l // three rounds leave the halves swapped
		if u < f.n {
			return u
		}
	}
}

func (f *feistel) round(i int, r uint64) uint64 {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], r)
	binary.BigEndian.PutUint64(b[8:], f.keys[i])
	h := blake2b.Sum512(b[:])
	return binary.BigEndian.Uint64(h[:]) & f.mask
}

// tabulated returns the same permutation with its round function looked up: a half has so
// few bits (17 at 32 GiB) that whoever permutes every number asks for each again and again.
func (f *feistel) tabulated() *feistel {
	t := *f
	for i := range t.rounds {
		table := make([]uint32, t.mask+1)
		for r := range table {
			table[r] = uint32(f.round(i, uint64(r)))
		}
		t.rounds[i] = table
	}
	return &t
}
