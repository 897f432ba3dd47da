package mpool

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/crypto"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/store"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/vm"
	"github.com/lodenet/lode/clock"
)

// Chain is what the pool reads of the chain, and where our own messages become available to
// others. Safe from many goroutines.
type Chain interface {
	types.Blocks
	Head() *types.TipSet
	TipSet(ctx context.Context, k types.TipSetKey) (*types.TipSet, error)
	TipSetMessages(ctx context.Context, ts *types.TipSet) ([]types.BlockMessages, error)
	PutMessages(ctx context.Context, msgs ...types.ChainMsg) error
	Follow(ctx context.Context, name string, opts ...store.FollowOption) (*store.Follower, error)
}

// Engine is what the pool asks about the state after a tipset. Safe from many goroutines.
type Engine interface {
	// View is the state after a tipset.
	View(ctx context.Context, ts *types.TipSet) (*view.View, error)
	// BaseFee is what the messages of a tipset's child pay, in attoFIL per gas unit.
	BaseFee(ctx context.Context, ts *types.TipSet) (abi.TokenAmount, error)
	// CallAfter applies messages in the epoch after a tipset, at a base fee of 0, and then one
	// more, whose result it returns; nothing is kept.
	CallAfter(ctx context.Context, ts *types.TipSet, prior []types.ChainMsg, msg types.ChainMsg) (*vm.Result, error)
}

// Publish hands a message to gossip. An error means that it did not go out now.
type Publish func(ctx context.Context, m *types.SignedMessage) error

// Limits of the pool (spec chain.md g.1).
const (
	maxPending          = 1000 // messages of one sender
	maxPendingUntrusted = 100
	maxNonceGap         = 4
	replaceRatio        = 110 // percent of the premium that a replacement must exceed
	signaturesKept      = 16 << 10
	accountsKept        = 4 << 10
)

// Options are what may vary; the zero value is the network's usual.
type Options struct {
	// Priority are senders whose messages are selected first and never pruned; key addresses.
	Priority []address.Address
	// SizeHigh is where pruning starts, SizeLow where it ends, in messages; 0 is 30000 and
	// 20000.
	SizeHigh, SizeLow int
	// PruneCooldown is the least time between prunings; 0 is a minute.
	PruneCooldown time.Duration
	// RepublishEvery is the time between publishing our messages again; 0 is two minutes and
	// a few seconds, the time that gossip remembers a message plus a propagation delay.
	RepublishEvery time.Duration
	// RepublishFirst is how long after the start of Run our messages are published for the
	// first time, so that there are peers to hear them; 0 is five seconds.
	RepublishFirst time.Duration
	// Noise is a normally distributed number that spreads estimated premiums; nil is a random
	// one.
	Noise func() float64
}

func (o Options) withDefaults() Options {
	if o.SizeHigh == 0 {
		o.SizeHigh = 30_000
	}
	if o.SizeLow == 0 {
		o.SizeLow = min(20_000, o.SizeHigh)
	}
	if o.PruneCooldown == 0 {
		o.PruneCooldown = time.Minute
	}
	if o.RepublishEvery == 0 {
		o.RepublishEvery = 126 * time.Second
	}
	if o.RepublishFirst == 0 {
		o.RepublishFirst = 5 * time.Second
	}
	if o.Noise == nil {
		o.Noise = rand.NormFloat64
	}
	return o
}

// Pool is the set of pending messages. Safe from many goroutines.
type Pool struct {
	db      *sql.DB
	chain   Chain
	engine  Engine
	publish Publish
	clk     clock.Clock
	log     *slog.Logger
	opt     Options

	loading chan struct{} // holds one token for whoever loads our messages; see load

	mu         sync.Mutex // held for memory only
	loaded     bool       // guarded by mu, as all that follows
	cur        *types.TipSet
	senders    map[address.Address]*sender // by key address
	byCid      map[cid.Cid]*types.SignedMessage
	local      map[address.Address]struct{}          // senders of our own messages
	accounts   *lru.Cache[address.Address, account]  // of cur
	headNext   map[address.Address]uint64            // nonces after the messages of cur; nil: not loaded
	signatures *lru.Cache[cid.Cid, crypto.Signature] // of BLS messages, for those that are reverted
	subs       map[*Subscription]struct{}
	pruned     time.Time
}

// New makes an empty pool over a database that Migrate has seen.
func New(db *sql.DB, chain Chain, engine Engine, publish Publish, clk clock.Clock, log *slog.Logger, opt Options) *Pool {
	p := &Pool{
		db: db, chain: chain, engine: engine, publish: publish, clk: clk, log: log,
		opt:        opt.withDefaults(),
		loading:    make(chan struct{}, 1),
		senders:    map[address.Address]*sender{},
		byCid:      map[cid.Cid]*types.SignedMessage{},
		local:      map[address.Address]struct{}{},
		accounts:   newLRU[address.Address, account](accountsKept),
		signatures: newLRU[cid.Cid, crypto.Signature](signaturesKept),
		subs:       map[*Subscription]struct{}{},
	}
	p.loading <- struct{}{}
	return p
}

