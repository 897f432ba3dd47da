package beacon

import (
	"encoding/binary"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/minio/blake2b-simd"
)

// Draw turns a base, a beacon entry's data or a ticket's proof, into 32 bytes of randomness
// for one purpose (spec chain.md d.10).
func Draw(base []byte, tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) []byte {
	digest := blake2b.Sum256(base)
	return DrawDigest(digest[:], tag, epoch, entropy)
}

// DrawDigest is Draw for a base that is hashed already.
func DrawDigest(digest []byte, tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) []byte {
	buf := make([]byte, 0, 48+len(entropy))
	buf = binary.BigEndian.AppendUint64(buf, uint64(tag))
	buf = append(buf, digest...)
	buf = binary.BigEndian.AppendUint64(buf, uint64(epoch))
	buf = append(buf, entropy...)
	out := blake2b.Sum256(buf)
	return out[:]
}
