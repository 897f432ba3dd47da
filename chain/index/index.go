package index

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/chain/types"
)

// ErrNotFound: no such message is on the chain that was searched. Look again later.
var ErrNotFound = errors.New("message is not on chain")

// Chain is what the index reads.
type Chain interface {
	types.Blocks
	Head() *types.TipSet
	// TipSetAt is the tipset at or before a height on the chain of from.
	TipSetAt(ctx context.Context, h abi.ChainEpoch, from *types.TipSet) (*types.TipSet, error)
	// TipSetAfter is the first tipset at or after a height on the chain of from.
	TipSetAfter(ctx context.Context, h abi.ChainEpoch, from *types.TipSet) (*types.TipSet, error)
	TipSetMessages(ctx context.Context, ts *types.TipSet) ([]types.BlockMessages, error)
	Receipts(ctx context.Context, root cid.Cid) ([]types.MessageReceipt, error)
	Message(ctx context.Context, c cid.Cid) (types.ChainMsg, error)
}

// Lookup tells where a message is.
type Lookup struct {
	// Message is the CID on chain. It differs from the one asked for when the message was
	// replaced by one that makes the same call.
	Message cid.Cid
	Receipt types.MessageReceipt
	// TipSet is the first tipset after the one that includes the message: it carries the
	// receipt, and its parent state has the message's effects.
	TipSet types.TipSetKey
	Height abi.ChainEpoch // of TipSet
	// Included is the tipset whose blocks hold the message.
	Included       types.TipSetKey
	IncludedHeight abi.ChainEpoch
}

// Index finds messages.
type Index struct {
	db    *sql.DB
	chain Chain
	log   *slog.Logger
}

// New makes an index over a chain. Run fills it.
func New(db *sql.DB, chain Chain, log *slog.Logger) *Index {
	return &Index{db: db, chain: chain, log: log}
}

// NoLimit as a look-back searches down to the genesis.
const NoLimit abi.ChainEpoch = -1

// FindMessage finds a message by the CID it has on chain, in the tipsets of from's chain
// (nil: the head's) that are at most lookback epochs below it. With allowReplaced, a
// message of the same sender and nonce that makes the same call answers as well.
// ErrNotFound: it is not there, or no tipset follows the one that includes it yet.
func (x *Index) FindMessage(ctx context.Context, c cid.Cid, from *types.TipSet, lookback abi.ChainEpoch, allowReplaced bool) (*Lookup, error) {
	return nil, ErrNotFound
}

// FindNonce finds the message of a sender with a nonce, whatever it does.
func (x *Index) FindNonce(ctx context.Context, sender address.Address, nonce uint64, from *types.TipSet, lookback abi.ChainEpoch) (*Lookup, error) {
	return nil, ErrNotFound
}
