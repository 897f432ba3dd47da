package tunnel

import (
	"bufio"
	"context"
	"crypto/rand"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/host/hosttest"
)

func hostOptions(listen string) host.Options {
	return host.Options{Listen: []ma.Multiaddr{ma.StringCast(listen)}, Version: "test"}
}

// kuboOffer answers streams as Kubo's ipfs p2p listen does: one handler under /x/, and both
// ends closed as soon as one direction has ended.
func kuboOffer(t *testing.T, h *host.Host, name protocol.ID, to string) {
	h.SetStreamHandlerMatch("/x/", func(p protocol.ID) bool { return p == name }, func(s network.Stream) {
		c, err := net.Dial("tcp4", to)
		if err != nil {
			_ = s.Reset()
			return
		}
		kuboCopy(s, c)
	})
	t.Cleanup(func() { h.RemoveStreamHandler("/x/") })
}

func kuboCopy(s network.Stream, c net.Conn) {
	var work sync.WaitGroup
	for _, way := range []struct {
		to   io.Writer
		from io.Reader
	}{{s, c}, {c, s}} {
		work.Go(func() {
			_, err := io.Copy(way.to, way.from)
			_ = c.Close()
			if err != nil {
				_ = s.Reset()
			} else {
				_ = s.Close()
			}
		})
	}
	work.Wait()
}

// TestT01KuboListens: a peer that behaves as Kubo offers, lode forwards.
func TestT01KuboListens(t *testing.T) {
	for name, listen := range transports {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, listen, Options{})
			kubo := hosttest.New(t, 7, hostOptions(listen))
			hosttest.Listen(t, kubo)
			kuboOffer(t, kubo, "/x/kubo", target(t, echo))
			at, err := p.client.Forward(t.Context(), Forward{Protocol: "/x/kubo", Listen: "/ip4/127.0.0.1/tcp/0", Peer: hosttest.Info(kubo)})
			require.NoError(t, err)
			for range 3 {
				c := dialTCP(t, dialable(t, at))
				want := random(1 << 20)
				go func() { _, _ = c.Write(want) }()
				got := make([]byte, len(want))
				_, err = io.ReadFull(c, got)
				require.NoError(t, err)
				require.Equal(t, want, got)
				require.NoError(t, c.Close())
				p.settle(t)
			}
		})
	}
}

// TestT01KuboForwards: a peer that behaves as Kubo forwards to an offer of lode.
func TestT01KuboForwards(t *testing.T) {
	for name, listen := range transports {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, listen, Options{})
			require.NoError(t, p.server.Listen(t.Context(), Offer{Protocol: proto, Target: target(t, echo), AllowAny: true}))
			s, err := p.hosts[1].NewStream(t.Context(), p.hosts[0].ID(), proto)
			require.NoError(t, err)
			near, far := net.Pipe()
			var work sync.WaitGroup
			work.Go(func() { kuboCopy(s, far) })
			want := random(1 << 20)
			work.Go(func() { _, _ = near.Write(want) })
			got := make([]byte, len(want))
			_, err = io.ReadFull(near, got)
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.NoError(t, near.Close())
			work.Wait()
			p.settle(t)
		})
	}
}

// TestT01PeerLine: the target learns who calls, in Kubo's form, and the caller sees nothing.
func TestT01PeerLine(t *testing.T) {
	for name, newKey := range map[string]func() (crypto.PrivKey, error){
		"Ed25519": func() (crypto.PrivKey, error) { return host.NewKey(rand.Reader) },
		"RSA": func() (crypto.PrivKey, error) {
			k, _, err := crypto.GenerateRSAKeyPair(2048, rand.Reader)
			return k, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, transports["TCP"], Options{})
			key, err := newKey()
			require.NoError(t, err)
			h, err := host.New(host.Options{Key: key})
			require.NoError(t, err)
			defer h.Close()
			lines := make(chan string, 1)
			to := target(t, func(c *net.TCPConn) {
				r := bufio.NewReader(c)
				line, _ := r.ReadString('\n')
				lines <- line
				_, _ = io.Copy(c, r)
			})
			require.NoError(t, p.server.Listen(t.Context(), Offer{Protocol: proto, Target: to, AllowAny: true, ReportPeerID: true}))
			hosttest.Connect(t, h, p.hosts[0])
			s, err := h.NewStream(t.Context(), p.hosts[0].ID(), proto)
			require.NoError(t, err)
			_, err = s.Write([]byte("hello"))
			require.NoError(t, err)
			require.NoError(t, s.CloseWrite())
			b, err := io.ReadAll(s)
			require.NoError(t, err)
			require.Equal(t, "hello", string(b))
			require.Equal(t, h.ID().String()+"\n", <-lines)
			p.settle(t)
		})
	}
}

