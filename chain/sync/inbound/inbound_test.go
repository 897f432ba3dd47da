package inbound_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/chain/store"
	"github.com/lodenet/lode/chain/sync/chaintest"
	"github.com/lodenet/lode/chain/sync/inbound"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/dispatch"
	"github.com/lodenet/lode/network/gossip"
	"github.com/lodenet/lode/network/host/hosttest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// A library logs through a goroutine that it starts when it is loaded.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/ipfs/go-log/writer.(*MirrorWriter).logRoutine"))
}

// announce is how gossip carries a block.
func announce(t testing.TB, b *types.FullBlock) *types.BlockMsg {
	t.Helper()
	bls, secp := store.MessageLists(b)
	return &types.BlockMsg{Header: b.Header, BlsMessages: bls, SecpkMessages: secp}
}

func encode(t testing.TB, m interface{ Serialize() ([]byte, error) }) []byte {
	t.Helper()
	b, err := m.Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// judge gives one verdict to all and counts.
type judge struct {
	verdict          gossip.Verdict
	blocks, messages int
	blamed           []error
}

var errReason = errors.New("a reason")

func (j *judge) gate(d *dispatch.Dispatcher) *inbound.Gate {
	return inbound.New(inbound.Checks{
		Block: func(context.Context, *types.BlockMsg) (gossip.Verdict, error) {
			j.blocks++
			return j.verdict, errReason
		},
		Message: func(context.Context, *types.SignedMessage) (gossip.Verdict, error) {
			j.messages++
			return j.verdict, errReason
		},
		Blame: func(from peer.ID, err error) {
			if from != "peer" {
				err = errors.New("another peer")
			}
			if len(j.blamed) < 2 { // fuzzing brings more
				j.blamed = append(j.blamed, err)
			}
		},
	}, d, clock.System{}, hosttest.Quiet())
}

// checkBlame wants the sender of what was rejected to be blamed, and for which reason.
func (j *judge) checkBlame(t *testing.T, verdict gossip.Verdict, judged int) {
	t.Helper()
	if verdict != gossip.Reject {
		if len(j.blamed) > 0 {
			t.Errorf("blamed for %v", j.blamed)
		}
		return
	}
	want := inbound.ErrMalformed
	if judged > 0 {
		want = errReason
	}
	if len(j.blamed) != 1 || !errors.Is(j.blamed[0], want) {
		t.Errorf("blamed for %v, want %v", j.blamed, want)
	}
}

func TestBlocks(t *testing.T) {
	chain := chaintest.New(t)
	block := announce(t, chain.Block(chain.Genesis(), 1, 1, "a"))
	spoilt := func(spoil func(*types.BlockMsg, *types.BlockHeader)) []byte {
		m, h := *block, *block.Header
		m.Header = &h
		spoil(&m, &h)
		return encode(t, &m)
	}
	for _, c := range []struct {
		name   string
		data   []byte
		judge  gossip.Verdict
		want   gossip.Verdict
		judged int
		passed int
	}{
		{"good", encode(t, block), gossip.Accept, gossip.Accept, 1, 1},
		{"of no interest", encode(t, block), gossip.Ignore, gossip.Ignore, 1, 0},
		{"bad", encode(t, block), gossip.Reject, gossip.Reject, 1, 0},
		{"garbage", []byte("garbage"), gossip.Accept, gossip.Reject, 0, 0},
		{"nothing", nil, gossip.Accept, gossip.Reject, 0, 0},
		{"trailing bytes", append(encode(t, block), 0), gossip.Accept, gossip.Reject, 0, 0},
		{"no signature", spoilt(func(_ *types.BlockMsg, h *types.BlockHeader) { h.BlockSig = nil }), gossip.Accept, gossip.Reject, 0, 0},
		{"no ticket", spoilt(func(_ *types.BlockMsg, h *types.BlockHeader) { h.Ticket = nil }), gossip.Accept, gossip.Reject, 0, 0},
		{"no aggregate", spoilt(func(_ *types.BlockMsg, h *types.BlockHeader) { h.BLSAggregate = nil }), gossip.Accept, gossip.Reject, 0, 0},
		{"no election", spoilt(func(_ *types.BlockMsg, h *types.BlockHeader) { h.ElectionProof = nil }), gossip.Accept, gossip.Reject, 0, 0},
		{"too many messages", spoilt(func(m *types.BlockMsg, _ *types.BlockHeader) {
			m.BlsMessages, m.SecpkMessages = make([]cid.Cid, 6000), make([]cid.Cid, 6000)
			for i := range m.BlsMessages {
				m.BlsMessages[i], m.SecpkMessages[i] = block.Cid(), block.Cid()
			}
		}), gossip.Accept, gossip.Reject, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := dispatch.New()
			defer d.Close()
			j := judge{verdict: c.judge}
			g := j.gate(d)
			sub, err := dispatch.Subscribe(d, g.Blocks, dispatch.SubOptions[*types.BlockMsg]{Queue: 10, MaxBytes: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			if got := g.Validators().Block(t.Context(), "peer", c.data); got != c.want {
				t.Errorf("verdict %s, want %s", got, c.want)
			}
			if j.blocks != c.judged {
				t.Errorf("judged %d times, want %d", j.blocks, c.judged)
			}
			j.checkBlame(t, c.want, c.judged)
			st := sub.Stats()
			if int(st.Published) != c.passed {
				t.Errorf("%d passed, want %d", st.Published, c.passed)
			}
			if c.passed > 0 {
				e := <-sub.C()
				if e.From != string(peer.ID("peer")) || e.Size != len(c.data) || e.Msg.Cid() != block.Cid() || time.Since(e.At) > time.Minute {
					t.Errorf("envelope %+v", e)
				}
			}
		})
	}
}

// A block is handed on once; when the queue had no room it may come again.
func TestBlockOnce(t *testing.T) {
	chain := chaintest.New(t)
	d := dispatch.New()
	defer d.Close()
	j := judge{verdict: gossip.Accept}
	g := j.gate(d)
	send := func(miner uint64) gossip.Verdict {
		return g.Validators().Block(t.Context(), "peer", encode(t, announce(t, chain.Block(chain.Genesis(), 1, miner, "a"))))
	}
	if v := send(1); v != gossip.Accept { // nobody listens yet
		t.Errorf("verdict %s", v)
	}
	sub, err := dispatch.Subscribe(d, g.Blocks, dispatch.SubOptions[*types.BlockMsg]{Queue: 1, MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []gossip.Verdict{gossip.Accept, gossip.Ignore} {
		if v := send(1); v != want {
			t.Errorf("time %d: verdict %s, want %s", i, v, want)
		}
	}
	if v := send(2); v != gossip.Accept || sub.Stats().Dropped != 1 {
		t.Errorf("a full queue: verdict %s, %+v", v, sub.Stats())
	}
	<-sub.C()
	for sub.Stats().Queued > 0 { // the pump notes the hand-over a moment later
	}
	if v := send(2); v != gossip.Accept {
		t.Errorf("a dropped block: verdict %s", v)
	}
	g.Published(chain.Block(chain.Genesis(), 1, 3, "a").Cid())
	if v := send(3); v != gossip.Ignore {
		t.Errorf("the echo of an own block: verdict %s", v)
	}
}

func TestMessages(t *testing.T) {
	fine := chaintest.Signed("a")
	large := chaintest.Signed("b")
	large.Message.Params = make([]byte, 70<<10)
	for _, c := range []struct {
		name   string
		data   []byte
		judge  gossip.Verdict
		want   gossip.Verdict
		judged int
	}{
		{"good", encode(t, fine), gossip.Accept, gossip.Accept, 1},
		{"nonce gap", encode(t, fine), gossip.Ignore, gossip.Ignore, 1},
		{"bad signature", encode(t, fine), gossip.Reject, gossip.Reject, 1},
		{"garbage", []byte("garbage"), gossip.Accept, gossip.Reject, 0},
		{"too large", encode(t, large), gossip.Accept, gossip.Reject, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // a validator waits for ten seconds at most
				d := dispatch.New()
				defer d.Close()
				j := judge{verdict: c.judge}
				g := j.gate(d)
				open(t, g)
				if got := g.Validators().Message(t.Context(), "peer", c.data); got != c.want || j.messages != c.judged {
					t.Errorf("verdict %s, judged %d times", got, j.messages)
				}
				j.checkBlame(t, c.want, c.judged)
				if st := d.Topics(); len(st) != 1 || st[0].Topic != "messages" || int(st[0].Published) != c.judged {
					t.Errorf("the dispatcher saw %+v", st)
				}
			})
		})
	}
}

// open runs a gate until the test ends.
func open(t testing.TB, g *inbound.Gate) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-g.Ready()
}

