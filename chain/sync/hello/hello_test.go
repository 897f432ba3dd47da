package hello

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filecoin-project/go-state-types/big"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/chain/sync/chaintest"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/host/hosttest"
	"github.com/lodenet/lode/network/peers"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// A library logs through a goroutine that it starts when it is loaded.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/ipfs/go-log/writer.(*MirrorWriter).logRoutine"))
}

// node greets with a chain and collects the heads it hears of.
type node struct {
	*Service
	host  *host.Host
	heads chan Head
}

func newNode(t *testing.T, h *host.Host, chain Chain) *node {
	t.Helper()
	n := &node{host: h, heads: make(chan Head, 100)}
	n.Service = New(h, chain, chaintest.Weigh, func(h Head) { n.heads <- h }, 0, clock.System{}, hosttest.Quiet())
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := n.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	<-n.Ready()
	return n
}

func TestGreeting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 2, 50*time.Millisecond)
		hosttest.Listen(t, hosts...)
		long, short := chaintest.New(t), chaintest.New(t)
		head := long.Extend(long.Genesis(), 7, 2, "a")
		a, b := newNode(t, hosts[0], long), newNode(t, hosts[1], short)
		hosttest.Connect(t, hosts[0], hosts[1])
		met, err := a.Greet(t.Context(), hosts[1].ID())
		if err != nil {
			t.Fatal(err)
		}
		if met.Latency < 100*time.Millisecond || met.Latency > 200*time.Millisecond || met.Offset.Abs() > time.Second {
			t.Errorf("%+v over 50 ms each way", met)
		}
		if g := <-b.Greetings(); g.Err != nil || g.Peer != hosts[0].ID() {
			t.Errorf("greeting %+v", g)
		}
		weight, _ := chaintest.Weigh(t.Context(), head)
		if h := <-b.heads; h.Peer != hosts[0].ID() || h.Key != head.Key() || h.Height != head.Height() || !h.Weight.Equals(weight) {
			t.Errorf("head %+v", h)
		}
		// The other way: a genesis is no head to follow.
		if _, err := b.Greet(t.Context(), hosts[0].ID()); err != nil {
			t.Fatal(err)
		}
		if g := <-a.Greetings(); g.Err != nil {
			t.Errorf("greeting %+v", g)
		}
		synctest.Wait()
		if len(a.heads) != 0 {
			t.Error("a genesis was announced as a head")
		}
	})
}

// A peer that answered and closed the stream before we closed our half, as one does when our
// machine is busy, answered all the same.
func TestAnsweredAndClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 2, 50*time.Millisecond)
		hosttest.Listen(t, hosts...)
		chain := chaintest.New(t)
		newNode(t, hosts[1], chain)
		hosttest.Connect(t, hosts[0], hosts[1])
		a := New(hosttest.Late{Host: hosts[0]}, chain, chaintest.Weigh, nil, 0, clock.System{}, hosttest.Quiet())
		if _, err := a.Greet(t.Context(), hosts[1].ID()); err != nil {
			t.Error(err)
		}
	})
}

