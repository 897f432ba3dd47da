package exchange

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/chain/sync/chaintest"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/dispatch"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/host/hosttest"
	"github.com/lodenet/lode/network/peers"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// A library logs through a goroutine that it starts when it is loaded.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/ipfs/go-log/writer.(*MirrorWriter).logRoutine"))
}

// session is a session layer that notes what it is told.
type session struct {
	mu     sync.Mutex
	peers  []peer.ID
	faults map[peer.ID][]peers.Fault // guarded by mu
	useful map[peer.ID]int           // guarded by mu
}

func (s *session) ReadyPeers() []peer.ID { return s.peers }

func (s *session) Report(p peer.ID, f peers.Fault, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faults == nil {
		s.faults = make(map[peer.ID][]peers.Fault)
	}
	s.faults[p] = append(s.faults[p], f)
}

func (s *session) Useful(p peer.ID, _ float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.useful == nil {
		s.useful = make(map[peer.ID]int)
	}
	s.useful[p]++
}

func serve(t *testing.T, h *host.Host, chain Chain) *Server {
	t.Helper()
	return serveTo(t, h, chain, &session{})
}

// serveTo is serve with a session layer that hears of bad requests.
func serveTo(t *testing.T, h *host.Host, chain Chain, blame *session) *Server {
	t.Helper()
	s := NewServer(h, chain, dispatch.New(), blame.Report, hosttest.Quiet())
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	<-s.Ready()
	return s
}

// pair is a client that is connected to servers of other chains.
func pair(t *testing.T, chains ...Chain) (*Client, *session, []*host.Host) {
	t.Helper()
	hosts := hosttest.Simulated(t, 1+len(chains), 30*time.Millisecond)
	hosttest.Listen(t, hosts...)
	s := &session{}
	for i, c := range chains {
		if c != nil {
			serve(t, hosts[1+i], c)
		}
		hosttest.Connect(t, hosts[0], hosts[1+i])
		s.peers = append(s.peers, hosts[1+i].ID())
	}
	answers, err := NewDesk(dispatch.New())
	if err != nil {
		t.Fatal(err)
	}
	return NewClient(hosts[0], s, ClientOptions{Answers: answers}, clock.System{}, hosttest.Quiet()), s, hosts
}

func TestHeadersAndMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := chaintest.New(t)
		head := chain.Extend(chain.Genesis(), 30, 3, "a")
		client, s, _ := pair(t, chain)
		got, err := client.Headers(t.Context(), head.Key(), 10)
		if err != nil || len(got) != 10 || !got[0].Equals(head) {
			t.Fatalf("%d headers, %v", len(got), err)
		}
		// Pages join up, and the last one ends at the genesis.
		all := got
		for len(got) == 10 {
			if got, err = client.Headers(t.Context(), all[len(all)-1].Parents(), 10); err != nil {
				t.Fatal(err)
			}
			if !all[len(all)-1].IsChildOf(got[0]) {
				t.Fatal("pages do not join up")
			}
			all = append(all, got...)
		}
		if len(all) != 31 || !all[30].Equals(chain.Genesis()) {
			t.Errorf("%d tipsets down to %s", len(all), all[len(all)-1])
		}
		full, err := client.Messages(t.Context(), all)
		if err != nil || len(full) != MessageBatch {
			t.Fatalf("%d full tipsets, %v", len(full), err)
		}
		for i, f := range full {
			for j, b := range f.Blocks {
				want, secp, err := chain.BlockMessages(t.Context(), all[i].Blocks()[j])
				if err != nil || b.Cid() != all[i].Blocks()[j].Cid() || len(b.BlsMessages) != len(want) ||
					b.BlsMessages[1].Cid() != want[1].Cid() || b.SecpkMessages[0].Cid() != secp[0].Cid() {
					t.Errorf("tipset %d block %d has the wrong messages: %v", i, j, err)
				}
			}
		}
		one, err := client.Full(t.Context(), head.Key())
		if err != nil || len(one.Blocks) != 3 || len(one.Blocks[0].BlsMessages) != 2 {
			t.Errorf("full tipset %+v, %v", one, err)
		}
		if len(s.faults) != 0 || s.useful[s.peers[0]] == 0 {
			t.Errorf("faults %v, useful %v", s.faults, s.useful)
		}
		if none, err := client.Messages(t.Context(), nil); none != nil || err != nil {
			t.Errorf("messages of nothing: %v, %v", none, err)
		}
	})
}

