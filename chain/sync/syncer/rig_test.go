package syncer_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/chain/store"
	"github.com/lodenet/lode/chain/sync/chaintest"
	"github.com/lodenet/lode/chain/sync/syncer"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/dispatch"
	"github.com/lodenet/lode/network/host/hosttest"
	"github.com/lodenet/lode/network/peers"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// A library logs through a goroutine that it starts when it is loaded.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/ipfs/go-log/writer.(*MirrorWriter).logRoutine"))
}

// remote is a peer's chain, asked without a network.
type remote struct {
	*chaintest.Chain

	mu       sync.Mutex
	down     error // guarded by mu: nobody answers
	headers  int   // guarded by mu: tipsets given
	messages int   // guarded by mu
}

func (r *remote) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = err
}

func (r *remote) Headers(ctx context.Context, from types.TipSetKey, n int, _ ...peer.ID) ([]*types.TipSet, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down != nil {
		return nil, r.down
	}
	var out []*types.TipSet
	for key := from; len(out) < min(n, 20); {
		ts, err := r.TipSet(ctx, key)
		if err != nil {
			return nil, err
		}
		out = append(out, ts)
		r.headers++
		if ts.Height() == 0 {
			break
		}
		key = ts.Parents()
	}
	return out, nil
}

func (r *remote) Messages(ctx context.Context, chain []*types.TipSet, _ ...peer.ID) ([]*types.FullTipSet, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down != nil {
		return nil, r.down
	}
	var out []*types.FullTipSet
	for _, ts := range chain[:min(3, len(chain))] { // partial answers
		full := &types.FullTipSet{}
		for _, h := range ts.Blocks() {
			b, err := r.FullBlock(ctx, h)
			if err != nil {
				return nil, err
			}
			full.Blocks = append(full.Blocks, b)
		}
		out = append(out, full)
		r.messages++
	}
	return out, nil
}

// session notes faults.
type session struct {
	mu     sync.Mutex
	faults []string // guarded by mu
	useful int      // guarded by mu
}

func (s *session) Report(p peer.ID, f peers.Fault, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, fmt.Sprint(string(p), " ", f))
}

func (s *session) Useful(peer.ID, float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.useful++
}

// bench is one syncer with all it needs.
type bench struct {
	t       *testing.T
	chain   *chaintest.Chain
	engine  *chaintest.Engine
	remote  *remote
	session *session
	topic   *dispatch.Topic[*types.BlockMsg]
	disp    *dispatch.Dispatcher
	opt     syncer.Options
	slow    time.Duration // how long an offer takes
	*syncer.Syncer
}

// slowChain takes its time to place a tipset.
type slowChain struct {
	*chaintest.Chain
	slow time.Duration
}

func (c slowChain) Offer(ctx context.Context, ts *types.TipSet, weigh store.Weigh) (bool, error) {
	if err := clock.Sleep(ctx, clock.System{}, c.slow); err != nil {
		return false, err
	}
	return c.Chain.Offer(ctx, ts, weigh)
}

var errEarly = errors.New("too early")

func classify(err error) syncer.Class {
	switch {
	case errors.Is(err, chaintest.ErrInvalid):
		return syncer.Invalid
	case errors.Is(err, errEarly):
		return syncer.Temporal
	}
	return syncer.Retry
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{
		t: t, chain: chaintest.New(t), remote: &remote{Chain: chaintest.New(t)}, session: &session{},
		topic: dispatch.NewTopic[*types.BlockMsg]("blocks"), disp: dispatch.New(),
	}
	t.Cleanup(b.disp.Close)
	b.engine = &chaintest.Engine{Chain: b.chain.Store}
	b.opt = syncer.Options{Epochs: chaintest.Epochs(), Classify: classify, Incoming: b.topic, Dispatcher: b.disp}
	return b
}

// start runs the syncer; stop ends it and waits.
func (b *bench) start() (stop func()) {
	b.t.Helper()
	b.Syncer = syncer.New(slowChain{b.chain, b.slow}, b.engine, b.remote, b.session, b.opt, clock.System{}, hosttest.Quiet())
	s := b.Syncer
	ctx, cancel := context.WithCancel(b.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); err != nil {
			b.t.Errorf("Run: %v", err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	b.t.Cleanup(stop)
	synctest.Wait()
	return stop
}

// offer tells of a peer's head.
func (b *bench) offer(from string, ts *types.TipSet) {
	w, _ := chaintest.Weigh(b.t.Context(), ts)
	b.Offer(peer.ID(from), ts.Key(), ts.Height(), w)
}

// head checks where the chain stands once all is quiet.
func (b *bench) head(want *types.TipSet) {
	b.t.Helper()
	synctest.Wait()
	if got := b.chain.Head(); !got.Equals(want) {
		b.t.Errorf("head is %d, want %d; status %+v", got.Height(), want.Height(), b.Status())
	}
}

func (b *bench) badBlocks() int {
	b.t.Helper()
	bad, err := b.chain.BadBlocks(b.t.Context(), 10_000)
	if err != nil {
		b.t.Fatal(err)
	}
	return len(bad)
}

// sub runs a test in virtual time with a bench.
func sub(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newBench(t)) })
}