// A peer that floods the gate with messages while their check stands still loses its own, the
// others' are judged, and nobody's validator waits for ever.
func TestMessageFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dispatch.New()
		defer d.Close()
		gate, judgedOf := make(chan struct{}), make(map[byte]int)
		var mu sync.Mutex
		g := inbound.New(inbound.Checks{
			Message: func(_ context.Context, m *types.SignedMessage) (gossip.Verdict, error) {
				<-gate
				mu.Lock()
				defer mu.Unlock()
				judgedOf[m.Message.Params[0]]++
				return gossip.Accept, nil
			},
		}, d, clock.System{}, hosttest.Quiet())
		v := g.Validators().Message
		m := func(from byte) []byte {
			x := chaintest.Signed("x")
			x.Message.Params = bytes.Repeat([]byte{from}, 60<<10)
			return encode(t, x)
		}
		if got := v(t.Context(), "a", m('a')); got != gossip.Ignore {
			t.Errorf("before Run: %s", got)
		}
		open(t, g)
		var work sync.WaitGroup
		var verdicts [3]atomic.Int64
		send := func(from string, n int) {
			for range n {
				work.Go(func() { verdicts[v(t.Context(), peer.ID(from), m(from[0]))].Add(1) })
			}
		}
		send("flooder", 1000) // 60 MB, and 16 MiB are kept
		synctest.Wait()
		send("neighbour", 20)
		synctest.Wait()
		close(gate)
		begin := time.Now()
		work.Wait()
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("validators waited for %s", took)
		}
		if judgedOf['n'] != 20 || judgedOf['f'] == 0 || judgedOf['f'] > 300 {
			t.Errorf("judged %d of the neighbour's, %d of the flooder's", judgedOf['n'], judgedOf['f'])
		}
		st := d.Topics()[0]
		if verdicts[gossip.Reject].Load() != 0 || verdicts[gossip.Accept].Load() != int64(st.Delivered) || verdicts[gossip.Ignore].Load() != int64(st.Dropped) {
			t.Errorf("%d accepted, %d ignored, counted %+v", verdicts[gossip.Accept].Load(), verdicts[gossip.Ignore].Load(), st)
		}
	})
}