// The session layer and the greeting together: two networks end without a connection, one
// network ends Ready.
func TestGenesisDecides(t *testing.T) {
	for _, c := range []struct {
		other string
		ready int
	}{{"genesis", 1}, {"another", 0}} {
		t.Run(c.other, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hosts := hosttest.Simulated(t, 2, 50*time.Millisecond)
				hosttest.Listen(t, hosts...)
				chains := []*chaintest.Chain{chaintest.New(t), chaintest.NewWith(t, c.other)}
				var managers []*peers.Manager
				for i, h := range hosts {
					chains[i].Extend(chains[i].Genesis(), 3, 1, "a")
					n := newNode(t, h, chains[i])
					m := peers.New(h, peers.NewBans(clock.System{}), n,
						peers.Options{Bootstrap: []peer.AddrInfo{hosttest.Info(hosts[1-i])}}, clock.System{}, hosttest.Quiet())
					ctx, cancel := context.WithCancel(t.Context())
					var wg sync.WaitGroup
					wg.Go(func() { _ = m.Run(ctx) })
					t.Cleanup(func() { cancel(); wg.Wait() })
					managers = append(managers, m)
				}
				time.Sleep(30 * time.Second)
				var genesis uint64
				for i, m := range managers {
					if n := len(m.ReadyPeers()); n != c.ready {
						t.Errorf("node %d has %d Ready peers, want %d: %+v", i, n, c.ready, m.Peers())
					}
					genesis += m.Drops()[peers.ReasonGenesis]
				}
				if (genesis > 0) != (c.ready == 0) {
					t.Errorf("%d peers dropped for their genesis", genesis)
				}
				if c.ready == 0 && len(hosts[0].Network().Peers()) != 0 {
					t.Error("two networks are connected")
				}
				for i, m := range managers {
					until, banned := m.Bans().Banned(hosts[1-i].ID())
					if banned != (c.ready == 0) || banned && (time.Until(until) < 23*time.Hour || time.Until(until) > 24*time.Hour) {
						t.Errorf("node %d bans the other until %s, %t", i, until, banned)
					}
				}
			})
		})
	}
}

// What a peer may send instead of a greeting, and what becomes of it.
func TestBadGreetings(t *testing.T) {
	chain := chaintest.New(t)
	key := chain.Extend(chain.Genesis(), 2, 2, "a").Cids()
	fine := Message{HeaviestTipSet: key, HeaviestTipSetHeight: 2, HeaviestTipSetWeight: big.NewInt(1), GenesisHash: chain.Genesis().Cids()[0]}
	s := New(nil, chain, chaintest.Weigh, nil, 0, clock.System{}, hosttest.Quiet())
	if _, err := s.check("p", &fine); err != nil {
		t.Fatalf("a fine greeting: %v", err)
	}
	for name, spoil := range map[string]func(m *Message){
		"no head":         func(m *Message) { m.HeaviestTipSet = nil },
		"head is no CID":  func(m *Message) { m.HeaviestTipSet = []cid.Cid{cid.NewCidV1(cid.Raw, key[0].Hash())} },
		"negative height": func(m *Message) { m.HeaviestTipSetHeight = -1 },
		"negative weight": func(m *Message) { m.HeaviestTipSetWeight = big.NewInt(-1) },
		"no weight":       func(m *Message) { m.HeaviestTipSetWeight = big.Int{} },
		"another genesis": func(m *Message) { m.GenesisHash = key[0] },
	} {
		t.Run(name, func(t *testing.T) {
			m := fine
			spoil(&m)
			_, err := s.check("p", &m)
			if err == nil {
				t.Fatal("was taken")
			}
			var d *peers.DropError
			if errors.As(err, &d) != (name == "another genesis") || errors.Is(err, ErrGenesis) != (name == "another genesis") {
				t.Errorf("error %v", err)
			}
			var buf bytes.Buffer
			if m.HeaviestTipSetWeight.Int == nil || m.MarshalCBOR(&buf) != nil {
				return // that cannot be sent
			}
			_, err = s.read("p", &buf)
			if errors.As(err, &d); d == nil || d.Malformed == (name == "another genesis") {
				t.Errorf("sent as bytes: %v", err)
			}
		})
	}
	s.ban = time.Minute // as the settings may say
	other := fine
	other.GenesisHash = key[0]
	var d *peers.DropError
	if _, err := s.check("p", &other); !errors.As(err, &d) || d.Ban != time.Minute {
		t.Errorf("error %v", err)
	}
	many := fine
	for range 200 {
		many.HeaviestTipSet = append(many.HeaviestTipSet, key[0])
	}
	if err := many.MarshalCBOR(io.Discard); err == nil {
		t.Error("a greeting with 200 CIDs was encoded")
	}
}

