package commitment

import (
	"testing"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"

	"github.com/lodenet/lode/proofs/fr32"
)

func TestRoundTrip(t *testing.T) {
	n := fr32.Node{1, 2, 3, 31: 0x20}
	if got, err := Unsealed(UnsealedCID(n)); err != nil || got != n {
		t.Errorf("data: got %x, %v", got, err)
	}
	if got, err := Sealed(SealedCID(n)); err != nil || got != n {
		t.Errorf("replica: got %x, %v", got, err)
	}
}

func TestRefuses(t *testing.T) {
	n := fr32.Node{1}
	over := fr32.Node{31: 0x74}
	hash, err := mh.Sum([]byte("x"), mh.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]cid.Cid{
		"undefined":          cid.Undef,
		"raw block":          cid.NewCidV1(cid.Raw, hash),
		"version 0":          cid.NewCidV0(hash),
		"codec, other hash":  cid.NewCidV1(cid.FilCommitmentUnsealed, hash),
		"replica codec":      cid.NewCidV1(cid.FilCommitmentSealed, UnsealedCID(n).Hash()),
		"data codec":         cid.NewCidV1(cid.FilCommitmentUnsealed, SealedCID(n).Hash()),
		"above the modulus":  UnsealedCID(over),
		"above the modulus2": SealedCID(over),
	} {
		if _, err := Unsealed(c); err == nil {
			t.Errorf("%s: read as data", name)
		}
		if _, err := Sealed(c); err == nil {
			t.Errorf("%s: read as replica", name)
		}
	}
	if _, err := Unsealed(SealedCID(n)); err == nil {
		t.Error("CommR was read as data")
	}
	if _, err := Sealed(UnsealedCID(n)); err == nil {
		t.Error("CommD was read as replica")
	}
}