func FuzzBlock(f *testing.F) {
	chain := chaintest.New(f)
	f.Add(encode(f, announce(f, chain.Block(chain.Genesis(), 1, 1, "a"))))
	f.Add(encode(f, announce(f, chain.Block(chain.Genesis(), abi.ChainEpoch(1)<<40, 2, "b"))))
	j := judge{verdict: gossip.Accept}
	v := j.gate(dispatch.New()).Validators()
	f.Fuzz(func(t *testing.T, data []byte) {
		if v.Block(t.Context(), "peer", data) != gossip.Accept {
			return
		}
		m, err := types.DecodeBlockMsg(data)
		if err != nil {
			t.Fatalf("took what does not decode: %v", err)
		}
		if again := encode(t, m); !bytes.Equal(again, data) {
			if _, err := types.DecodeBlockMsg(again); err != nil {
				t.Fatalf("its own encoding does not decode: %v", err)
			}
		}
	})
}

func FuzzMessage(f *testing.F) {
	f.Add(encode(f, chaintest.Signed("a")))
	j := judge{verdict: gossip.Accept}
	g := j.gate(dispatch.New())
	open(f, g)
	v := g.Validators()
	f.Fuzz(func(t *testing.T, data []byte) {
		if v.Message(t.Context(), "peer", data) == gossip.Accept {
			if _, err := types.DecodeSignedMessage(data); err != nil {
				t.Fatalf("took what does not decode: %v", err)
			}
		}
	})
}
