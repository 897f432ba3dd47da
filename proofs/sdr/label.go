package sdr

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/filecoin-project/go-state-types/abi"

	"github.com/lodenet/lode/proofs/fr32"
)

const (
	headerBytes = 64
	repeats     = 37 // parents in a label's preimage, counting them again and again
	labelBytes  = headerBytes + repeats*fr32.NodeBytes
)

// ReplicaID binds the labels to who seals what (spec: 4.4). ticket is used as it is.
func ReplicaID(prover [32]byte, number abi.SectorNumber, ticket [32]byte, commD fr32.Node, porepID [32]byte) fr32.Node {
	b := append([]byte(nil), prover[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(number))
	b = append(b, ticket[:]...)
	b = append(b, commD[:]...)
	b = append(b, porepID[:]...)
	id := fr32.Node(sha256.Sum256(b))
	fr32.Trim(&id)
	return id
}

// Label is the label of a node, given those of its parents: the base parents' in the same
// layer, followed, from layer 2 on, by the expander parents' in the layer before. Node 0 uses
// none. Layers count from 1 (spec: 4.5).
func Label(replicaID fr32.Node, layer int, node uint64, parents []fr32.Node) fr32.Node {
	labels := make([]byte, 0, Parents*fr32.NodeBytes)
	for i := range parents {
		labels = append(labels, parents[i][:]...)
	}
	p := newPreimage(replicaID, layer)
	if node == 0 {
		return p.hash(0)
	}
	return p.label(node, labels)
}

// preimage is what a label is the hash of; one serves a whole layer.
type preimage struct{ bytes [labelBytes]byte }

func newPreimage(replicaID fr32.Node, layer int) *preimage {
	p := &preimage{}
	copy(p.bytes[:], replicaID[:])
	binary.BigEndian.PutUint32(p.bytes[32:], uint32(layer))
	return p
}

// label puts the labels of the parents over and over, and hashes.
func (p *preimage) label(node uint64, parents []byte) fr32.Node {
	for end := headerBytes; end < labelBytes; {
		end += copy(p.bytes[end:], parents)
	}
	return p.hash(node)
}

// hash is the label of a node whose parents are in their places.
func (p *preimage) hash(node uint64) fr32.Node {
	binary.BigEndian.PutUint64(p.bytes[36:], node)
	end := labelBytes
	if node == 0 {
		end = headerBytes
	}
	l := fr32.Node(sha256.Sum256(p.bytes[:end]))
	fr32.Trim(&l)
	return l
}

// Encode is the replica's node: data plus label in the field. Both must be field elements.
func Encode(data, label *fr32.Node) (fr32.Node, error) {
	return combine(data, label, (*fr.Element).Add)
}

// Decode is the data's node: replica minus label.
func Decode(replica, label *fr32.Node) (fr32.Node, error) {
	return combine(replica, label, (*fr.Element).Sub)
}

func combine(a, b *fr32.Node, op func(z, x, y *fr.Element) *fr.Element) (fr32.Node, error) {
	x, err := fr32.Element(a)
	if err != nil {
		return fr32.Node{}, err
	}
	y, err := fr32.Element(b)
	if err != nil {
		return fr32.Node{}, err
	}
	op(&x, &x, &y)
	return fr32.Bytes(&x), nil
}