// A peer that does not answer, or answers nonsense, costs its handshake; nonsense is charged.
func TestBrokenStreams(t *testing.T) {
	for name, handle := range map[string]network.StreamHandler{
		"resets":        func(s network.Stream) { _ = s.Reset() },
		"closes":        func(s network.Stream) { _ = s.Close() },
		"never answers": func(s network.Stream) { _, _ = io.Copy(io.Discard, s) },
		"nonsense":      func(s network.Stream) { _, _ = s.Write([]byte{0xff, 0xff, 0xff}); _ = s.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hosts := hosttest.Simulated(t, 2, 50*time.Millisecond)
				hosttest.Listen(t, hosts...)
				a := newNode(t, hosts[0], chaintest.New(t))
				hosts[1].SetStreamHandler(Protocol, handle)
				hosttest.Connect(t, hosts[0], hosts[1])
				start := time.Now()
				_, err := a.Greet(t.Context(), hosts[1].ID())
				if err == nil {
					t.Error("was taken for an answer")
				}
				var bad *peers.DropError
				if charged := errors.As(err, &bad) && bad.Malformed; charged != (name == "nonsense") {
					t.Errorf("charged: %t, for %v", charged, err)
				}
				if took := time.Since(start); took > 11*time.Second {
					t.Errorf("took %s", took)
				}
			})
		})
	}
	t.Run("greets with garbage", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			hosts := hosttest.Simulated(t, 2, 50*time.Millisecond)
			hosttest.Listen(t, hosts...)
			a := newNode(t, hosts[0], chaintest.New(t))
			hosttest.Connect(t, hosts[1], hosts[0])
			s, err := hosts[1].NewStream(t.Context(), hosts[0].ID(), Protocol)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Write([]byte(strings.Repeat("x", 100))); err != nil {
				t.Fatal(err)
			}
			if g := <-a.Greetings(); g.Err == nil || g.Err.Reason != peers.ReasonHello || g.Err.Ban != 0 || !g.Err.Malformed {
				t.Errorf("greeting %+v", g)
			}
			// And one that begins and goes silent.
			if s, err = hosts[1].NewStream(t.Context(), hosts[0].ID(), Protocol); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Write([]byte{0x84}); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			if g := <-a.Greetings(); g.Err == nil || g.Err.Malformed || time.Since(start) > 11*time.Second {
				t.Errorf("greeting %+v after %s", g, time.Since(start))
			}
		})
	})
}

func TestOffset(t *testing.T) {
	t0 := time.Unix(1000, 0)
	for _, c := range []struct {
		a    Answer
		want time.Duration
	}{
		{Answer{t0.UnixNano(), t0.UnixNano()}, 0},
		{Answer{t0.Add(-9 * time.Second).UnixNano(), t0.Add(-9 * time.Second).UnixNano()}, 9 * time.Second},
	} {
		if got := offset(t0, t0, c.a); got != c.want {
			t.Errorf("offset %s, want %s", got, c.want)
		}
	}
	if got := offset(t0, t0, Answer{math.MinInt64, math.MinInt64}); got < time.Hour {
		t.Errorf("offset of an absurd answer: %s", got)
	}
}

func FuzzMessage(f *testing.F) {
	chain := chaintest.New(f)
	head := chain.Extend(chain.Genesis(), 2, 2, "a")
	var buf bytes.Buffer
	m := Message{head.Cids(), head.Height(), big.NewInt(9), chain.Genesis().Cids()[0]}
	if err := m.MarshalCBOR(&buf); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes())
	f.Add(buf.Bytes()[:20])
	s := New(nil, chain, chaintest.Weigh, nil, 0, clock.System{}, hosttest.Quiet())
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := s.read("p", bytes.NewReader(b))
		if err == nil && (h.Key.IsEmpty() || h.Height < 0 || h.Weight.Sign() < 0) {
			t.Fatalf("took %+v", h)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	var buf bytes.Buffer
	if err := (&Answer{1, 2}).MarshalCBOR(&buf); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		var a Answer
		if a.UnmarshalCBOR(bytes.NewReader(b)) == nil {
			offset(time.Unix(0, 0), time.Unix(1, 0), a)
		}
	})
}
