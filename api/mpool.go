package api

import (
	"context"

	"github.com/filecoin-project/go-address"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/chain/types"
)

// Mpool holds messages that wait for a block.
type Mpool interface {
	// MpoolGetNonce is the nonce of an address's next message, pending ones counted; 0 for an
	// address that does not exist yet.
	//
	//perm:read
	MpoolGetNonce(ctx context.Context, addr address.Address) (uint64, error)
	// MpoolPush takes a message signed elsewhere and publishes it. The CID is the one on
	// chain.
	//
	//perm:write
	MpoolPush(ctx context.Context, msg *types.SignedMessage) (cid.Cid, error)
	// MpoolPushMessage sets nonce and gas, signs with the node's wallet and publishes.
	//
	//perm:sign
	MpoolPushMessage(ctx context.Context, msg *types.Message, spec *MessageSendSpec) (*types.SignedMessage, error)
	// MpoolPending lists what waits, by sender and nonce.
	//
	//perm:read
	MpoolPending(ctx context.Context, tsk types.TipSetKey) ([]*types.SignedMessage, error)
	// MpoolSelect is what a miner with this ticket quality would put in a block on tsk.
	//
	//perm:read
	MpoolSelect(ctx context.Context, tsk types.TipSetKey, quality float64) ([]*types.SignedMessage, error)
	// MpoolSub reports what enters and leaves.
	//
	//perm:read
	MpoolSub(ctx context.Context) (<-chan *MpoolUpdate, error)
	// MpoolGetConfig tells the pool's limits.
	//
	//perm:read
	MpoolGetConfig(ctx context.Context) (*MpoolConfig, error)
}

// The kinds of MpoolUpdate.
const (
	MpoolAdd    = 0
	MpoolRemove = 1
)

// MpoolUpdate is a message that entered or left.
type MpoolUpdate struct {
	Type    int
	Message *types.SignedMessage
}

// MpoolConfig are the pool's limits.
type MpoolConfig struct {
	PriorityAddrs          []address.Address
	SizeLimitHigh          int
	SizeLimitLow           int
	ReplaceByFeeRatio      float64
	PruneCooldown          int64 // nanoseconds
	GasLimitOverestimation float64
}
