package porep

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/filecoin-project/go-state-types/abi"
	"golang.org/x/crypto/blake2b"
	"golang.org/x/crypto/chacha20"

	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/registry"
)

const (
	nonInteractiveTag = "filecoin.io|PoRep|1|NonInteractive|1"
	generationKey     = "filecoin.io|PoRep|1|Synthetic|1|Generation"
	selectionKey      = "filecoin.io|PoRep|1|Synthetic|1|Selection"
	syntheticNonce    = "synth-porep\x00"
	maxSynthetic      = 1 << 18
)

// Challenges are the nodes that a partition of a seal proof opens (spec: 6.1 to 6.3). Node 0
// is never among them; one may be there twice. A non-interactive proof does not use the
// seed, an interactive one not commR.
func Challenges(s registry.Seal, replicaID, commR fr32.Node, seed abi.InteractiveSealRandomness, partition int) ([]uint64, error) {
	if partition < 0 || partition >= s.Partitions {
		return nil, fmt.Errorf("partition %d of %d", partition, s.Partitions)
	}
	if len(seed) != 32 {
		return nil, fmt.Errorf("a seed of %d bytes, it has 32", len(seed))
	}
	first := uint32(s.Challenges * partition)
	switch s.Feature {
	case registry.Interactive:
		return hashed(s, append(append([]byte(nil), replicaID[:]...), seed...), first), nil
	case registry.NonInteractive:
		b := append([]byte(nonInteractiveTag), replicaID[:]...)
		return hashed(s, append(b, commR[:]...), first), nil
	case registry.Synthetic:
		return synthetic(s.Nodes(), min(s.Nodes(), maxSynthetic), replicaID, commR, seed, first, s.Challenges)
	}
	return nil, fmt.Errorf("seal proof %d has no kind of challenge", s.Proof)
}

// hashed are challenges from a hash of their own number each.
func hashed(s registry.Seal, prefix []byte, first uint32) []uint64 {
	c := make([]uint64, s.Challenges)
	for i := range c {
		h := sha256.Sum256(binary.LittleEndian.AppendUint32(prefix, first+uint32(i)))
		c[i] = node(&h, s.Nodes())
	}
	return c
}

// node reads 32 bytes as a little-endian number and takes it to 1..nodes-1.
func node(b *[32]byte, nodes uint64) uint64 {
	var rest uint64
	for i := 24; i >= 0; i -= 8 {
		_, rest = bits.Div64(rest, binary.LittleEndian.Uint64(b[i:]), nodes-1)
	}
	return rest + 1
}

// synthetic are n challenges from number first on, selected by the seed among count that
// the replica fixes.
func synthetic(nodes, count uint64, replicaID, commR fr32.Node, seed []byte, first uint32, n int) ([]uint64, error) {
	c := make([]uint64, n)
	for i := range c {
		var at [4]byte
		err := keystream(at[:], selectionKey, replicaID, seed, 4*(uint64(first)+uint64(i)))
		if err != nil {
			return nil, err
		}
		index := uint64(binary.LittleEndian.Uint32(at[:])) % count
		if c[i], err = syntheticNode(nodes, index, replicaID, commR); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// syntheticNode is the synthetic challenge of an index.
func syntheticNode(nodes, index uint64, replicaID, commR fr32.Node) (uint64, error) {
	var b [32]byte
	if err := keystream(b[:], generationKey, replicaID, commR[:], 32*index); err != nil {
		return 0, err
	}
	return node(&b, nodes), nil
}

// keystream fills dst from a place in the ChaCha20 stream keyed by the replica and more. The
// place and the length must not go over the end of one of the stream's blocks.
func keystream(dst []byte, key string, replicaID fr32.Node, more []byte, place uint64) error {
	h, err := blake2b.New256([]byte(key))
	if err != nil {
		return err
	}
	h.Write(replicaID[:])
	h.Write(more)
	stream, err := chacha20.NewUnauthenticatedCipher(h.Sum(nil), []byte(syntheticNonce))
	if err != nil {
		return err
	}
	const block = 64
	stream.SetCounter(uint32(place / block))
	var b [block]byte
	stream.XORKeyStream(b[:], b[:])
	copy(dst, b[place%block:])
	return nil
}
