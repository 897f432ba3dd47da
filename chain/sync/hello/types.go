package hello

import (
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/protocol"
)

//go:generate go run ../gen

// Protocol is the greeting's protocol.
const Protocol protocol.ID = "/fil/hello/1.0.0"

// Message is what each side tells the other.
type Message struct {
	HeaviestTipSet       []cid.Cid `cborgen:"maxlen=128"` // in canonical order
	HeaviestTipSetHeight abi.ChainEpoch
	HeaviestTipSetWeight big.Int // with the tipset itself
	GenesisHash          cid.Cid
}

// Answer closes the round trip; times are unix nanoseconds of the answering side.
type Answer struct {
	TArrival int64
	TSent    int64
}
