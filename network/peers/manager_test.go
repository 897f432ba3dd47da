package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/host/hosttest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// nod is a handshake of one byte: the name of the network.
type nod struct {
	host      *host.Host
	net       byte
	mu        sync.Mutex
	silent    bool          // guarded by mu: never greets
	offset    time.Duration // guarded by mu: that it measures
	greetings chan Greeting
}

func newNod(h *host.Host, net byte) *nod {
	n := &nod{host: h, net: net, greetings: make(chan Greeting, 100)}
	h.SetStreamHandler(testHello, func(s network.Stream) {
		defer s.Close()
		b := make([]byte, 1)
		if _, err := io.ReadFull(s, b); err != nil {
			return
		}
		if _, err := s.Write([]byte{n.net}); err != nil {
			return
		}
		g := Greeting{Peer: s.Conn().RemotePeer()}
		if b[0] != n.net {
			g.Err = &DropError{Reason: ReasonGenesis, Ban: time.Hour, Err: errors.New("another network")}
		}
		n.greetings <- g
	})
	return n
}

func (n *nod) Protocol() protocol.ID      { return testHello }
func (n *nod) Greetings() <-chan Greeting { return n.greetings }

func (n *nod) Greet(ctx context.Context, p peer.ID) (Met, error) {
	n.mu.Lock()
	silent, offset := n.silent, n.offset
	n.mu.Unlock()
	if silent {
		<-ctx.Done()
		return Met{}, ctx.Err()
	}
	s, err := n.host.NewStream(ctx, p, testHello)
	if err != nil {
		return Met{}, err
	}
	defer s.Close()
	if _, err := s.Write([]byte{n.net}); err != nil {
		return Met{}, err
	}
	_, err = io.ReadFull(s, make([]byte, 1))
	return Met{Latency: 7 * time.Millisecond, Offset: offset}, err
}

func run(t *testing.T, m *Manager) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := m.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	<-m.Ready()
	return stop
}

func manager(h *host.Host, hs Handshake, opt Options) *Manager {
	return New(h, NewBans(clock.System{}), hs, opt, clock.System{}, hosttest.Quiet())
}

// Three nodes that know one bootstrap peer each find together, and again after one was away.
func TestBootstrapAndReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 3, 30*time.Millisecond)
		hosttest.Listen(t, hosts...)
		first := []peer.AddrInfo{hosttest.Info(hosts[0])}
		var managers []*Manager
		var stops []func()
		for _, h := range hosts {
			m := manager(h, newNod(h, 1), Options{Bootstrap: first})
			managers = append(managers, m)
			stops = append(stops, run(t, m))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := managers[0].WaitReady(ctx, 2); err != nil {
			t.Fatalf("peers %+v: %v", managers[0].Peers(), err)
		}
		info := managers[1].Peers()
		if len(info) != 1 || info[0].State != Ready || !info[0].Bootstrap || info[0].Inbound ||
			info[0].Agent != "lode/test" || info[0].Latency != 7*time.Millisecond || len(info[0].Addrs) != 1 {
			t.Errorf("session as shown: %+v", info)
		}
		// The session layer of the bootstrap node stops, which closes its connections, and
		// another one takes its place.
		stops[0]()
		if n := len(hosts[0].Network().Peers()); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		time.Sleep(5 * time.Second)
		again := manager(hosts[0], newNod(hosts[0], 1), Options{})
		run(t, again)
		ctx, cancel = context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := again.WaitReady(ctx, 2); err != nil {
			t.Errorf("after the return: %+v: %v", again.Peers(), err)
		}
	})
}

func TestP03WrongNetworkIsDroppedAndBanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 2, 30*time.Millisecond)
		hosttest.Listen(t, hosts...)
		a := manager(hosts[0], newNod(hosts[0], 1), Options{})
		b := manager(hosts[1], newNod(hosts[1], 2), Options{Bootstrap: []peer.AddrInfo{hosttest.Info(hosts[0])}})
		run(t, a)
		run(t, b)
		time.Sleep(30 * time.Second)
		if n := len(hosts[0].Network().Peers()); n != 0 {
			t.Errorf("%d connections between two networks", n)
		}
		if len(a.ReadyPeers())+len(b.ReadyPeers()) != 0 {
			t.Error("peers of two networks are Ready")
		}
		if n := a.Drops()[ReasonGenesis]; n == 0 {
			t.Errorf("drops %v", a.Drops())
		}
		if _, banned := a.Bans().Banned(hosts[1].ID()); !banned {
			t.Error("the stranger is not banned")
		}
	})
}

