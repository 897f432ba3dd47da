package outbox

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
)

// ID names an intent, across restarts.
type ID int64

// Intent is a call that must be on chain once.
type Intent struct {
	// Key is the caller's name for the intent: the same key is the same send, for ever.
	// Empty: a new one each time.
	Key      string
	From, To address.Address // From in any form that resolves to a key of the wallet
	Value    abi.TokenAmount // attoFIL
	Method   abi.MethodNum
	Params   []byte
	// MaxFee bounds what gas may cost in all, in attoFIL, fee bumps included. Zero: the default.
	MaxFee abi.TokenAmount
	// GasLimit, GasFeeCap and GasPremium are estimated when zero.
	GasLimit              int64
	GasFeeCap, GasPremium abi.TokenAmount
}

// Result tells how the message of an intent ended on chain.
type Result struct {
	Message cid.Cid // as on chain
	Receipt types.MessageReceipt
	// TipSet is the first tipset after the one that includes the message: its parent state
	// has the message's effects.
	TipSet types.TipSetKey
	Height abi.ChainEpoch // of TipSet
	// Included is the tipset whose blocks hold the message.
	Included       types.TipSetKey
	IncludedHeight abi.ChainEpoch
}

// Stage is how far an intent has come.
type Stage string

const (
	StageNew      Stage = "new"      // recorded, nothing signed
	StageSigned   Stage = "signed"   // has a nonce and signed bytes, perhaps pushed
	StageSent     Stage = "sent"     // the pool has taken it
	StageIncluded Stage = "included" // on chain, may still be reverted
	StageReplaced Stage = "replaced" // another message used the nonce, may still be reverted
	StageDone     Stage = "done"     // on chain and final
	StageFailed   Stage = "failed"   // will never be on chain
)

// Status tells how far an intent has come.
type Status struct {
	ID      ID
	Intent  Intent
	Stage   Stage
	Nonce   uint64                 // from StageSigned on
	Signed  []*types.SignedMessage // all forms, oldest first; each has the same nonce
	Result  *Result                // from StageIncluded on
	Problem string                 // what hinders it now, or why it failed
}

var (
	// ErrUnknown: there is no such intent.
	ErrUnknown = errors.New("no such intent in the outbox")
	// ErrKeyReused: the key belongs to an intent with another content. Nothing was sent.
	ErrKeyReused = errors.New("idempotency key belongs to another intent")
	// ErrReplaced: another message with the intent's nonce is on chain; the intent's own will
	// never be.
	ErrReplaced = errors.New("nonce was used by another message")
)

// Pool is where messages go.
type Pool interface {
	Add(ctx context.Context, m *types.SignedMessage, local bool) error
	NextNonce(ctx context.Context, a address.Address) (uint64, error)
	EstimateGas(ctx context.Context, m *types.Message, maxFee abi.TokenAmount) (*types.Message, error)
}

// Chain is what the outbox follows.
type Chain interface {
	Head() *types.TipSet
}

// Wallet signs.
type Wallet interface {
	Sign(ctx context.Context, a address.Address, msg []byte) (*crypto.Signature, error)
}

// Outbox sends intents.
type Outbox struct{}

// New makes an outbox over a database that Migrate has seen.
func New(db *sql.DB, pool Pool, chain Chain, wallet Wallet, clk clock.Clock, log *slog.Logger) *Outbox {
	return &Outbox{}
}

var errSkeleton = errors.New("outbox: being written")

// Run follows the rows until ctx ends.
func (o *Outbox) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Send records an intent and sends it. When it returns an error nothing was sent and the
// key is free, unless the error wraps the context's: then the intent may go out later, and
// Send with the same key tells.
func (o *Outbox) Send(ctx context.Context, in Intent) (ID, error) { return 0, errSkeleton }

// Wait returns when the intent's message is on chain with confidence epochs on top of the
// tipset that includes it. It needs Run.
func (o *Outbox) Wait(ctx context.Context, id ID, confidence abi.ChainEpoch) (*Result, error) {
	return nil, errSkeleton
}

// Status tells how far an intent has come.
func (o *Outbox) Status(ctx context.Context, id ID) (*Status, error) { return nil, errSkeleton }

// ByKey finds an intent by its key. ErrUnknown: nothing was recorded under it.
func (o *Outbox) ByKey(ctx context.Context, key string) (ID, error) { return 0, errSkeleton }
