package api

import (
	"context"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/lodenet/lode/chain/types"
)

// Gas estimates what messages cost (spec api.md A.6).
type Gas interface {
	// GasEstimateMessageGas fills those of GasLimit, GasFeeCap and GasPremium that are zero.
	//
	//perm:read
	GasEstimateMessageGas(ctx context.Context, msg *types.Message, spec *MessageSendSpec, tsk types.TipSetKey) (*types.Message, error)
	// GasEstimateFeeCap is a fee cap that holds for so many epochs in the queue.
	//
	//perm:read
	GasEstimateFeeCap(ctx context.Context, msg *types.Message, maxQueueBlocks int64, tsk types.TipSetKey) (abi.TokenAmount, error)
	// GasEstimateGasPremium is a premium for inclusion within so many blocks.
	//
	//perm:read
	GasEstimateGasPremium(ctx context.Context, blocks uint64, sender address.Address, gasLimit int64, tsk types.TipSetKey) (abi.TokenAmount, error)
	// GasEstimateGasLimit is how much gas a message uses, in gas units.
	//
	//perm:read
	GasEstimateGasLimit(ctx context.Context, msg *types.Message, tsk types.TipSetKey) (int64, error)
}

// MessageSendSpec says how a message may be sent. The zero value is the node's defaults.
type MessageSendSpec struct {
	// MaxFee is the most that gas may cost, attoFIL; 0 is the node's default.
	MaxFee abi.TokenAmount
	// MsgUuid, when set, makes one message for ever: pushing again with the same value gives
	// the same message.
	MsgUuid string // wire name
	// MaximizeFeeCap sets the fee cap as high as MaxFee allows.
	MaximizeFeeCap bool
}