// limited hides the tipsets below a height, as a node started from a snapshot does.
type limited struct {
	*chaintest.Chain
	above int
}

func (l limited) TipSet(ctx context.Context, k types.TipSetKey) (*types.TipSet, error) {
	ts, err := l.Chain.TipSet(ctx, k)
	if err == nil && int(ts.Height()) < l.above {
		return nil, errors.New("not here")
	}
	return ts, err
}

// bodiless has headers from a height on whose messages have not come yet.
type bodiless struct {
	*chaintest.Chain
	from int
}

func (b bodiless) BlockMessages(ctx context.Context, h *types.BlockHeader) ([]*types.Message, []*types.SignedMessage, error) {
	if int(h.Height) >= b.from {
		return nil, nil, fmt.Errorf("messages: %w", ipld.ErrNotFound{Cid: h.Messages})
	}
	return b.Chain.BlockMessages(ctx, h)
}

func TestServerStatuses(t *testing.T) {
	chain := chaintest.New(t)
	head := chain.Extend(chain.Genesis(), 12, 2, "a")
	other := chaintest.NewWith(t, "other").Genesis()
	garbage := cid.NewCidV1(cid.Raw, head.Cids()[0].Hash())
	for _, c := range []struct {
		name    string
		chain   Chain
		req     Request
		status  Status
		tipsets uint64
	}{
		{"all that was asked for", chain, Request{head.Cids(), 5, Headers}, OK, 5},
		{"messages alone", chain, Request{head.Cids(), 5, Messages}, OK, 5},
		{"down to the genesis", chain, Request{head.Cids(), 100, Headers | Messages}, Partial, 13},
		{"exactly to the genesis", chain, Request{head.Cids(), 13, Headers}, OK, 13},
		{"down to what is here", limited{chain, 6}, Request{head.Cids(), 100, Headers}, Partial, 8},
		{"messages are not here", bodiless{chain, 0}, Request{head.Cids(), 5, Headers | Messages}, NotFound, 0},
		{"headers are", bodiless{chain, 0}, Request{head.Cids(), 5, Headers}, OK, 5},
		{"no option", chain, Request{head.Cids(), 5, 0}, BadRequest, 0},
		{"unknown option alone", chain, Request{head.Cids(), 5, 4}, BadRequest, 0},
		{"length 0", chain, Request{head.Cids(), 0, Headers}, BadRequest, 0},
		{"length 901", chain, Request{head.Cids(), 901, Headers}, BadRequest, 0},
		{"no head", chain, Request{nil, 5, Headers}, BadRequest, 0},
		{"head is no block", chain, Request{[]cid.Cid{garbage}, 5, Headers}, BadRequest, 0},
		{"head in the wrong order", chain, Request{[]cid.Cid{head.Cids()[1], head.Cids()[0]}, 5, Headers}, NotFound, 0},
		{"unknown head", chain, Request{other.Cids(), 5, Headers}, NotFound, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewServer(nil, c.chain, dispatch.New(), (&session{}).Report, hosttest.Quiet())
			a := s.answer(t.Context(), &c.req)
			if a.status != c.status || a.n != c.tipsets {
				t.Errorf("%s with %d tipsets, want %s with %d", a.status, a.n, c.status, c.tipsets)
			}
			// What is written by hand is what the generated codec writes and reads.
			var wire, again bytes.Buffer
			if err := a.write(&wire); err != nil {
				t.Fatal(err)
			}
			var r Response
			if err := r.UnmarshalCBOR(bytes.NewReader(wire.Bytes())); err != nil {
				t.Fatal(err)
			}
			if err := r.MarshalCBOR(&again); err != nil || !bytes.Equal(wire.Bytes(), again.Bytes()) {
				t.Errorf("wire differs from the codec's, %v", err)
			}
			err := r.check(&c.req)
			if want := c.status == OK || c.status == Partial; (err == nil) != want {
				t.Errorf("the client says %v", err)
			}
		})
	}
}