func TestT01Names(t *testing.T) {
	for name, c := range map[string]struct {
		proto  string
		custom bool
		want   string // of the error; empty for none
	}{
		"usual":           {"/x/ssh", false, ""},
		"deep":            {"/x/a/b/c", false, ""},
		"outside":         {"/ssh", false, "within '/x/' namespace"},
		"outside, custom": {"/ssh", true, ""},
		"http of Kubo":    {"/http", true, ""},
		"empty":           {"", true, "empty"},
		"one byte":        {"x", true, ""},
		"four KiB":        {"/x/" + strings.Repeat("a", 4<<10), false, "too long"},
		"a KiB":           {"/x/" + strings.Repeat("a", 1020), false, ""},
		"newline":         {"/x/a\nb", false, "control"},
		"space":           {"/x/a b", false, "spaces"},
		"broken":          {"/x/\xff", false, "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckName(c.proto, c.custom)
			if c.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, ErrName)
				require.ErrorContains(t, err, c.want)
			}
		})
	}
}

// TestT01LongNameWorks: the longest name that is taken is also carried.
func TestT01LongNameWorks(t *testing.T) {
	p := newPair(t, transports["TCP"], Options{})
	name := protocol.ID(Prefix + strings.Repeat("a", maxName-len(Prefix)))
	require.NoError(t, p.server.Listen(t.Context(), Offer{Protocol: name, Target: target(t, echo), AllowAny: true}))
	at, err := p.client.Forward(t.Context(), Forward{Protocol: name, Listen: "127.0.0.1:0", Peer: peer.AddrInfo{ID: p.hosts[0].ID()}})
	require.NoError(t, err)
	roundTrip(t, dialable(t, at), 100)
	p.settle(t)
}

func TestT04Limits(t *testing.T) {
	p := newPair(t, transports["TCP"], Options{Limits: Limits{Listeners: 2, Streams: 3, PerPeer: 2}})
	at := p.tunnel(t, target(t, echo))
	conns := []*net.TCPConn{dialTCP(t, at), dialTCP(t, at)}
	eventually(t, "two streams", func() bool { return p.open(t, p.client) == 2 })
	require.NoError(t, refused(at), "the third connection must be refused")
	require.EqualValues(t, 1, ends(t, p.client, ReasonPerPeer))
	for _, c := range conns { // those within the limit work on
		_, err := exchange(c, []byte("x"))
		require.NoError(t, err)
	}
	p.settle(t)
	roundTrip(t, at, 10)

	// The total, on the server's side, from another peer.
	p.settle(t)
	other := hosttest.New(t, 5, hostOptions(transports["TCP"]))
	hosttest.Connect(t, other, p.hosts[0])
	open := func(h *host.Host) network.Stream {
		s, err := h.NewStream(t.Context(), p.hosts[0].ID(), proto)
		require.NoError(t, err)
		_, err = s.Write([]byte("x"))
		require.NoError(t, err)
		t.Cleanup(func() { _ = s.Reset() })
		return s
	}
	for _, h := range []*host.Host{p.hosts[1], p.hosts[1], other} {
		s := open(h)
		_, err := io.ReadFull(s, make([]byte, 1))
		require.NoError(t, err)
	}
	_, err := io.ReadFull(open(other), make([]byte, 1))
	require.Error(t, err)
	require.EqualValues(t, 1, ends(t, p.server, ReasonTotal))

	require.NoError(t, p.server.Listen(t.Context(), Offer{Protocol: "/x/b", Target: "127.0.0.1:1"}))
	require.ErrorIs(t, p.server.Listen(t.Context(), Offer{Protocol: "/x/c", Target: "127.0.0.1:1"}), ErrTooMany)
	_, err = p.server.Forward(t.Context(), Forward{Protocol: "/x/c", Listen: "127.0.0.1:0", Peer: peer.AddrInfo{ID: other.ID()}})
	require.ErrorIs(t, err, ErrTooMany)
}

