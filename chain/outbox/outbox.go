package outbox

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"sync"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/chain/index"
	"github.com/lodenet/lode/chain/types"
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
	// MaxFee bounds what gas may cost in all, in attoFIL, fee bumps included. Zero: what
	// GasFeeCap and GasLimit allow when they are given, else the pool's default.
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

// The stages.
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
	From    address.Address        // the key address; from StageSigned on, as the nonce
	Nonce   uint64                 // of all forms
	Signed  []*types.SignedMessage // all forms, oldest first
	Result  *Result                // of its own message, from StageIncluded on
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
	// ErrNotSent: the intent was given up before anything was signed. It can be sent again
	// with the same key.
	ErrNotSent = errors.New("intent was not sent")
	// ErrUncertain: the intent is recorded and may still go out. Send with the same key tells.
	ErrUncertain = errors.New("intent is recorded and may still go out")
)

// Pool is where messages go, and what knows about nonces (mpool.Pool). Add returns nil only
// when the message is kept, and an error only when it was not published.
type Pool interface {
	Add(ctx context.Context, m *types.SignedMessage, local bool) error
	// Message is a pending message by its CID on chain.
	Message(c cid.Cid) (*types.SignedMessage, bool)
	// Pending lists a sender's messages.
	Pending(addrs ...address.Address) []*types.SignedMessage
	// NextNonce is the nonce after the last one on chain or pending.
	NextNonce(ctx context.Context, a address.Address) (uint64, error)
	// StateNonce is the first nonce not used on the chain up to ts, its messages included.
	StateNonce(ctx context.Context, a address.Address, ts *types.TipSet) (uint64, error)
	// KeyAddress resolves an account to the address of its key.
	KeyAddress(ctx context.Context, a address.Address) (address.Address, error)
	// EstimateGas fills in the gas fields that are zero.
	EstimateGas(ctx context.Context, m *types.Message, maxFee abi.TokenAmount) (*types.Message, error)
}

// Chain is what the outbox follows (store.Store).
type Chain interface {
	Head() *types.TipSet
	// HeadChanged waits until the head is not the named tipset, and returns it.
	HeadChanged(ctx context.Context, than types.TipSetKey) (*types.TipSet, error)
	// TipSetAt is the tipset at or before a height on the chain of from.
	TipSetAt(ctx context.Context, h abi.ChainEpoch, from *types.TipSet) (*types.TipSet, error)
	Message(ctx context.Context, c cid.Cid) (types.ChainMsg, error)
}

// Finder finds messages on chain (index.Index).
type Finder interface {
	// FindNonce finds the message of a sender with a nonce; index.ErrNotFound.
	FindNonce(ctx context.Context, sender address.Address, nonce uint64, from *types.TipSet, lookback abi.ChainEpoch) (*index.Lookup, error)
}

// Wallet signs (wallet.Wallet).
type Wallet interface {
	Sign(ctx context.Context, a address.Address, msg []byte) (*crypto.Signature, error)
}

// Options are what may vary; the zero value is the usual.
type Options struct {
	// StuckAfter is how many epochs a message that is next in line may wait before its fee is
	// raised; 0 is 10.
	StuckAfter abi.ChainEpoch
	// GiveUpAfter is how many epochs an intent that a crash left unsigned is tried; 0 is 20.
	GiveUpAfter abi.ChainEpoch
}

// finality is how deep a message must be for its intent to be done: no reorg is deeper (spec
// chain.md e.11).
const finality abi.ChainEpoch = 900

// Outbox sends intents. Safe from many goroutines.
type Outbox struct {
	db     *sql.DB
	pool   Pool
	chain  Chain
	finder Finder
	wallet Wallet
	log    *slog.Logger
	opt    Options

	// sending has one token, for whoever assigns nonces, pushes, or changes rows. It is held
	// over I/O, since their order is what it is for.
	sending chan struct{}

	mu      sync.Mutex    // held for memory only
	head    *types.TipSet // guarded by mu; the rows are true on its chain; nil before the first pass
	changed chan struct{} // guarded by mu; closed when rows may have changed
}

// New makes an outbox over a database that Migrate has seen. Run makes it follow the chain.
func New(db *sql.DB, pool Pool, chain Chain, finder Finder, wallet Wallet, log *slog.Logger, opt Options) *Outbox {
	if opt.StuckAfter == 0 {
		opt.StuckAfter = 10
	}
	if opt.GiveUpAfter == 0 {
		opt.GiveUpAfter = 20
	}
	o := &Outbox{
		db: db, pool: pool, chain: chain, finder: finder, wallet: wallet, log: log, opt: opt,
		sending: make(chan struct{}, 1),
		changed: make(chan struct{}),
	}
	o.sending <- struct{}{}
	return o
}

// lock takes the token; the function returned gives it back.
func (o *Outbox) lock(ctx context.Context) (func(), error) {
	select {
	case <-o.sending:
		return func() { o.sending <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// announce tells those who wait that rows may have changed, true on the chain of head.
func (o *Outbox) announce(head *types.TipSet) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if head != nil {
		o.head = head
	}
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *Outbox) now() (head *types.TipSet, changed <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.head, o.changed
}
