package api

import (
	"context"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/chain/types"
)

// Chain reads blocks, messages and receipts.
type Chain interface {
	// ChainHead is the heaviest tipset that the node has validated.
	//
	//perm:read
	ChainHead(ctx context.Context) (*types.TipSet, error)
	// ChainNotify reports every change of the head. The first value is one "current"; later
	// ones are the reverted tipsets, newest first, then the applied ones, oldest first. The
	// channel is closed when ctx ends or the reader lags too far; subscribe again then.
	//
	//perm:read
	ChainNotify(ctx context.Context) (<-chan []*HeadChange, error)
	// ChainGetTipSet finds a tipset by its key.
	//
	//perm:read
	ChainGetTipSet(ctx context.Context, tsk types.TipSetKey) (*types.TipSet, error)
	// ChainGetTipSetByHeight is the tipset at an epoch on the chain of tsk, or the latest
	// before it where that round is null.
	//
	//perm:read
	ChainGetTipSetByHeight(ctx context.Context, epoch abi.ChainEpoch, tsk types.TipSetKey) (*types.TipSet, error)
	// ChainGetTipSetAfterHeight is the tipset at an epoch on the chain of tsk, or the first
	// after it where that round is null.
	//
	//perm:read
	ChainGetTipSetAfterHeight(ctx context.Context, epoch abi.ChainEpoch, tsk types.TipSetKey) (*types.TipSet, error)
	// ChainGetBlock is a block's header.
	//
	//perm:read
	ChainGetBlock(ctx context.Context, block cid.Cid) (*types.BlockHeader, error)
	// ChainGetBlockMessages are the messages inside a block.
	//
	//perm:read
	ChainGetBlockMessages(ctx context.Context, block cid.Cid) (*BlockMessages, error)
	// ChainGetParentMessages are the messages of the block's parent tipset in the order in
	// which they ran, each once.
	//
	//perm:read
	ChainGetParentMessages(ctx context.Context, block cid.Cid) ([]ParentMessage, error)
	// ChainGetParentReceipts are their receipts, index by index.
	//
	//perm:read
	ChainGetParentReceipts(ctx context.Context, block cid.Cid) ([]*types.MessageReceipt, error)
	// ChainGetMessagesInTipset are the messages of a tipset in the order in which they run.
	//
	//perm:read
	ChainGetMessagesInTipset(ctx context.Context, tsk types.TipSetKey) ([]ParentMessage, error)
	// ChainGetMessage is a message by its CID on chain, without its signature; it may still
	// wait for a block.
	//
	//perm:read
	ChainGetMessage(ctx context.Context, msg cid.Cid) (*types.Message, error)
	// ChainGetGenesis is the tipset at epoch 0.
	//
	//perm:read
	ChainGetGenesis(ctx context.Context) (*types.TipSet, error)
	// ChainTipSetWeight is the weight of the chain with this tipset at its end.
	//
	//perm:read
	ChainTipSetWeight(ctx context.Context, tsk types.TipSetKey) (big.Int, error)
	// ChainGetPath leads from one tipset to another: reverts, then applies.
	//
	//perm:read
	ChainGetPath(ctx context.Context, from, to types.TipSetKey) ([]*HeadChange, error)
	// ChainReadObj is a stored object's bytes.
	//
	//perm:read
	ChainReadObj(ctx context.Context, obj cid.Cid) ([]byte, error)
	// ChainHasObj tells whether an object is stored.
	//
	//perm:read
	ChainHasObj(ctx context.Context, obj cid.Cid) (bool, error)
	// ChainStatObj counts the bytes and links of an object and all below it; what lies below
	// base too is left out when base is defined.
	//
	//perm:read
	ChainStatObj(ctx context.Context, obj, base cid.Cid) (ObjStat, error)
}

// The kinds of HeadChange.
const (
	HeadCurrent = "current"
	HeadApply   = "apply"
	HeadRevert  = "revert"
)

// HeadChange is one step of the head.
type HeadChange struct {
	Type string
	Val  *types.TipSet
}

// BlockMessages are a block's messages by kind of signature, and their CIDs on chain in the
// same order: BLS first.
type BlockMessages struct {
	BlsMessages   []*types.Message
	SecpkMessages []*types.SignedMessage
	Cids          []cid.Cid
}

// ParentMessage is a message with its CID on chain.
type ParentMessage struct {
	Cid     cid.Cid
	Message *types.Message
}

// ObjStat measures a graph of objects.
type ObjStat struct {
	Size  uint64 // bytes
	Links uint64
}