func TestT04TargetRefuses(t *testing.T) {
	p := newPair(t, transports["TCP"], Options{})
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close()) // nobody is there
	at := p.tunnel(t, l.Addr().String())
	require.NoError(t, refused(at))
	p.settle(t)
	require.EqualValues(t, 1, ends(t, p.server, ReasonTarget))
}

func TestT04TimeLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, server, client := simulated(t, Options{})
		server.deaf = true
		begin := time.Now()
		local := client.Connect()
		_, err := local.Read(make([]byte, 1))
		require.ErrorIs(t, err, errReset)
		require.InDelta(t, 10*time.Second, time.Since(begin), float64(time.Second), "a target gets ten seconds")
		require.EqualValues(t, 1, ends(t, p.server, ReasonTarget))

		// A peer that accepts streams and says nothing.
		p.hosts[0].Network().SetStreamHandler(func(network.Stream) {})
		require.NoError(t, p.hosts[1].Peerstore().RemoveProtocols(p.hosts[0].ID(), proto))
		begin = time.Now()
		local = client.Connect()
		_, err = local.Read(make([]byte, 1))
		require.ErrorIs(t, err, errReset)
		require.InDelta(t, 30*time.Second, time.Since(begin), float64(time.Second), "a stream gets thirty seconds")
		require.EqualValues(t, 1, ends(t, p.client, ReasonOpen))
		p.stopClient()
		p.stopServer()
	})
}

func TestT05Registration(t *testing.T) {
	p := newPair(t, transports["TCP"], Options{})
	offer := Offer{Protocol: proto, Target: "127.0.0.1:1", AllowAny: true}
	require.NoError(t, p.server.Listen(t.Context(), offer))
	require.ErrorIs(t, p.server.Listen(t.Context(), offer), ErrRegistered)

	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	fwd := Forward{Protocol: proto, Listen: taken.Addr().String(), Peer: peer.AddrInfo{ID: p.hosts[0].ID()}}
	_, err = p.client.Forward(t.Context(), fwd)
	require.ErrorContains(t, err, "in use")
	list, err := p.client.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)

	fwd.Listen = "127.0.0.1:0"
	at, err := p.client.Forward(t.Context(), fwd)
	require.NoError(t, err)
	fwd.Listen = dialable(t, at)
	_, err = p.client.Forward(t.Context(), fwd)
	require.ErrorIs(t, err, ErrRegistered)
	require.ErrorContains(t, err, "listener already registered")

	// A failed registration leaves no port open.
	full := New(p.hosts[1], nil, Options{}, p.client.clk, p.client.log)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = full.Forward(ctx, Forward{Protocol: proto, Listen: "127.0.0.1:0", Peer: fwd.Peer})
	require.ErrorIs(t, err, context.Canceled)

	n, err := p.client.Close(t.Context(), Match{ListenAddress: at}, false)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	again, err := net.Listen("tcp4", dialable(t, at))
	require.NoError(t, err, "the port must be free once Close has returned")
	require.NoError(t, again.Close())

	n, err = p.server.Close(t.Context(), Match{Protocol: proto}, false)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, err = p.hosts[1].NewStream(t.Context(), p.hosts[0].ID(), proto)
	require.ErrorContains(t, err, "protocols not supported")
	n, err = p.server.Close(t.Context(), Match{All: true}, false)
	require.NoError(t, err)
	require.Zero(t, n)
	for _, bad := range []Match{{}, {All: true, Protocol: proto}} {
		_, err = p.server.Close(t.Context(), bad, false)
		require.ErrorIs(t, err, ErrNoMatch)
	}
}

// TestT05Removal: set-ups end with their listener, running streams go on unless asked.
func TestT05Removal(t *testing.T) {
	for _, drop := range []bool{false, true} {
		p := newPair(t, transports["TCP"], Options{})
		at := p.tunnel(t, target(t, echo))
		running := dialTCP(t, at)
		_, err := running.Write([]byte("x"))
		require.NoError(t, err)
		_, err = io.ReadFull(running, make([]byte, 1))
		require.NoError(t, err)
		gone, err := p.server.Gone(t.Context(), KindListen, proto)
		require.NoError(t, err)
		_, err = p.server.Close(t.Context(), Match{Protocol: proto}, drop)
		require.NoError(t, err)
		<-gone
		if drop {
			require.NoError(t, broken(running))
		} else {
			got, err := exchange(running, []byte("still there"))
			require.NoError(t, err)
			require.Equal(t, "still there", string(got))
		}
		require.NoError(t, refused(at), "what comes after the removal is refused")
		p.settle(t)
	}
}