func TestServerStopsAtItsBudget(t *testing.T) {
	chain := chaintest.New(t)
	head := chain.Extend(chain.Genesis(), 12, 2, "a")
	s := NewServer(nil, chain, dispatch.New(), (&session{}).Report, hosttest.Quiet())
	s.budget = 3000
	a := s.answer(t.Context(), &Request{head.Cids(), 10, Headers | Messages})
	if a.status != Partial || a.n == 0 || a.n >= 10 || a.chain.Len() > 2*s.budget {
		t.Errorf("%s, %d tipsets, %d bytes", a.status, a.n, a.chain.Len())
	}
	s.budget = 1
	if a = s.answer(t.Context(), &Request{head.Cids(), 10, Headers | Messages}); a.n != 1 {
		t.Errorf("%d tipsets: one comes in any case", a.n)
	}
}

// slow is a chain that waits before it answers.
type slow struct {
	*chaintest.Chain
	gate chan struct{}
}

func (s slow) TipSet(ctx context.Context, k types.TipSetKey) (*types.TipSet, error) {
	select {
	case <-s.gate:
	case <-ctx.Done():
	}
	return s.Chain.TipSet(ctx, k)
}

func TestServerRefusesFloods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := slow{chaintest.New(t), make(chan struct{})}
		client, _, hosts := pair(t, nil)
		server := serve(t, hosts[1], chain)
		var mu sync.Mutex
		var wg sync.WaitGroup
		var fine, away int
		req := &Request{chain.Genesis().Cids(), 1, Headers}
		for range 10 {
			wg.Go(func() {
				r, _, err := client.stream(t.Context(), hosts[1].ID(), req) // without a credit
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil:
					t.Errorf("request: %v", err)
				case r.Status == GoAway:
					away++
				case r.Status == OK:
					fine++
				}
			})
		}
		time.Sleep(time.Second)
		close(chain.gate)
		wg.Wait()
		if fine != maxPeerAnswers || away != 10-maxPeerAnswers {
			t.Errorf("%d answered, %d sent away", fine, away)
		}
		if st := server.dispatcher.Topics(); len(st) != 1 || st[0].Delivered != maxPeerAnswers || st[0].Dropped != uint64(away) {
			t.Errorf("counted %+v", st)
		}
	})
}

// A server that lies, in every way that the rules name; the client must notice, say so to
// the session layer, and get the truth from the next peer.
func TestMaliciousServers(t *testing.T) {
	chain := func(t *testing.T) (*chaintest.Chain, *types.TipSet) {
		c := chaintest.New(t)
		return c, c.Extend(c.Genesis(), 10, 2, "a")
	}
	for _, c := range []struct {
		name  string
		spoil func(req *Request, r *Response)
		fault peers.Fault
	}{
		{"another tipset", func(_ *Request, r *Response) { r.Chain = r.Chain[1:]; r.Status = Partial }, peers.Malformed},
		{"a gap", func(_ *Request, r *Response) { r.Chain = append(r.Chain[:1], r.Chain[2:]...); r.Status = Partial }, peers.Malformed},
		{"too long", func(_ *Request, r *Response) { r.Chain = append(r.Chain, r.Chain[0]) }, peers.Malformed},
		{"short without saying so", func(_ *Request, r *Response) { r.Chain = r.Chain[:2] }, peers.Malformed},
		{"empty", func(_ *Request, r *Response) { r.Chain = nil }, peers.Malformed},
		{"null tipset", func(_ *Request, r *Response) { r.Chain[1] = nil }, peers.Malformed},
		{"null block", func(_ *Request, r *Response) { r.Chain[1].Blocks[0] = nil }, peers.Malformed},
		{"a block twice", func(_ *Request, r *Response) { r.Chain[0].Blocks[1] = r.Chain[0].Blocks[0] }, peers.Malformed},
		{"no messages", func(_ *Request, r *Response) { r.Chain[1].Messages = nil }, peers.Malformed},
		{"index out of range", func(_ *Request, r *Response) { r.Chain[0].Messages.BlsIncludes[0].List[0] = 99 }, peers.Malformed},
		{"includes of too few blocks", func(_ *Request, r *Response) {
			r.Chain[0].Messages.SecpkIncludes = r.Chain[0].Messages.SecpkIncludes[:1]
		}, peers.Malformed},
		{"other messages", func(_ *Request, r *Response) { r.Chain[0].Messages.Bls.List[0].Nonce++ }, peers.Forged},
		{"messages in another order", func(_ *Request, r *Response) {
			l := r.Chain[0].Messages.BlsIncludes[0].List
			l[0], l[1] = l[1], l[0]
		}, peers.Forged},
		{"unknown status", func(_ *Request, r *Response) { r.Status = 7 }, peers.Malformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				good, head := chain(t)
				client, s, hosts := pair(t, nil, good)
				liar := hosts[1]
				honest := NewServer(liar, good, dispatch.New(), (&session{}).Report, hosttest.Quiet())
				liar.SetStreamHandler(Protocol, func(st network.Stream) {
					defer st.Close()
					var req Request
					if err := req.UnmarshalCBOR(st); err != nil {
						return
					}
					a := honest.answer(t.Context(), &Request{req.Head, req.Length, Headers | Messages})
					var buf bytes.Buffer
					var r Response
					if a.write(&buf) != nil || r.UnmarshalCBOR(&buf) != nil {
						t.Error("the honest answer is broken")
						return
					}
					c.spoil(&req, &r)
					_ = r.MarshalCBOR(st)
				})
				err := client.ask(t.Context(), &Request{head.Cids(), 5, Headers | Messages}, []peer.ID{liar.ID()},
					func(r *Response) error {
						got, err := r.headers(&Request{Head: head.Cids()})
						if err != nil {
							return err
						}
						for i, ts := range got {
							if _, err := fill(t.Context(), ts, r.Chain[i].Messages); err != nil {
								return err
							}
						}
						return nil
					})
				if err != nil {
					t.Errorf("the honest peer was not asked: %v", err)
				}
				if f := s.faults[liar.ID()]; len(f) != 1 || f[0] != c.fault {
					t.Errorf("faults %v, want %v", f, c.fault)
				}
				if f := s.faults[hosts[2].ID()]; len(f) != 0 {
					t.Errorf("the honest peer is blamed: %v", f)
				}
			})
		})
	}
}

