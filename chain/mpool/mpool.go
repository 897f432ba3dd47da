package mpool

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
)

// Chain is what the pool reads of the chain.
type Chain interface {
	types.Blocks
	Head() *types.TipSet
	TipSet(ctx context.Context, k types.TipSetKey) (*types.TipSet, error)
	TipSetMessages(ctx context.Context, ts *types.TipSet) ([]types.BlockMessages, error)
}

// Publish hands a message to gossip.
type Publish func(ctx context.Context, m *types.SignedMessage) error

// Options are what may vary; the zero value is the network's usual.
type Options struct {
	// Priority are senders whose messages are selected first and never pruned.
	Priority []address.Address
}

// Pool is the set of pending messages. Safe from many goroutines.
type Pool struct{}

// New makes an empty pool.
func New(db *sql.DB, chain Chain, publish Publish, clk clock.Clock, log *slog.Logger, opt Options) *Pool {
	return &Pool{}
}

// Run follows the head and publishes our own messages until ctx ends.
func (p *Pool) Run(ctx context.Context) error { <-ctx.Done(); return nil }

var errSkeleton = errors.New("mpool: being written")

// Add checks a message and keeps it (spec chain.md g.1). local tells that it was pushed on
// this node: it is then stored and published. Ignore tells what a failure means to gossip.
func (p *Pool) Add(ctx context.Context, m *types.SignedMessage, local bool) error { return errSkeleton }

// Ignore tells whether a failure of Add says nothing bad about who sent the message.
func Ignore(err error) bool { return false }

// Pending lists the messages of some senders, or of all, in nonce order by sender.
func (p *Pool) Pending(addrs ...address.Address) []*types.SignedMessage { return nil }

// Message is the pending message with a CID, as a block would list it.
func (p *Pool) Message(c cid.Cid) (*types.SignedMessage, bool) { return nil, false }

// NextNonce is the nonce after the sender's last pending message; 0 when there is no actor.
func (p *Pool) NextNonce(ctx context.Context, a address.Address) (uint64, error) {
	return 0, errSkeleton
}

// Select picks messages for a block on top of ts that is valid (spec chain.md g.3).
func (p *Pool) Select(ctx context.Context, ts *types.TipSet, quality float64) ([]*types.SignedMessage, error) {
	return nil, errSkeleton
}

// EstimateGas returns a copy of the message with the gas fields that are zero filled in
// (spec chain.md g.4). maxFee bounds GasFeeCap·GasLimit, in attoFIL; zero means the default.
func (p *Pool) EstimateGas(ctx context.Context, m *types.Message, maxFee abi.TokenAmount) (*types.Message, error) {
	return nil, errSkeleton
}

// Update tells that a message came or went.
type Update struct {
	Added   bool // else it was removed
	Message *types.SignedMessage
}