func TestT05RemovalDuringSetUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, server, client := simulated(t, Options{})
		server.deaf = true
		local := client.Connect()
		time.Sleep(time.Second)
		synctest.Wait()
		streams, err := p.server.Streams(t.Context())
		require.NoError(t, err)
		require.Len(t, streams, 1)
		require.False(t, streams[0].Set)
		begin := time.Now()
		_, err = p.server.Close(t.Context(), Match{Protocol: proto}, false)
		require.NoError(t, err)
		_, err = local.Read(make([]byte, 1))
		require.ErrorIs(t, err, errReset)
		require.Less(t, time.Since(begin), time.Second)
		require.EqualValues(t, 1, ends(t, p.server, ReasonClosed))
		p.stopClient()
		p.stopServer()
	})
}

// TestT06Disconnect: a peer that goes takes its streams along.
func TestT06Disconnect(t *testing.T) {
	for name, listen := range transports {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, listen, Options{})
			at := p.tunnel(t, target(t, echo))
			var conns []*net.TCPConn
			for range 20 {
				c := dialTCP(t, at)
				_, err := c.Write([]byte("x"))
				require.NoError(t, err)
				_, err = io.ReadFull(c, make([]byte, 1))
				require.NoError(t, err)
				conns = append(conns, c)
			}
			tagOf := func() int { return p.hosts[0].ConnManager().GetTagInfo(p.hosts[1].ID()).Tags[tag] }
			require.Equal(t, tagWeight, tagOf())
			require.NoError(t, p.hosts[1].Network().ClosePeer(p.hosts[0].ID()))
			for _, c := range conns {
				require.NoError(t, broken(c))
			}
			p.settle(t)
			info := p.hosts[0].ConnManager().GetTagInfo(p.hosts[1].ID())
			require.True(t, info == nil || info.Tags[tag] == 0)
		})
	}
}

// TestT06Cycles: nothing is left of many streams; 10,000 of them with LODE_LONG.
func TestT06Cycles(t *testing.T) {
	cycles := 500
	if os.Getenv("LODE_LONG") != "" {
		cycles = 10_000
	}
	p := newPair(t, transports["TCP"], Options{})
	at := p.tunnel(t, target(t, echo))
	roundTrip(t, at, 10)
	p.settle(t)
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	for i := range cycles {
		if i%10 == 0 { // some break off
			c := dialTCP(t, at)
			_, _ = c.Write([]byte("x"))
			_ = c.SetLinger(0)
			_ = c.Close()
			continue
		}
		roundTrip(t, at, 10)
	}
	p.settle(t)
	for _, tun := range []*Tunnels{p.server, p.client} {
		require.NoError(t, tun.do(t.Context(), func(r *registry) {
			require.Empty(t, r.streams)
			require.Empty(t, r.perPeer)
		}))
	}
	eventually(t, "as few goroutines as before", func() bool { return runtime.NumGoroutine() <= goroutines+2 })
	eventually(t, "as few descriptors as before", func() bool { return openFiles(t) <= files+2 })
}

func openFiles(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc here")
	}
	return len(entries)
}