func newLRU[K comparable, V any](n int) *lru.Cache[K, V] {
	c, err := lru.New[K, V](n)
	if err != nil {
		panic(err) // n is a positive constant
	}
	return c
}

// Config are the pool's options with their defaults filled in.
func (p *Pool) Config() Options { return p.opt }

// Pending lists the messages of some senders, by key address, or of all, in nonce order by
// sender.
func (p *Pool) Pending(addrs ...address.Address) []*types.SignedMessage {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(addrs) == 0 {
		for a := range p.senders {
			addrs = append(addrs, a)
		}
		slices.SortFunc(addrs, func(a, b address.Address) int { return strings.Compare(string(a.Bytes()), string(b.Bytes())) })
	}
	out := []*types.SignedMessage{}
	for _, a := range addrs {
		if s := p.senders[a]; s != nil {
			out = append(out, s.sorted()...)
		}
	}
	return out
}

// Message is the pending message with a CID, as a block would list it.
func (p *Pool) Message(c cid.Cid) (*types.SignedMessage, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m, ok := p.byCid[c]
	return m, ok
}

// Len is the number of pending messages.
func (p *Pool) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.byCid)
}

// Local tells whether a sender, by key address, pushed messages on this node.
func (p *Pool) Local(a address.Address) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.local[a]
	return ok
}

// NextNonce is the nonce after the sender's last message on chain or pending without a gap;
// 0 when there is no actor and nothing pending.
func (p *Pool) NextNonce(ctx context.Context, a address.Address) (uint64, error) {
	if err := p.load(ctx); err != nil {
		return 0, err
	}
	key, err := p.KeyAddress(ctx, a)
	if errors.Is(err, view.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for ctx.Err() == nil {
		head := p.head()
		acc, err := p.account(ctx, head, key)
		if err != nil {
			return 0, err
		}
		if next, ok := p.nextOn(head, key, acc); ok {
			return next, nil
		}
	}
	return 0, ctx.Err()
}

// nextOn is the nonce after a sender's last message, if the pending messages fit on head still:
// with a new head those that it holds are pending no more.
func (p *Pool) nextOn(head *types.TipSet, key address.Address, acc account) (next uint64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.cur.Equals(head) {
		return 0, false
	}
	if s := p.senders[key]; s != nil {
		return s.next(acc.nonce), true
	}
	return acc.nonce, true
}

// KeyAddress resolves an account to the address that holds its key, on the head's chain.
func (p *Pool) KeyAddress(ctx context.Context, a address.Address) (address.Address, error) {
	return view.At(p.chain, p.head().ParentState()).KeyAddress(ctx, a)
}

// head is the tipset that the pending messages fit on.
func (p *Pool) head() *types.TipSet {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cur == nil {
		p.cur = p.chain.Head()
	}
	return p.cur
}

// Remove drops a pending message for good, also if it is our own. What is in other pools
// stays there.
func (p *Pool) Remove(ctx context.Context, c cid.Cid) error {
	if err := p.load(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	m, ok := p.byCid[c]
	if ok {
		p.drop(m)
	}
	p.mu.Unlock()
	if !ok {
		return nil
	}
	return p.forget(ctx, m)
}

// Clear drops all pending messages; with local, our own as well.
func (p *Pool) Clear(ctx context.Context, local bool) error {
	for _, m := range p.Pending() {
		if !local && p.Local(m.Message.From) {
			continue
		}
		if err := p.Remove(ctx, m.Cid()); err != nil {
			return err
		}
	}
	return nil
}

// keep puts a message in, in place of one with its nonce; mu is held.
func (p *Pool) keep(m *types.SignedMessage) {
	from := m.Message.From
	s := p.senders[from]
	if s == nil {
		s = &sender{msgs: map[uint64]*types.SignedMessage{}}
		p.senders[from] = s
	}
	if old := s.msgs[m.Message.Nonce]; old != nil {
		p.drop(old)
		p.senders[from] = s
	}
	s.msgs[m.Message.Nonce] = m
	c := m.Cid()
	p.byCid[c] = m
	if m.Signature.Type == crypto.SigTypeBLS {
		p.signatures.Add(c, m.Signature)
	}
	p.tell(Update{Added: true, Message: m})
}

// drop takes a message out; mu is held.
func (p *Pool) drop(m *types.SignedMessage) {
	s := p.senders[m.Message.From]
	if s == nil || s.msgs[m.Message.Nonce] != m {
		return
	}
	delete(s.msgs, m.Message.Nonce)
	if len(s.msgs) == 0 {
		delete(p.senders, m.Message.From)
	}
	delete(p.byCid, m.Cid())
	p.tell(Update{Message: m})
}
