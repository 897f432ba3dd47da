package sealing

import (
	"context"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/types"
)

// Messages sends the miner's messages (chain/outbox). Send with a key that it has seen
// returns the first send; Wait follows a message through replacements and reorgs until it
// has the confidence.
type Messages interface {
	Send(ctx context.Context, in Intent) (ID, error)
	Wait(ctx context.Context, id ID, confidence abi.ChainEpoch) (*Result, error)
}

// Intent will be outbox.Intent.
type Intent struct {
	Key      string
	From, To address.Address
	Value    abi.TokenAmount
	Method   abi.MethodNum
	Params   []byte
	MaxFee   abi.TokenAmount
}

// ID will be outbox.ID.
type ID string

// Result will be outbox.Result.
type Result struct {
	Message cid.Cid
	Receipt types.MessageReceipt
	TipSet  types.TipSetKey
	Height  abi.ChainEpoch
}