func TestT07AllowList(t *testing.T) {
	p := newPair(t, transports["TCP"], Options{})
	stranger := p.hosts[1].ID()
	friend := hosttest.New(t, 9, hostOptions(transports["TCP"]))
	hosttest.Connect(t, friend, p.hosts[0])
	dials := make(chan struct{}, 10)
	to := target(t, func(c *net.TCPConn) { dials <- struct{}{}; echo(c) })
	try := func(h *host.Host) error {
		s, err := h.NewStream(t.Context(), p.hosts[0].ID(), proto)
		if err != nil {
			return err
		}
		defer s.Close()
		if _, err := s.Write([]byte("x")); err != nil {
			return err
		}
		_, err = io.ReadFull(s, make([]byte, 1))
		return err
	}
	for name, c := range map[string]struct {
		offer                 Offer
		friendGets, otherGoes bool
	}{
		"nobody":      {Offer{}, false, false},
		"the friend":  {Offer{Allow: []peer.ID{friend.ID()}}, true, false},
		"both":        {Offer{Allow: []peer.ID{friend.ID(), stranger}}, true, true},
		"any":         {Offer{AllowAny: true}, true, true},
		"any and one": {Offer{AllowAny: true, Allow: []peer.ID{friend.ID()}}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			o := c.offer
			o.Protocol, o.Target = proto, to
			require.NoError(t, p.server.Listen(t.Context(), o))
			before := ends(t, p.server, ReasonDenied)
			denied := uint64(0)
			for h, want := range map[*host.Host]bool{friend: c.friendGets, p.hosts[1]: c.otherGoes} {
				err := try(h)
				if want {
					require.NoError(t, err)
					<-dials
				} else {
					require.Error(t, err)
					denied++
				}
			}
			require.Equal(t, before+denied, ends(t, p.server, ReasonDenied))
			require.Empty(t, dials, "the target was dialled for a peer that is not allowed")
			_, err := p.server.Close(t.Context(), Match{All: true}, true)
			require.NoError(t, err)
		})
	}
}

func TestT08Restart(t *testing.T) {
	db := database(t)
	hosts := hosttest.Loopback(t, 2)
	hosttest.Listen(t, hosts...)
	to := target(t, echo)
	run := func() (*Tunnels, func()) { return start(t, hosts[1], db, Options{}) }
	server, _ := start(t, hosts[0], nil, Options{})
	require.NoError(t, server.Listen(t.Context(), Offer{Protocol: proto, Target: to, AllowAny: true}))

	tun, stop := run()
	friend := hosts[0].ID()
	kept := Offer{Protocol: "/kept", Target: "127.0.0.1:1", Allow: []peer.ID{friend}, ReportPeerID: true, Custom: true}
	require.NoError(t, tun.Listen(t.Context(), kept))
	require.NoError(t, tun.Listen(t.Context(), Offer{Protocol: "/x/closed", Target: "127.0.0.1:1"}))
	require.NoError(t, tun.Listen(t.Context(), Offer{Protocol: "/x/short", Target: "127.0.0.1:1", Ephemeral: true}))
	at, err := tun.Forward(t.Context(), Forward{Protocol: proto, Listen: "/ip4/127.0.0.1/tcp/0", Peer: hosttest.Info(hosts[0])})
	require.NoError(t, err)
	_, err = tun.Forward(t.Context(), Forward{Protocol: proto, Listen: "127.0.0.1:0", Peer: hosttest.Info(hosts[0]), Ephemeral: true})
	require.NoError(t, err)
	_, err = tun.Close(t.Context(), Match{Protocol: "/x/closed"}, false)
	require.NoError(t, err)
	stop()
	_, err = tun.List(t.Context())
	require.ErrorIs(t, err, ErrStopped)

	tun, stop = run()
	list, err := tun.List(t.Context())
	require.NoError(t, err)
	require.Equal(t, []Entry{
		{Kind: KindListen, Protocol: "/kept", ListenAddress: p2pPath(hosts[1].ID()), TargetAddress: "/ip4/127.0.0.1/tcp/1", Allow: []peer.ID{friend}, ReportPeerID: true},
		{Kind: KindForward, Protocol: proto, ListenAddress: at, TargetAddress: p2pPath(friend)},
	}, list)
	roundTrip(t, dialable(t, at), 1000) // and it knows where the peer is
	stop()

	// A port that is taken meanwhile does not keep the node down, and is tried again.
	taken, err := net.Listen("tcp4", dialable(t, at))
	require.NoError(t, err)
	tun, stop = run()
	list, err = tun.List(t.Context())
	require.NoError(t, err)
	require.Contains(t, list[1].Problem, "in use")
	require.NoError(t, taken.Close())
	n, err := tun.Close(t.Context(), Match{ListenAddress: at}, false)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	stop()

	_, err = db.Exec(`INSERT INTO tunnel (kind, key, spec) VALUES ('listen', 'broken', '{'), ('other', 'x', '{}')`)
	require.NoError(t, err)
	tun, _ = run()
	list, err = tun.List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1, "a broken row is left out")
}