// Raw misbehaviour of streams.
func TestBrokenStreams(t *testing.T) {
	for _, c := range []struct {
		name   string
		handle func(ctx context.Context, st network.Stream)
		faults []peers.Fault
	}{
		{"garbage", func(_ context.Context, st network.Stream) {
			_, _ = st.Write(bytes.Repeat([]byte{0x9f}, 100))
			_ = st.Close()
		}, []peers.Fault{peers.Malformed}},
		{"closes at once", func(_ context.Context, st network.Stream) { _ = st.Close() }, []peers.Fault{peers.Malformed}},
		{"resets", func(_ context.Context, st network.Stream) { _ = st.Reset() }, []peers.Fault{peers.Slow}},
		{"never answers", func(ctx context.Context, _ network.Stream) { <-ctx.Done() }, []peers.Fault{peers.Slow}},
		{"trickles", func(ctx context.Context, st network.Stream) {
			// An endless error message, one byte a second.
			_, _ = st.Write([]byte{0x83, 0x00, 0x79, 0x1f, 0x00})
			for clock.Sleep(ctx, clock.System{}, time.Second) == nil {
				if _, err := st.Write([]byte{'a'}); err != nil {
					return
				}
			}
		}, []peers.Fault{peers.Slow}},
		{"refuses", func(_ context.Context, st network.Stream) {
			_ = (&Response{Status: GoAway}).MarshalCBOR(st)
			_ = st.Close()
		}, nil},
		{"does not know what it announced", func(_ context.Context, st network.Stream) {
			_ = (&Response{Status: InternalError}).MarshalCBOR(st)
			_ = st.Close()
		}, []peers.Fault{peers.Missing}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, s, hosts := pair(t, nil)
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				defer wg.Wait()
				defer cancel()
				hosts[1].SetStreamHandler(Protocol, func(st network.Stream) {
					wg.Add(1)
					defer wg.Done()
					_, _ = io.Copy(io.Discard, st)
					c.handle(ctx, st)
				})
				key := chaintest.New(t).Genesis().Key()
				start := time.Now()
				_, err := client.Headers(t.Context(), key, 5, hosts[1].ID())
				if !errors.Is(err, ErrUnavailable) {
					t.Errorf("got %v", err)
				}
				if took := time.Since(start); took > 35*time.Second {
					t.Errorf("gave up only after %s", took)
				}
				if f := s.faults[hosts[1].ID()]; fmt.Sprint(f) != fmt.Sprint(c.faults) {
					t.Errorf("faults %v, want %v", f, c.faults)
				}
			})
		})
	}
}

func TestNobodyToAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, s, hosts := pair(t)
		key := chaintest.New(t).Genesis().Key()
		if _, err := client.Headers(t.Context(), key, 5); !errors.Is(err, ErrNoPeers) {
			t.Errorf("without peers: %v", err)
		}
		if _, err := client.Headers(t.Context(), types.TipSetKey{}, 5); !errors.Is(err, ErrMalformed) {
			t.Errorf("without a key: %v", err)
		}
		// A peer that has gone is nobody's fault, and is not dialled.
		s.peers = []peer.ID{hosttest.New(t, 99, host.Options{}).ID()}
		if _, err := client.Headers(t.Context(), key, 5); !errors.Is(err, ErrUnavailable) || len(s.faults) != 0 {
			t.Errorf("a peer that has gone: %v, faults %v", err, s.faults)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := client.Full(ctx, key); !errors.Is(err, context.Canceled) || len(s.faults) != 0 {
			t.Errorf("given up: %v, faults %v", err, s.faults)
		}
		_ = hosts
	})
}

func TestTrackerOrder(t *testing.T) {
	var tr tracker
	now := time.Unix(0, 0)
	for range 20 {
		tr.done("fast", now, 10*time.Millisecond, true)
		tr.done("slow", now, 500*time.Millisecond, true)
		tr.done("flaky", now, 10*time.Millisecond, false)
	}
	got := tr.sorted([]peer.ID{"slow", "flaky", "new", "fast"}, []peer.ID{"", "asked", "asked"})
	if want := []peer.ID{"asked", "fast", "new", "flaky", "slow"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("order %v, want %v", got, want)
	}
	for i := range 3 * maxTracked {
		tr.done(peer.ID(fmt.Sprint(i)), now.Add(time.Duration(i)), time.Second, true)
	}
	if len(tr.peers) > maxTracked {
		t.Errorf("%d peers are tracked", len(tr.peers))
	}
}

// Nobody is quick enough: then our line is slow. What an answer must bring is lowered until
// one passes, and raised again by quick ones (P-10).
func TestP10FloorFollowsTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := chaintest.New(t)
		head := chain.Extend(chain.Genesis(), 120, 3, "a")
		client, s, hosts := pair(t, nil)
		server := NewServer(hosts[1], chain, dispatch.New(), (&session{}).Report, hosttest.Quiet())
		var wg sync.WaitGroup
		defer wg.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		const slow, piece = 2 << 10, 256 // bytes a second, and at once
		hosts[1].SetStreamHandler(Protocol, func(st network.Stream) {
			wg.Add(1)
			defer wg.Done()
			defer st.Close()
			var req Request
			if err := req.UnmarshalCBOR(st); err != nil {
				return
			}
			a := server.answer(ctx, &req)
			var all bytes.Buffer
			if err := a.write(&all); err != nil {
				t.Error(err)
			}
			for all.Len() > 0 && clock.Sleep(ctx, clock.System{}, time.Second*piece/slow) == nil {
				if _, err := st.Write(all.Next(piece)); err != nil {
					return
				}
			}
		})
		tries := 0
		for ; ; tries++ {
			got, err := client.Headers(t.Context(), head.Key(), 100)
			if err == nil {
				if len(got) != 100 {
					t.Errorf("got %d headers", len(got))
				}
				break
			}
			if !errors.Is(err, ErrUnavailable) || tries == 10 {
				t.Fatalf("try %d: %v", tries, err)
			}
		}
		if low := client.floor.Load(); tries == 0 || low > 2*slow || low < leastRate { // twice, for the one that passed
			t.Errorf("after %d failures the floor is %d", tries, low)
		}
		if n := len(s.faults[hosts[1].ID()]); n != tries {
			t.Errorf("%d faults for %d failures", n, tries)
		}
		for range 10 {
			if _, err := client.Headers(t.Context(), head.Key(), 1); err != nil {
				t.Fatal(err)
			}
		}
		if got := client.floor.Load(); got != defaultRate {
			t.Errorf("after quick answers the floor is %d", got)
		}
	})
}
