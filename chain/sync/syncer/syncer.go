package syncer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/chain/store"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/dispatch"
	"github.com/lodenet/lode/network/peers"
	"golang.org/x/sync/errgroup"
)

// Chain is what the syncer needs of the chain store. All of it is safe from many
// goroutines; absent things give errors for which ipld.IsNotFound is true.
type Chain interface {
	Head() *types.TipSet
	Genesis() *types.TipSet
	TipSet(ctx context.Context, key types.TipSetKey) (*types.TipSet, error)
	// IsValid tells whether a block was offered as validated, which implies that its
	// messages and ancestors are here.
	IsValid(ctx context.Context, h *types.BlockHeader) (bool, error)
	Message(ctx context.Context, c cid.Cid) (types.ChainMsg, error)
	BlockMessages(ctx context.Context, h *types.BlockHeader) ([]*types.Message, []*types.SignedMessage, error)
	PutHeaders(ctx context.Context, hs ...*types.BlockHeader) error
	PutFullBlock(ctx context.Context, b *types.FullBlock) error
	// Offer marks a tipset's blocks as validated and moves the head if something heavier
	// can be formed now.
	Offer(ctx context.Context, ts *types.TipSet, weigh store.Weigh) (moved bool, err error)
	MarkBad(ctx context.Context, c cid.Cid, reason string, now time.Time) error
	Bad(ctx context.Context, c cid.Cid) (store.BadBlock, bool, error)
}

// Engine is the consensus.
type Engine interface {
	// ValidateBlock checks a block whose ancestors are validated and whose parents'
	// messages are stored.
	ValidateBlock(ctx context.Context, b *types.FullBlock) error
	Weight(ctx context.Context, ts *types.TipSet) (big.Int, error)
}

// Fetcher asks peers (exchange.Client).
type Fetcher interface {
	Headers(ctx context.Context, from types.TipSetKey, n int, prefer ...peer.ID) ([]*types.TipSet, error)
	Messages(ctx context.Context, chain []*types.TipSet, prefer ...peer.ID) ([]*types.FullTipSet, error)
}

// Swap fetches blocks by CID (bitswap.Exchange under the chain's prefix).
type Swap interface {
	GetBlocks(ctx context.Context, cids []cid.Cid) (<-chan blocks.Block, error)
}

// Session takes the praise and blame of peers (peers.Manager).
type Session interface {
	Report(p peer.ID, f peers.Fault, err error)
	Useful(p peer.ID, points float64)
}

// Class is what an error of the Engine means for a block.
type Class int

// The classes. Only Invalid blocks are remembered as bad.
const (
	Retry    Class = iota // our own trouble, or something is missing: try again
	Temporal              // the block is from the near future: try again a little later
	Invalid               // provably wrong, for ever
)

// Options say how a Syncer works. Epochs and Classify are needed.
type Options struct {
	Epochs   clock.Epochs
	Classify func(error) Class
	// Pool finds a message that is not on chain yet, by its CID on chain. May be nil.
	Pool func(cid.Cid) (types.ChainMsg, bool)
	// Swap may be nil: then messages come from the chain exchange alone.
	Swap Swap
	// Incoming is the topic of gossip blocks in Dispatcher. May be nil, as in a tool that
	// only follows targets.
	Incoming   *dispatch.Topic[*types.BlockMsg]
	Dispatcher *dispatch.Dispatcher
	// FetchTimeout bounds the completion of one gossip block; default 30 s.
	FetchTimeout time.Duration
}

// Errors of the syncer.
var (
	// ErrInvalid: the block, or one that it builds on, is provably invalid.
	ErrInvalid = errors.New("invalid block")
	// ErrBeyond: the chain forks off too far back, ends in another genesis, or is ahead of
	// time. It is refused without blame.
	ErrBeyond = errors.New("chain is out of reach")
	// ErrNoParent: the parents are not validated here. They become a target, unless the
	// block is our own.
	ErrNoParent = errors.New("parents are not validated")

	// errLighter: what builds on the parents cannot become the head. It is of no interest.
	errLighter = errors.New("lighter than the head")
)

// Syncer follows the heaviest chain. Its methods are safe from many goroutines.
type Syncer struct {
	chain   Chain
	engine  Engine
	fetch   Fetcher
	session Session
	opt     Options
	clk     clock.Clock
	log     *slog.Logger
	ready   chan struct{} // closed once blocks of gossip are taken
	synced  chan struct{} // closed once the head is near the present
	wake    chan struct{} // tells the sync loop of a target

	flights flights

	mu      sync.Mutex
	targets *targets // guarded by mu
	status  Status   // guarded by mu
	near    bool     // guarded by mu: synced is closed
}

