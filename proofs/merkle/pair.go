package merkle

import (
	"crypto/sha256"
	"fmt"

	"github.com/prysmaticlabs/gohashtree"

	"github.com/lodenet/lode/proofs/fr32"
)

// Pair is the parent of two nodes of a data tree (spec: 1.2).
func Pair(left, right *Node) Node {
	var b [2 * fr32.NodeBytes]byte
	copy(b[:], left[:])
	copy(b[fr32.NodeBytes:], right[:])
	n := Node(sha256.Sum256(b[:]))
	fr32.Trim(&n)
	return n
}

// HashPairs sets dst[i] to the parent of src[2i] and src[2i+1], which is Pair with several
// hashes at a time. dst may be the front of src. src must have an even length, and dst at
// least half of it.
func HashPairs(dst, src []Node) error {
	if err := gohashtree.Hash(dst, src); err != nil {
		return fmt.Errorf("hash %d nodes: %w", len(src), err)
	}
	for i := range len(src) / 2 {
		fr32.Trim(&dst[i])
	}
	return nil
}