func TestT08Revival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 1, time.Millisecond)
		local := newPipes()
		var free atomic.Bool
		opt := Options{Bind: func(ctx context.Context, network, address string) (net.Listener, error) {
			if !free.Load() {
				return nil, os.ErrExist
			}
			return local.Bind(ctx, network, address)
		}}
		id, err := peer.Decode("12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp")
		require.NoError(t, err)
		opt.Forwards = []Forward{{Protocol: proto, Listen: "127.0.0.1:3000", Peer: peer.AddrInfo{ID: id}}, {Protocol: proto, Listen: "127.0.0.1:0", Peer: peer.AddrInfo{ID: id}}}
		opt.Offers = []Offer{{Protocol: "/x/declared", Target: "127.0.0.1:1"}}
		tun, stop := start(t, hosts[0], nil, opt)
		list, err := tun.List(t.Context())
		require.NoError(t, err)
		require.Len(t, list, 2, "port 0 makes no sense in the settings")
		require.True(t, list[0].Declared && list[1].Declared)
		require.NotEmpty(t, list[1].Problem)
		free.Store(true)
		time.Sleep(revivePause)
		synctest.Wait()
		list, err = tun.List(t.Context())
		require.NoError(t, err)
		require.Empty(t, list[1].Problem)
		stop()
	})
}

func TestT09Reserved(t *testing.T) {
	p := newPair(t, transports["TCP"], Options{})
	served := protocol.ID("/someone/else/1.0")
	p.hosts[0].SetStreamHandler(served, func(s network.Stream) { _ = s.Reset() })
	for _, name := range []protocol.ID{"/fil/hello/1.0.0", "/ipfs/id/1.0.0", "/libp2p/x", "/f3/x", "/meshsub/1.1.0", "/chain/ipfs/bitswap/1.2.0", "/fil", served} {
		require.ErrorIs(t, p.server.Listen(t.Context(), Offer{Protocol: name, Target: "127.0.0.1:1", Custom: true}), ErrName, name)
	}
	for _, name := range []protocol.ID{"/fil/hello/1.0.0", "/ipfs/id/1.0.0"} {
		_, err := p.client.Forward(t.Context(), Forward{Protocol: name, Listen: "127.0.0.1:0", Peer: peer.AddrInfo{ID: p.hosts[0].ID()}, Custom: true})
		require.ErrorIs(t, err, ErrName, name)
	}
}

func TestT11Stats(t *testing.T) {
	p := newPair(t, transports["TCP"], Options{})
	at := p.tunnel(t, target(t, echo))
	c := dialTCP(t, at)
	_, err := c.Write([]byte("abc"))
	require.NoError(t, err)
	_, err = io.ReadFull(c, make([]byte, 3))
	require.NoError(t, err)
	for tun, kind := range map[*Tunnels]Kind{p.server: KindListen, p.client: KindForward} {
		eventually(t, "bytes counted", func() bool {
			st, err := tun.Stats(t.Context())
			require.NoError(t, err)
			return st.Open == 1 && st.BytesIn == 3 && st.BytesOut == 3
		})
		streams, err := tun.Streams(t.Context())
		require.NoError(t, err)
		require.Len(t, streams, 1)
		s := streams[0]
		require.Equal(t, kind, s.Kind)
		require.EqualValues(t, 3, s.BytesIn)
		require.True(t, s.Set)
		if kind == KindListen {
			require.Equal(t, p2pPath(p.hosts[1].ID()), s.OriginAddress)
		} else {
			require.Equal(t, p2pPath(p.hosts[0].ID()), s.TargetAddress)
			require.Equal(t, c.LocalAddr().String(), dialable(t, s.OriginAddress))
		}
		require.ErrorIs(t, tun.CloseStream(t.Context(), s.ID+1), ErrNoStream)
	}
	require.NoError(t, p.server.CloseStream(t.Context(), 0))
	require.NoError(t, broken(c))
	p.settle(t)
	st, err := p.client.Stats(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, st.Opened)
	total := uint64(0)
	for _, n := range st.Setup.Counts {
		total += n
	}
	require.EqualValues(t, 1, total)
	require.Positive(t, st.Setup.Sum)
}
