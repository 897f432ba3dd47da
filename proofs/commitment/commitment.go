package commitment

import (
	"fmt"

	commcid "github.com/filecoin-project/go-fil-commcid"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/proofs/fr32"
)

// Unsealed reads the CID of a piece or of a sector's data: CommP or CommD.
func Unsealed(c cid.Cid) (fr32.Node, error) {
	b, err := commcid.CIDToDataCommitmentV1(c)
	return node("data", c, b, err)
}

// Sealed reads the CID of a replica: CommR.
func Sealed(c cid.Cid) (fr32.Node, error) {
	b, err := commcid.CIDToReplicaCommitmentV1(c)
	return node("replica", c, b, err)
}

func node(kind string, c cid.Cid, digest []byte, err error) (fr32.Node, error) {
	if err == nil && len(digest) != fr32.NodeBytes {
		err = fmt.Errorf("a digest of %d bytes", len(digest))
	}
	if err != nil {
		return fr32.Node{}, fmt.Errorf("%v is no %s commitment: %w", c, kind, err)
	}
	n := fr32.Node(digest)
	if _, err := fr32.Element(&n); err != nil {
		return fr32.Node{}, fmt.Errorf("%s commitment %v: %w", kind, c, err)
	}
	return n, nil
}

// UnsealedCID is the CID of CommP or CommD.
func UnsealedCID(n fr32.Node) cid.Cid { return must(commcid.DataCommitmentV1ToCID(n[:])) }

// SealedCID is the CID of CommR.
func SealedCID(n fr32.Node) cid.Cid { return must(commcid.ReplicaCommitmentV1ToCID(n[:])) }

// must: the library refuses nothing but a wrong length, which the type rules out.
func must(c cid.Cid, err error) cid.Cid {
	if err != nil {
		panic(err)
	}
	return c
}
