package types

import (
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"
)

// Actor is an entry of the state tree (state tree versions up to 4, spec chain.md b.6).
type Actor struct {
	Code    cid.Cid
	Head    cid.Cid
	Nonce   uint64 // CallSeqNum
	Balance abi.TokenAmount
}

// StateTreeVersion tells the format of a state tree.
type StateTreeVersion uint64

const (
	// StateTreeVersion0 is the bare HAMT of network versions 0 to 3.
	StateTreeVersion0 StateTreeVersion = 0
	// StateTreeVersion1 wraps the HAMT of actors v2 (network versions 4 to 9).
	StateTreeVersion1 StateTreeVersion = 1
	// StateTreeVersion4 is that of network versions 13 to 17, lode's own.
	StateTreeVersion4 StateTreeVersion = 4
)

// StateRoot is the object that a state root CID names from version 1 on.
type StateRoot struct {
	Version StateTreeVersion
	Actors  cid.Cid
	Info    cid.Cid
}
