package fr32

import (
	"errors"
	"fmt"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

const (
	// Unpadded is how many payload bytes make one padded chunk.
	Unpadded = 127
	// Padded is the length of a padded chunk: four nodes.
	Padded = 128
	// NodeBytes is the length of a node.
	NodeBytes = 32
)

// Node is one field element as it stands in files and on the wire: 32 bytes, little-endian,
// below the modulus, never in Montgomery form (spec: 0).
type Node = [NodeBytes]byte

// ErrNotCanonical: the bytes are not below the modulus. They are refused, never reduced.
var ErrNotCanonical = errors.New("not a field element: the value is not below the modulus")

// Trim clears the two top bits, so that any 32 bytes become a node.
func Trim(n *Node) { n[NodeBytes-1] &= 0x3f }

// Element reads a node.
func Element(n *Node) (fr.Element, error) {
	e, err := fr.LittleEndian.Element(n)
	if err != nil {
		return fr.Element{}, fmt.Errorf("node %x: %w", n[:], ErrNotCanonical)
	}
	return e, nil
}

// Bytes writes a node.
func Bytes(e *fr.Element) (n Node) {
	fr.LittleEndian.PutElement(&n, *e)
	return n
}