// New makes a syncer; Run starts it.
func New(chain Chain, engine Engine, fetch Fetcher, session Session, opt Options, clk clock.Clock, log *slog.Logger) *Syncer {
	if opt.FetchTimeout == 0 {
		opt.FetchTimeout = defaultFetchTimeout
	}
	return &Syncer{
		chain: chain, engine: engine, fetch: fetch, session: session, opt: opt, clk: clk, log: log,
		ready: make(chan struct{}), synced: make(chan struct{}), wake: make(chan struct{}, 1),
		flights: flights{m: make(map[cid.Cid]*flight)},
		targets: newTargets(),
		status:  Status{Stage: StageIdle},
	}
}

// Ready is closed when Run takes blocks: before that nobody is there whom gossip could give
// one to.
func (s *Syncer) Ready() <-chan struct{} { return s.ready }

// Run syncs until the context ends. It can be called once.
func (s *Syncer) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if s.opt.Incoming != nil {
		sub, err := dispatch.Subscribe(s.opt.Dispatcher, s.opt.Incoming, dispatch.SubOptions[*types.BlockMsg]{
			Queue: incomingQueue, MaxBytes: incomingBytes, Key: byPeer,
		})
		if err != nil {
			return fmt.Errorf("syncer: subscribe to blocks: %w", err)
		}
		defer sub.Close()
		for range incomingWorkers {
			g.Go(func() error { s.incomingLoop(ctx, sub.C()); return nil })
		}
	}
	g.Go(func() error { s.loop(ctx); return nil })
	close(s.ready)
	return g.Wait()
}

// Offer tells of a peer's head. It never blocks. weight is the peer's claim and orders the
// targets; nothing is believed of it.
func (s *Syncer) Offer(from peer.ID, key types.TipSetKey, height abi.ChainEpoch, weight big.Int) {
	s.offer(from, key, height, weight, true)
}

// offer takes a target; claimed says that the peer itself stands for it.
func (s *Syncer) offer(from peer.ID, key types.TipSetKey, height abi.ChainEpoch, weight big.Int, claimed bool) {
	now := s.clk.Now()
	s.mu.Lock()
	fresh := s.targets.offer(now, from, claimed, key, height, weight)
	s.mu.Unlock()
	if fresh {
		s.poke()
	}
}

func (s *Syncer) poke() {
	select {
	case s.wake <- struct{}{}:
	default: // it is going to look anyway
	}
}

// Synced is closed when the head has come near the present for the first time.
func (s *Syncer) Synced() <-chan struct{} { return s.synced }

// nearEpochs is how far from the present the head may be to count as synced.
const nearEpochs = 10

func (s *Syncer) checkNear() {
	now := s.opt.Epochs.At(s.clk.Now())
	if s.chain.Head().Height()+nearEpochs < now {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.near {
		s.near = true
		close(s.synced)
	}
}

// loop syncs one target after the other.
func (s *Syncer) loop(ctx context.Context) {
	ticks := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for clock.Sleep(ctx, s.clk, time.Second) == nil {
			select {
			case ticks <- struct{}{}:
			case <-ctx.Done():
			}
		}
	})
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-ticks:
		}
		s.checkNear()
		for ctx.Err() == nil && s.syncNext(ctx) {
			s.checkNear()
		}
	}
}

// syncNext syncs the best target that is due and tells whether there was one.
func (s *Syncer) syncNext(ctx context.Context) bool {
	s.mu.Lock()
	t, ok := s.targets.next(s.clk.Now())
	s.mu.Unlock()
	if !ok {
		return false
	}
	err := s.sync(ctx, t)
	now := s.clk.Now()
	s.mu.Lock()
	switch {
	case err == nil:
		s.targets.done(t.key)
	case errors.Is(err, ErrInvalid), errors.Is(err, ErrBeyond):
		s.targets.refuse(now, t.key)
	default:
		s.targets.failed(now, t.key)
	}
	s.mu.Unlock()
	s.finish(ctx, t, err)
	return true
}

// finish makes the outcome of a sync known.
func (s *Syncer) finish(ctx context.Context, t target, err error) {
	if ctx.Err() != nil {
		return
	}
	s.ended(err)
	if err == nil {
		return
	}
	s.log.Info("sync of a target ended", "height", t.height, "target", t.key, "err", err)
	if errors.Is(err, ErrInvalid) {
		for _, p := range t.claimed {
			s.session.Report(p, peers.Forged, err)
		}
	}
}