func TestP02SilentPeerTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 2, 30*time.Millisecond)
		hosttest.Listen(t, hosts...)
		mute := newNod(hosts[1], 1)
		mute.silent = true
		a := manager(hosts[0], newNod(hosts[0], 1), Options{})
		run(t, a)
		run(t, manager(hosts[1], mute, Options{Hello: time.Hour}))
		hosttest.Connect(t, hosts[1], hosts[0])
		time.Sleep(9 * time.Second)
		if p := a.Peers(); len(p) != 1 || p[0].State != HelloSent {
			t.Fatalf("before the time is over: %+v", p)
		}
		time.Sleep(3 * time.Second)
		if p := a.Peers(); len(p) != 0 {
			t.Errorf("after the time is over: %+v", p)
		}
		if n := a.Drops()[ReasonTimeout]; n != 1 {
			t.Errorf("drops %v", a.Drops())
		}
	})
}

func TestP02GuestsAreServedButNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 2, 30*time.Millisecond)
		hosttest.Listen(t, hosts...)
		a := manager(hosts[0], newNod(hosts[0], 1), Options{})
		run(t, a)
		hosttest.Connect(t, hosts[1], hosts[0])
		time.Sleep(time.Minute)
		if p := a.Peers(); len(p) != 1 || p[0].State != Guest || len(a.ReadyPeers()) != 0 {
			t.Errorf("sessions %+v, ready %v", p, a.ReadyPeers())
		}
	})
}

func TestP08MisbehaviourBans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 2, 30*time.Millisecond)
		hosttest.Listen(t, hosts...)
		a := manager(hosts[0], newNod(hosts[0], 1), Options{})
		b := manager(hosts[1], newNod(hosts[1], 1), Options{Bootstrap: []peer.AddrInfo{hosttest.Info(hosts[0])}})
		run(t, a)
		run(t, b)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := a.WaitReady(ctx, 1); err != nil {
			t.Fatal(err)
		}
		bad := hosts[1].ID()
		a.Report(bad, Malformed, errors.New("nonsense"))
		time.Sleep(time.Second)
		if s := a.Score(bad); s > -19 || len(a.ReadyPeers()) != 1 {
			t.Errorf("score %f, ready %v", s, a.ReadyPeers())
		}
		a.Report(bad, Forged, errors.New("a lie"))
		time.Sleep(time.Second)
		if len(a.ReadyPeers()) != 0 || len(hosts[0].Network().Peers()) != 0 {
			t.Errorf("still connected: %+v", a.Peers())
		}
		if err := a.Connect(t.Context(), hosttest.Info(hosts[1])); !errors.Is(err, ErrBanned) {
			t.Errorf("dialled a banned peer: %v", err)
		}
		time.Sleep(9 * time.Minute) // b tries again and again
		if len(a.ReadyPeers()) != 0 {
			t.Error("the ban does not hold")
		}
		time.Sleep(3 * time.Minute)
		if len(a.ReadyPeers()) != 1 {
			t.Errorf("the ban does not end: %+v", a.Peers())
		}
		if err := a.Connect(t.Context(), hosttest.Info(hosts[0])); !errors.Is(err, ErrSelf) {
			t.Errorf("dialled itself: %v", err)
		}
		a.Disconnect(bad)
		time.Sleep(200 * time.Millisecond)
		if a.Drops()[ReasonRequested] != 1 {
			t.Errorf("drops %v", a.Drops())
		}
	})
}

