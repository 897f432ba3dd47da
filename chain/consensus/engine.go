package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/beacon"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/vm"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/proofs"
)

// Chain is what the engine reads of the chain, and where it keeps states. Absent objects give
// ipld.ErrNotFound. It is safe from many goroutines (store.Store).
type Chain interface {
	types.Blocks
	// Head is the heaviest tipset.
	Head() *types.TipSet
	TipSet(ctx context.Context, key types.TipSetKey) (*types.TipSet, error)
	// TipSetAt is the latest tipset at or before a height on from's chain.
	TipSetAt(ctx context.Context, h abi.ChainEpoch, from *types.TipSet) (*types.TipSet, error)
	// TipSetAfter is the first tipset at or after a height on from's chain.
	TipSetAfter(ctx context.Context, h abi.ChainEpoch, from *types.TipSet) (*types.TipSet, error)
	TipSetMessages(ctx context.Context, ts *types.TipSet) ([]types.BlockMessages, error)
	StateOf(ctx context.Context, key types.TipSetKey) (state, receipts cid.Cid, ok bool, err error)
	SetStateOf(ctx context.Context, key types.TipSetKey, state, receipts cid.Cid) error
}

// Engine answers for one network. It is safe from many goroutines.
type Engine struct {
	chain    Chain
	beacon   beacon.Beacon
	verifier proofs.Verifier // remembers what held
	net      types.Network
	epochs   clock.Epochs
	clk      clock.Clock
	log      *slog.Logger

	weights  *lru.Cache[types.TipSetKey, big.Int]         // safe by itself, as the others
	baseFees *lru.Cache[types.TipSetKey, abi.TokenAmount] // by the parent
	valid    *lru.Cache[cid.Cid, struct{}]                // blocks that broke no rule
	seen     *lru.Cache[cid.Cid, struct{}]                // blocks that gossip accepted
	signed   *lru.Cache[signed, struct{}]                 // signatures of blocks that held

	executed atomic.Uint64 // tipsets

	mu        sync.Mutex
	executing map[types.TipSetKey]*execution // guarded by mu
}

// execution is a tipset that someone is executing.
type execution struct {
	done            chan struct{} // closed when the rest is set
	state, receipts cid.Cid
	err             error
}

// New makes an engine. net must have passed its Check.
func New(chain Chain, b beacon.Beacon, v proofs.Verifier, net types.Network, clk clock.Clock, log *slog.Logger) *Engine {
	return &Engine{
		chain:     chain,
		beacon:    b,
		verifier:  newProofCache(v),
		net:       net,
		epochs:    clock.Epochs{Genesis: net.GenesisTime, Seconds: net.EpochSeconds},
		clk:       clk,
		log:       log,
		weights:   newLRU[types.TipSetKey, big.Int](1024),
		baseFees:  newLRU[types.TipSetKey, abi.TokenAmount](1024),
		valid:     newLRU[cid.Cid, struct{}](4096),
		seen:      newLRU[cid.Cid, struct{}](8192),
		signed:    newLRU[signed, struct{}](1024),
		executing: map[types.TipSetKey]*execution{},
	}
}

func newLRU[K comparable, V any](n int) *lru.Cache[K, V] {
	c, err := lru.New[K, V](n)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return c
}

// State is the state after executing a tipset and the root of its receipts. It is computed
// once, however many ask, and kept in the chain. ErrInvalid is in the error when the tipset
// cannot be executed by anyone.
func (e *Engine) State(ctx context.Context, ts *types.TipSet) (root, receipts cid.Cid, err error) {
	if ts.Height() == 0 {
		return ts.ParentState(), ts.ParentReceipts(), nil
	}
	for {
		root, receipts, ok, err := e.known(ctx, ts.Key())
		if err != nil || ok {
			return root, receipts, err
		}
		e.mu.Lock()
		x, running := e.executing[ts.Key()]
		if !running {
			x = &execution{done: make(chan struct{}), err: errAborted}
			e.executing[ts.Key()] = x
		}
		e.mu.Unlock()
		if !running {
			e.lead(ctx, ts, x)
			return x.state, x.receipts, x.err
		}
		select {
		case <-x.done:
		case <-ctx.Done():
			return cid.Undef, cid.Undef, ctx.Err()
		}
		// When the other gave up because its own context ended, it is our turn.
		if !errors.Is(x.err, context.Canceled) && !errors.Is(x.err, context.DeadlineExceeded) {
			return x.state, x.receipts, x.err
		}
	}
}

// errAborted is what waiters see when an execution panicked.
var errAborted = errors.New("execution was aborted")

// lead executes for all who wait, unless another did since the caller looked.
func (e *Engine) lead(ctx context.Context, ts *types.TipSet, x *execution) {
	defer func() {
		e.mu.Lock()
		delete(e.executing, ts.Key())
		e.mu.Unlock()
		close(x.done)
	}()
	var ok bool
	if x.state, x.receipts, ok, x.err = e.known(ctx, ts.Key()); x.err != nil || ok {
		return
	}
	x.state, x.receipts, x.err = e.execute(ctx, ts)
}

