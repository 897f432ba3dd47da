package syncer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/chain/store"
	"github.com/lodenet/lode/chain/sync/chaintest"
	"github.com/lodenet/lode/chain/sync/exchange"
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

func TestCatchUp(t *testing.T) {
	sub(t, func(t *testing.T, b *bench) {
		head := b.remote.Extend(b.remote.Genesis(), 130, 3, "a")
		b.start()
		b.offer("p", head)
		b.head(head)
		// Oldest first, each once.
		judged := b.engine.Judged()
		if len(judged) != 390 {
			t.Errorf("%d blocks judged, want 390", len(judged))
		}
		var last abi.ChainEpoch
		for _, c := range judged {
			h, err := b.chain.Header(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if h.Height < last {
				t.Fatalf("height %d was judged after %d", h.Height, last)
			}
			last = h.Height
		}
		st := b.Status()
		if st.Stage != syncer.StageComplete || st.Validated != 130 || st.Headers != 130 || st.Base != 0 ||
			st.Height != head.Height() || st.TargetHeight != head.Height() || st.Pending != 0 || st.Ended.IsZero() {
			t.Errorf("status %+v", st)
		}
		if len(b.session.faults) != 0 {
			t.Errorf("faults %v", b.session.faults)
		}
		// The messages are here as well.
		if _, err := b.chain.TipSetMessages(t.Context(), head); err != nil {
			t.Error(err)
		}
		// A little later the same again: only what is new is fetched.
		fetched := b.remote.messages
		more := b.remote.Extend(head, 5, 2, "b")
		b.offer("p", more)
		b.head(more)
		if n := b.remote.messages - fetched; n != 5 {
			t.Errorf("messages of %d tipsets were fetched for 5", n)
		}
	})
}

// A sync that was interrupted goes on where it was: nothing is validated or fetched twice.
func TestResume(t *testing.T) {
	sub(t, func(t *testing.T, b *bench) {
		head := b.remote.Extend(b.remote.Genesis(), 100, 2, "a")
		mid, err := b.remote.TipSetAt(t.Context(), 60, nil)
		if err != nil {
			t.Fatal(err)
		}
		b.engine.Forbid(mid.Cids()[0], errors.New("disk full"))
		stop := b.start()
		b.offer("p", head)
		synctest.Wait()
		stop()
		if h := b.chain.Head().Height(); h < 55 || h >= 60 {
			t.Fatalf("interrupted at %d", h)
		}
		if b.badBlocks() != 0 {
			t.Error("our own trouble made a block bad")
		}
		judged, headers := len(b.engine.Judged()), b.remote.headers
		b.engine.Allow(mid.Cids()[0])
		b.start()
		b.offer("p", head)
		b.head(head)
		if n := len(b.engine.Judged()) - judged; n > 200-judged+2 { // the tipset that failed comes again
			t.Errorf("%d blocks judged after the restart, %d before", n, judged)
		}
		if b.remote.headers != headers {
			t.Errorf("%d headers were fetched again", b.remote.headers-headers)
		}
	})
}

func TestRetriesByItself(t *testing.T) {
	for name, trouble := range map[string]error{
		"disk full": errors.New("disk full"), "too early": errEarly, "state is missing": ipld.ErrNotFound{},
	} {
		t.Run(name, func(t *testing.T) {
			sub(t, func(t *testing.T, b *bench) {
				head := b.remote.Extend(b.remote.Genesis(), 10, 1, "a")
				b.engine.Forbid(head.Cids()[0], trouble)
				b.start()
				b.offer("p", head)
				synctest.Wait()
				if st := b.Status(); st.Stage != syncer.StageWaiting || st.Error == "" {
					t.Errorf("status %+v", st)
				}
				b.engine.Allow(head.Cids()[0])
				time.Sleep(5 * time.Second)
				b.head(head)
				if b.badBlocks() != 0 || len(b.session.faults) != 0 {
					t.Errorf("%d bad blocks, faults %v", b.badBlocks(), b.session.faults)
				}
			})
		})
	}
	t.Run("no peers", func(t *testing.T) {
		sub(t, func(t *testing.T, b *bench) {
			head := b.remote.Extend(b.remote.Genesis(), 10, 1, "a")
			b.remote.fail(exchange.ErrNoPeers)
			b.start()
			b.offer("p", head)
			time.Sleep(20 * time.Second)
			b.remote.fail(nil)
			time.Sleep(30 * time.Second)
			b.head(head)
		})
	})
}

func TestInvalidBlock(t *testing.T) {
	sub(t, func(t *testing.T, b *bench) {
		good := b.remote.Extend(b.remote.Genesis(), 10, 1, "a")
		bad := b.remote.Add(b.remote.Block(good, good.Height()+1, 1, "bad"))
		head := b.remote.Extend(bad, 10, 1, "b")
		b.engine.Forbid(bad.Cids()[0], fmt.Errorf("%w: nonsense", chaintest.ErrInvalid))
		b.start()
		b.offer("liar", head)
		b.head(good) // what came before it is fine
		if st := b.Status(); st.Stage != syncer.StageRefused {
			t.Errorf("status %+v", st)
		}
		if n := b.badBlocks(); n != 11 {
			t.Errorf("%d bad blocks, want the block and its ten descendants", n)
		}
		if !slices.Equal(b.session.faults, []string{"liar forged"}) {
			t.Errorf("faults %v", b.session.faults)
		}
		// Another head on top is refused without asking for it all.
		judged := len(b.engine.Judged())
		b.offer("other", b.remote.Extend(head, 3, 1, "c"))
		b.head(good)
		if len(b.engine.Judged()) != judged {
			t.Error("descendants of a bad block were judged")
		}
		// The honest branch wins all the same.
		honest := b.remote.Extend(good, 3, 1, "honest")
		b.offer("p", honest)
		b.head(honest)
	})
}

func TestForks(t *testing.T) {
	sub(t, func(t *testing.T, b *bench) {
		base := b.remote.Extend(b.remote.Genesis(), 20, 1, "base")
		short := b.remote.Extend(base, 5, 1, "short")
		b.start()
		b.offer("p", short)
		b.head(short)
		long := b.remote.Extend(base, 9, 1, "long")
		b.offer("q", long)
		b.head(long)
		// Lighter than the head: of no interest.
		judged := len(b.engine.Judged())
		b.offer("r", b.remote.Extend(base, 2, 1, "lighter"))
		b.head(long)
		if len(b.engine.Judged()) != judged || b.Status().Stage != syncer.StageComplete {
			t.Errorf("a lighter head was synced, status %+v", b.Status())
		}
	})
}

func TestForkBeyondFinality(t *testing.T) {
	sub(t, func(t *testing.T, b *bench) {
		base := b.remote.Extend(b.remote.Genesis(), 3, 1, "base")
		ours := b.remote.Extend(base, 800, 1, "ours") // more than 900 epochs
		b.start()
		b.offer("p", ours)
		b.head(ours)
		theirs := b.remote.Extend(base, 810, 1, "theirs")
		b.offer("q", theirs)
		b.head(ours)
		if st := b.Status(); st.Stage != syncer.StageRefused || b.badBlocks() != 0 || len(b.session.faults) != 0 {
			t.Errorf("status %+v, %d bad blocks, faults %v", st, b.badBlocks(), b.session.faults)
		}
	})
}

func TestRefusedTargets(t *testing.T) {
	for name, c := range map[string]struct {
		head func(b *bench) *types.TipSet
		bad  bool
	}{
		"ahead of time": {func(b *bench) *types.TipSet {
			now := chaintest.Epochs().At(time.Now())
			return b.remote.Add(b.remote.Block(b.remote.Genesis(), now+100, 1, "future"))
		}, false},
		"another genesis": {func(b *bench) *types.TipSet {
			b.remote = &remote{Chain: chaintest.NewWith(b.t, "other")}
			return b.remote.Extend(b.remote.Genesis(), 3, 1, "a")
		}, true},
		"wrong timestamp": {func(b *bench) *types.TipSet {
			block := b.remote.Block(b.remote.Genesis(), 1, 1, "late")
			block.Header.Timestamp++
			return b.remote.Add(block)
		}, true},
		"invalid weight": {func(b *bench) *types.TipSet {
			block := b.remote.Block(b.remote.Genesis(), 1, 1, "heavy")
			block.Header.ParentWeight = big.NewInt(1_000_000)
			return b.remote.Add(block)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			sub(t, func(t *testing.T, b *bench) {
				head := c.head(b)
				b.start()
				b.offer("p", head)
				time.Sleep(time.Minute)
				b.head(b.chain.Genesis())
				if st := b.Status(); st.Stage != syncer.StageRefused || (b.badBlocks() > 0) != c.bad || (len(b.session.faults) > 0) != c.bad {
					t.Errorf("status %+v, %d bad blocks, faults %v", st, b.badBlocks(), b.session.faults)
				}
			})
		})
	}
}

func TestOwnBlocks(t *testing.T) {
	sub(t, func(t *testing.T, b *bench) {
		b.start()
		g := b.chain.Genesis()
		one, two := b.chain.Block(g, 1, 1, "one"), b.chain.Block(g, 1, 2, "two")
		for _, own := range []*types.FullBlock{one, two, one} {
			if err := b.InBlock(t.Context(), own, ""); err != nil {
				t.Fatal(err)
			}
		}
		both, err := types.NewTipSet([]*types.BlockHeader{one.Header, two.Header})
		if err != nil {
			t.Fatal(err)
		}
		b.head(both) // siblings make one tipset
		if n := len(b.engine.Judged()); n != 2 {
			t.Errorf("%d blocks judged", n)
		}
		elsewhere := b.remote.Extend(g, 3, 1, "a")
		orphan := b.remote.Block(elsewhere, 5, 1, "orphan")
		if err := b.InBlock(t.Context(), orphan, ""); !errors.Is(err, syncer.ErrNoParent) {
			t.Errorf("a block without parents: %v", err)
		}
		wrong := b.chain.Block(both, 2, 1, "wrong")
		b.engine.Forbid(wrong.Cid(), chaintest.ErrInvalid)
		for range 2 {
			if err := b.InBlock(t.Context(), wrong, ""); !errors.Is(err, syncer.ErrInvalid) {
				t.Errorf("an invalid block: %v", err)
			}
		}
	})
}

// An own block of which the weighing was cut short is in the store and not the head. When it
// comes again, as it does from a miner that could publish no other, it becomes the head.
func TestOwnBlockCutShort(t *testing.T) {
	sub(t, func(t *testing.T, b *bench) {
		b.start()
		own := b.chain.Block(b.chain.Genesis(), 1, 1, "own")
		if err := b.chain.PutFullBlock(t.Context(), own); err != nil {
			t.Fatal(err)
		}
		ts, err := types.NewTipSet([]*types.BlockHeader{own.Header})
		if err != nil {
			t.Fatal(err)
		}
		cut := func(context.Context, *types.TipSet) (big.Int, error) { return big.Int{}, context.Canceled }
		if _, err := b.chain.Offer(t.Context(), ts, cut); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		b.head(b.chain.Genesis())
		if err := b.InBlock(t.Context(), own, ""); err != nil {
			t.Fatal(err)
		}
		b.head(ts)
	})
}

// swap gives messages by CID from a store.
type swap struct{ types.Blocks }

func (s swap) GetBlocks(ctx context.Context, cids []cid.Cid) (<-chan blocks.Block, error) {
	out := make(chan blocks.Block)
	go func() {
		defer close(out)
		for _, c := range cids {
			b, err := s.Get(ctx, c)
			if err != nil {
				<-ctx.Done() // bitswap waits for what nobody has
				return
			}
			select {
			case out <- b:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

// gossip brings a block the way the network does.
func (b *bench) gossip(from string, block *types.FullBlock) {
	bls, secp := store.MessageLists(block)
	dispatch.Publish(b.topic, dispatch.Envelope[*types.BlockMsg]{
		From: from, Size: 1000, Msg: &types.BlockMsg{Header: block.Header, BlsMessages: bls, SecpkMessages: secp},
	})
	synctest.Wait()
}

func (b *bench) putMessages(where *chaintest.Chain, block *types.FullBlock) {
	b.t.Helper()
	for _, m := range block.BlsMessages {
		if err := where.PutMessages(b.t.Context(), m); err != nil {
			b.t.Fatal(err)
		}
	}
	for _, m := range block.SecpkMessages {
		if err := where.PutMessages(b.t.Context(), m); err != nil {
			b.t.Fatal(err)
		}
	}
}

// A gossip block finds its messages wherever they are.
func TestGossipBlock(t *testing.T) {
	for name, prepare := range map[string]func(b *bench, block *types.FullBlock){
		"in the store": func(b *bench, block *types.FullBlock) { b.putMessages(b.chain, block) },
		"in the pool": func(b *bench, block *types.FullBlock) {
			b.opt.Pool = func(c cid.Cid) (types.ChainMsg, bool) {
				for _, m := range block.BlsMessages { // the pool has signed forms
					if m.Cid() == c {
						return chaintest.Signed(string(m.Params)), true
					}
				}
				for _, m := range block.SecpkMessages {
					if m.Cid() == c {
						return m, true
					}
				}
				return nil, false
			}
		},
		"by bitswap": func(b *bench, block *types.FullBlock) {
			b.remote.fail(exchange.ErrNoPeers)
			other := chaintest.New(b.t)
			b.putMessages(other, block)
			b.opt.Swap = swap{other}
		},
		"by exchange": func(b *bench, block *types.FullBlock) {
			b.opt.Swap = swap{chaintest.New(b.t)} // which never answers
			if err := b.remote.PutFullBlock(b.t.Context(), block); err != nil {
				b.t.Fatal(err)
			}
		},
		"by exchange alone, late": func(b *bench, block *types.FullBlock) {
			b.remote.fail(exchange.ErrUnavailable)
			time.AfterFunc(5*time.Second, func() {
				b.remote.fail(b.remote.PutFullBlock(b.t.Context(), block))
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			sub(t, func(t *testing.T, b *bench) {
				block := b.chain.Block(b.chain.Genesis(), 1, 1, "a")
				prepare(b, block)
				b.start()
				b.gossip("p", block)
				time.Sleep(10 * time.Second)
				ts, _ := types.NewTipSet([]*types.BlockHeader{block.Header})
				b.head(ts)
				if b.session.useful != 1 || len(b.session.faults) != 0 {
					t.Errorf("useful %d, faults %v", b.session.useful, b.session.faults)
				}
				// Again: it is known.
				b.gossip("q", block)
				if n := len(b.engine.Judged()); n != 1 {
					t.Errorf("judged %d times", n)
				}
			})
		})
	}
}

// A block whose parents are unknown leads to a sync; one that arrives while its parent is
// being validated waits for it.
func TestGossipAhead(t *testing.T) {
	sub(t, func(t *testing.T, b *bench) {
		head := b.remote.Extend(b.remote.Genesis(), 20, 1, "a")
		full, err := b.remote.FullBlock(t.Context(), head.Blocks()[0])
		if err != nil {
			t.Fatal(err)
		}
		b.start()
		b.gossip("p", full)
		b.head(head)
		if len(b.session.faults) != 0 {
			t.Errorf("faults %v", b.session.faults)
		}
	})
}

func TestGossipWaitsForItsParent(t *testing.T) {
	sub(t, func(t *testing.T, b *bench) {
		b.remote.fail(exchange.ErrNoPeers) // there is no other way to the child
		b.slow = time.Second               // judged is not yet placed
		parent := b.chain.Block(b.chain.Genesis(), 1, 1, "parent")
		ts, err := types.NewTipSet([]*types.BlockHeader{parent.Header})
		if err != nil {
			t.Fatal(err)
		}
		child := b.chain.Block(ts, 2, 1, "child")
		b.putMessages(b.chain, parent)
		b.putMessages(b.chain, child)
		release := b.engine.Hold(parent.Cid())
		b.start()
		b.gossip("p", parent)
		synctest.Wait()       // it is being judged
		b.gossip("p", parent) // again meanwhile: judged once
		b.gossip("p", child)
		b.head(b.chain.Genesis())
		release()
		time.Sleep(3 * b.slow) // both find their places
		top, err := types.NewTipSet([]*types.BlockHeader{child.Header})
		if err != nil {
			t.Fatal(err)
		}
		b.head(top)
		if n := len(b.engine.Judged()); n != 2 {
			t.Errorf("%d judgements of two blocks", n)
		}
	})
}

// An invalid gossip block is remembered, but the peer that passed it on did no wrong.
func TestGossipInvalid(t *testing.T) {
	sub(t, func(t *testing.T, b *bench) {
		block := b.chain.Block(b.chain.Genesis(), 1, 1, "a")
		b.putMessages(b.chain, block)
		b.engine.Forbid(block.Cid(), chaintest.ErrInvalid)
		b.start()
		b.gossip("p", block)
		b.gossip("q", block)
		time.Sleep(time.Minute)
		b.head(b.chain.Genesis())
		if n := len(b.engine.Judged()); n != 1 || b.badBlocks() != 1 || len(b.session.faults) != 0 || b.session.useful != 0 {
			t.Errorf("judged %d times, %d bad, faults %v, useful %d", n, b.badBlocks(), b.session.faults, b.session.useful)
		}
	})
}

// A block that is a moment too early is taken a moment later.
func TestGossipEarly(t *testing.T) {
	sub(t, func(t *testing.T, b *bench) {
		block := b.chain.Block(b.chain.Genesis(), 1, 1, "a")
		if err := b.remote.PutFullBlock(t.Context(), block); err != nil {
			t.Fatal(err)
		}
		b.putMessages(b.chain, block)
		b.engine.Forbid(block.Cid(), errEarly)
		b.start()
		b.gossip("p", block)
		b.head(b.chain.Genesis())
		b.engine.Allow(block.Cid())
		time.Sleep(5 * time.Second)
		ts, _ := types.NewTipSet([]*types.BlockHeader{block.Header})
		b.head(ts)
		if b.badBlocks() != 0 {
			t.Error("it was called bad")
		}
	})
}

func TestSynced(t *testing.T) {
	sub(t, func(t *testing.T, b *bench) {
		now := chaintest.Epochs().At(time.Now())
		b.start()
		select {
		case <-b.Synced():
			t.Fatal("a genesis of long ago counts as synced")
		case <-time.After(3 * time.Second):
		}
		if err := b.InBlock(t.Context(), b.chain.Block(b.chain.Genesis(), now-3, 1, "a"), ""); err != nil {
			t.Fatal(err)
		}
		select {
		case <-b.Synced():
		case <-time.After(3 * time.Second):
			t.Error("not synced with a young head")
		}
	})
}