// A greeting that overtakes the news of its connection does not make a peer that we dialled
// inbound.
func TestGreetingBeforeItsConnection(t *testing.T) {
	hosts := hosttest.Loopback(t, 2)
	hosttest.Listen(t, hosts...)
	m := manager(hosts[0], newNod(hosts[0], 1), Options{})
	hosttest.Connect(t, hosts[0], hosts[1])
	if acts := m.greeted(Greeting{Peer: hosts[1].ID()}); len(acts) > 0 {
		t.Errorf("actions %v", acts)
	}
	if p := m.Peers(); len(p) != 1 || p[0].Inbound {
		t.Errorf("peers %+v", p)
	}
}

// cut is a handshake that breaks off after something has happened.
type cut struct {
	*nod
	meanwhile func()
}

func (c *cut) Greet(context.Context, peer.ID) (Met, error) {
	c.meanwhile()
	return Met{}, errors.New("the stream was reset")
}

// A peer whose connection breaks in the handshake is back before that is noticed: the new
// connection is not held to account for the old one.
func TestComesBackInTheHandshake(t *testing.T) {
	hosts := hosttest.Loopback(t, 2)
	hosttest.Listen(t, hosts...)
	hosttest.Connect(t, hosts[0], hosts[1])
	c := &cut{nod: newNod(hosts[0], 1)}
	m := manager(hosts[0], c, Options{})
	p := hosts[1].ID()
	c.meanwhile = func() {
		m.step(func(time.Time) []action { return m.table.disconnected(p) })
		m.connected(p)
	}
	m.connected(p)
	m.greet(t.Context(), p)
	if got := m.Peers(); len(got) != 1 || got[0].State != Connected || len(m.kill) != 0 {
		t.Errorf("peers %+v, %d to be dropped", got, len(m.kill))
	}
}

// Both sides dial at the same moment, over TCP and QUIC: one session each, no flapping.
func TestP06SimultaneousOpen(t *testing.T) {
	for i := range 5 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			hosts := hosttest.Loopback(t, 2)
			hosttest.Listen(t, hosts...)
			var managers []*Manager
			for i, h := range hosts {
				m := manager(h, newNod(h, 1), Options{Bootstrap: []peer.AddrInfo{hosttest.Info(hosts[1-i])}, Hello: time.Minute})
				managers = append(managers, m)
			}
			for _, m := range managers {
				run(t, m)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for _, m := range managers {
				if err := m.WaitReady(ctx, 1); err != nil {
					t.Fatalf("peers %+v: %v", m.Peers(), err)
				}
				if d := m.Drops(); len(d) != 0 {
					t.Errorf("drops %v", d)
				}
			}
		})
	}
}

func TestP08Bans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBans(clock.System{})
		var got []time.Duration
		for range 10 {
			got = append(got, b.Strike("p", netip.Addr{}, ReasonScore))
		}
		if got[0] != 10*time.Minute || got[1] != 20*time.Minute || got[9] != 24*time.Hour || !slices.IsSorted(got) {
			t.Errorf("bans last %v", got)
		}
		if b.InterceptPeerDial("p") || b.InterceptSecured(network.DirInbound, "p", nil) || !b.InterceptPeerDial("q") {
			t.Error("the gater and the list differ")
		}
		b.Ban("q", time.Minute, ReasonRequested)
		b.Ban("q", time.Second, ReasonRequested)
		time.Sleep(2 * time.Second)
		if _, is := b.Banned("q"); !is {
			t.Error("a shorter ban ended a longer one")
		}
		if l := b.List(); len(l) != 2 {
			t.Errorf("list %v", l)
		}
		if !b.Unban("q") || b.Unban("q") {
			t.Error("Unban does not tell whether there was a ban")
		}
		for i := range 2 * maxBans {
			b.Ban(peer.ID(fmt.Sprint(i)), time.Minute, ReasonScore)
		}
		if n := len(b.list); n > maxBans {
			t.Errorf("%d bans are kept", n)
		}
		if _, is := b.Banned("p"); !is {
			t.Error("the longest ban was forgotten first")
		}
	})
}

func TestRetryAfter(t *testing.T) {
	for fails, want := range []time.Duration{0, 1, 2, 4, 8, 16, 32, 60, 60} {
		if fails == 0 {
			continue
		}
		want *= time.Second
		if got := retryAfter("p", fails); got > want || got < want*4/5 {
			t.Errorf("after %d failures %s, want about %s", fails, got, want)
		}
	}
}