// known looks a state up, and forgets it when its root is gone from the disk.
func (e *Engine) known(ctx context.Context, key types.TipSetKey) (root, receipts cid.Cid, ok bool, err error) {
	root, receipts, ok, err = e.chain.StateOf(ctx, key)
	if err != nil || !ok {
		return cid.Undef, cid.Undef, false, err
	}
	for _, c := range []cid.Cid{root, receipts} {
		if has, err := e.chain.Has(ctx, c); err != nil || !has {
			return cid.Undef, cid.Undef, false, err
		}
	}
	return root, receipts, true, nil
}

func (e *Engine) execute(ctx context.Context, ts *types.TipSet) (root, receipts cid.Cid, err error) {
	start := e.clk.Now()
	root, receipts, err = e.Replay(ctx, ts, nil)
	if err != nil {
		return cid.Undef, cid.Undef, err
	}
	if err := e.chain.SetStateOf(ctx, ts.Key(), root, receipts); err != nil {
		return cid.Undef, cid.Undef, err
	}
	e.executed.Add(1)
	if took := e.clk.Now().Sub(start); took > time.Second {
		e.log.Debug("executed a tipset", "height", ts.Height(), "took", took)
	}
	return root, receipts, nil
}

// Executed is how many tipsets were executed for State so far.
func (e *Engine) Executed() uint64 { return e.executed.Load() }

// Replay executes a tipset again and calls each, if not nil, for each message in the order of
// the receipts. It does not note the result.
func (e *Engine) Replay(ctx context.Context, ts *types.TipSet, each func(types.ChainMsg, *vm.Result)) (root, receipts cid.Cid, err error) {
	if ts.Height() == 0 {
		return ts.ParentState(), ts.ParentReceipts(), nil
	}
	if err := checkMiners(ts); err != nil {
		return cid.Undef, cid.Undef, err
	}
	parent, err := e.chain.TipSet(ctx, ts.Parents())
	if err != nil {
		return cid.Undef, cid.Undef, fmt.Errorf("parent of %s: %w", ts, err)
	}
	msgs, err := e.chain.TipSetMessages(ctx, ts)
	if err != nil {
		return cid.Undef, cid.Undef, fmt.Errorf("messages of %s: %w", ts, err)
	}
	env, err := e.env(ts)
	if err != nil {
		return cid.Undef, cid.Undef, err
	}
	root, receipts, err = vm.ApplyTipSet(ctx, env, vm.TipSet{
		Parent:       ts.ParentState(),
		ParentHeight: parent.Height(),
		Height:       ts.Height(),
		BaseFee:      ts.BaseFee(),
		Blocks:       msgs,
	}, each)
	if err != nil {
		return cid.Undef, cid.Undef, fmt.Errorf("execute %s: %w", ts, err)
	}
	return root, receipts, nil
}

// env is what an execution on a tipset's chain sees.
func (e *Engine) env(ts *types.TipSet) (vm.Env, error) {
	atGenesis, err := e.net.Circulating()
	if err != nil {
		return vm.Env{}, err
	}
	return vm.Env{
		Blocks:               e.chain,
		Verifier:             e.verifier,
		Rand:                 draws{e, ts},
		NetworkVersion:       types.NetworkVersion,
		CirculatingAtGenesis: atGenesis,
		Lookback: func(ctx context.Context, h abi.ChainEpoch) (cid.Cid, error) {
			_, root, err := e.lookback(ctx, ts, h)
			return root, err
		},
	}, nil
}

// checkMiners refuses a tipset with two blocks of one miner (spec chain.md c.1).
func checkMiners(ts *types.TipSet) error {
	seen := make(map[address.Address]bool, len(ts.Blocks()))
	for _, b := range ts.Blocks() {
		if seen[b.Miner] {
			return broken(ErrDuplicateMiner, "%s at height %d", b.Miner, b.Height)
		}
		seen[b.Miner] = true
	}
	return nil
}

// View reads the state after a tipset.
func (e *Engine) View(ctx context.Context, ts *types.TipSet) (*view.View, error) {
	root, _, err := e.State(ctx, ts)
	if err != nil {
		return nil, err
	}
	return view.At(e.chain, root), nil
}

// CirculatingSupply is that of the state after a tipset, in attoFIL (spec chain.md d.12).
func (e *Engine) CirculatingSupply(ctx context.Context, ts *types.TipSet) (abi.TokenAmount, error) {
	root, _, err := e.State(ctx, ts)
	if err != nil {
		return big.Zero(), err
	}
	atGenesis, err := e.net.Circulating()
	if err != nil {
		return big.Zero(), err
	}
	return vm.CirculatingSupply(ctx, e.chain, root, atGenesis)
}
