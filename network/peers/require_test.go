package peers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/host/hosttest"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"
)

// A crowd that dials at once never gets more places than there are, and those in place stay.
func TestP05FloodOfInboundDials(t *testing.T) {
	crowd := 30
	if os.Getenv("LODE_LONG") != "" {
		crowd = 500
	}
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, crowd+1, 10*time.Millisecond)
		hosttest.Listen(t, hosts...)
		a := manager(hosts[0], newNod(hosts[0], 1), Options{MaxPeers: 12, MaxGuests: 3})
		run(t, a)
		target := hosttest.Info(hosts[0])
		var dialling sync.WaitGroup
		for _, h := range hosts[1:] {
			run(t, manager(h, newNod(h, 1), Options{Threshold: 1000}))
			dialling.Go(func() { _ = h.Connect(t.Context(), target) }) // most are refused
		}
		for range 100 {
			time.Sleep(50 * time.Millisecond)
			ready, guests := 0, 0
			for _, p := range a.Peers() {
				switch p.State {
				case Ready:
					ready++
				case Guest:
					guests++
				}
			}
			if ready > 8 || guests > 3 {
				t.Fatalf("%d inbound peers and %d guests, at most 8 and 3", ready, guests)
			}
		}
		dialling.Wait()
		if n := len(a.ReadyPeers()); n != 8 {
			t.Errorf("%d peers are ready in the end, want 8", n)
		}
		if a.Drops()[ReasonTooMany] == 0 {
			t.Errorf("drops %v", a.Drops())
		}
	})
}

// When all places are taken the door is closed at the cheap look, before anything is known of
// who knocks but its identity; peers to start from and those that we dial pass, and a place
// that is free again opens it.
func TestP05TheDoor(t *testing.T) {
	bans := NewBans(clock.System{})
	hosts := hosttest.Loopback(t, 1)
	m := New(hosts[0], bans, newNod(hosts[0], 1), Options{
		MaxPeers: 3, MaxGuests: 1, Bootstrap: []peer.AddrInfo{{ID: "first"}},
	}, clock.System{}, hosttest.Quiet())
	passes := func(dir network.Direction, p peer.ID) bool { return bans.InterceptSecured(dir, p, nil) }
	for _, p := range []peer.ID{"a", "b", "c"} {
		if !passes(network.DirInbound, p) {
			t.Errorf("%s is refused while there is room", p)
		}
		m.step(func(now time.Time) []action { return m.table.connected(now, p, true) })
	}
	before := bans.Refused()
	if passes(network.DirInbound, "d") || bans.Refused() != before+1 {
		t.Errorf("one more is let in, %d were refused", bans.Refused())
	}
	if !passes(network.DirInbound, "first") || !passes(network.DirOutbound, "d") {
		t.Error("a peer to start from, or one that we dial, is refused")
	}
	m.step(func(time.Time) []action { return m.table.disconnected("b") })
	if !passes(network.DirInbound, "d") {
		t.Error("a free place is not given")
	}
}

// A second connection, and the end of one of two, change nothing.
func TestP06OneSessionAPeer(t *testing.T) {
	tb := testTable()
	for i := range 1000 {
		tb.connected(at(float64(i)), "p", i%2 == 0)
		tb.connected(at(float64(i)), "p", i%2 == 1)
		expect(t, "identified", tb.protocolsKnown(at(float64(i)), "p", ours, ""), greet)
		expect(t, "identified over the other", tb.protocolsKnown(at(float64(i)), "p", ours, ""))
		tb.said(at(float64(i)), "p", Met{}, nil)
		expect(t, "heard", tb.greeted(at(float64(i)), "p", nil), ready)
		expect(t, "one connection is left", tb.tick(at(float64(i)), all))
		if len(tb.sessions) != 1 || tb.ready() != 1 {
			t.Fatalf("round %d: %d sessions", i, len(tb.sessions))
		}
		expect(t, "none is left", tb.disconnected("p"), gone)
	}
}

type remote string

func (r remote) LocalMultiaddr() ma.Multiaddr  { return ma.StringCast("/ip4/127.0.0.1/tcp/1") }
func (r remote) RemoteMultiaddr() ma.Multiaddr { return ma.StringCast(string(r)) }

// Three misbehaving peers of one household within an hour ban its addresses.
func TestP08Household(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBans(clock.System{})
		strike := func(addr string, peers ...string) {
			for _, p := range peers {
				b.Strike(peer.ID(p), netip.MustParseAddr(addr), ReasonScore)
			}
		}
		strike("192.0.2.1", "a", "b", "a")
		if !b.InterceptAccept(remote("/ip4/192.0.2.1/tcp/1")) {
			t.Error("two peers banned their address")
		}
		time.Sleep(time.Hour)
		strike("192.0.2.1", "c")
		if !b.InterceptAccept(remote("/ip4/192.0.2.1/tcp/1")) {
			t.Error("strikes of long ago count")
		}
		strike("192.0.2.1", "d", "e")
		for addr, want := range map[string]bool{
			"/ip4/192.0.2.1/tcp/1": false, "/ip4/192.0.2.1/udp/9/quic-v1": false, "/ip4/192.0.2.2/tcp/1": true,
			"/ip6/::ffff:192.0.2.1/tcp/1": false, "/dns4/example.com/tcp/1": true,
		} {
			if got := b.InterceptAccept(remote(addr)); got != want {
				t.Errorf("accept from %s: %t, want %t", addr, got, want)
			}
			if got := b.InterceptAddrDial("x", ma.StringCast(addr)); got != want {
				t.Errorf("dial of %s: %t, want %t", addr, got, want)
			}
		}
		strike("2001:db8:1:1::5", "f", "g", "h")
		if b.InterceptAccept(remote("/ip6/2001:db8:1:1::6/tcp/1")) || !b.InterceptAccept(remote("/ip6/2001:db8:1:2::6/tcp/1")) {
			t.Error("a household of IPv6 is not a /64")
		}
		strike("127.0.0.1", "i", "j", "k", "l")
		if !b.InterceptAccept(remote("/ip4/127.0.0.1/tcp/1")) {
			t.Error("loopback was banned")
		}
		if n := b.Refused(); n != 7 {
			t.Errorf("%d refusals counted, want 7", n)
		}
		net := netip.MustParsePrefix("192.0.2.1/32")
		if !b.UnbanNet(net) || b.UnbanNet(net) || !b.InterceptAccept(remote("/ip4/192.0.2.1/tcp/1")) {
			t.Error("the ban of an address cannot be lifted")
		}
		b.BanNet(netip.MustParsePrefix("198.51.100.9/24"), time.Hour, ReasonRequested)
		if b.InterceptAccept(remote("/ip4/198.51.100.200/tcp/1")) {
			t.Error("a banned range is let in")
		}
		time.Sleep(2 * time.Hour)
		if !b.InterceptAccept(remote("/ip4/198.51.100.200/tcp/1")) {
			t.Error("the ban of a range does not end")
		}
		for i := range 3 * maxSuspects {
			strike(fmt.Sprintf("10.%d.%d.1", i/256, i%256), "x")
		}
		if n := len(b.suspects); n > maxSuspects {
			t.Errorf("%d households are watched", n)
		}
	})
}

// Faults of our own side cost a peer nothing.
func TestP09LocalFaultsAreFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 1, time.Millisecond)
		m := manager(hosts[0], nil, Options{})
		run(t, m)
		for range 100 {
			m.Report("p", Local, errors.New("no space left on device"))
		}
		if s := m.Score("p"); s != 0 {
			t.Errorf("score %f", s)
		}
		for fault, want := range map[Fault]float64{Slow: -1, Missing: -2, Malformed: -20} {
			p := peer.ID(fault.String())
			m.Report(p, fault, errors.New("x"))
			if s := m.Score(p); s != want {
				t.Errorf("score %f after %s, want %f", s, fault, want)
			}
		}
		m.Report("liar", Forged, errors.New("x"))
		time.Sleep(time.Second)
		if _, banned := m.Bans().Banned("liar"); !banned {
			t.Error("a lie is not a ban")
		}
	})
}

func info(i int, addr string) peer.AddrInfo {
	return peer.AddrInfo{ID: peer.ID(fmt.Sprint("peer", i)), Addrs: []ma.Multiaddr{ma.StringCast(addr)}}
}

// The first peers to dial are some that were good before and some of the bootstrap list, and
// no subnet gets more than a quarter of the outbound places.
func TestP13WhomToDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 1, time.Millisecond)
		var boot []peer.AddrInfo
		for i := range 5 {
			boot = append(boot, info(i, fmt.Sprintf("/ip4/5.%d.0.1/tcp/1", i)))
		}
		m := manager(hosts[0], nil, Options{Bootstrap: boot, MaxPeers: 24})
		now := time.Now()
		for i := 100; i < 110; i++ {
			m.book[peer.ID(fmt.Sprint("peer", i))] = &bookEntry{info: info(i, fmt.Sprintf("/ip4/7.%d.0.1/tcp/1", i)), good: now.Add(-time.Duration(i) * time.Second)}
		}
		known, kept := 0, 0
		got := m.candidates()
		for _, c := range got {
			if m.book[c.ID].keep {
				kept++
			} else {
				known++
			}
		}
		if known < 4 || kept < 2 || len(got) > dialParallel {
			t.Errorf("dials %d known and %d bootstrap peers", known, kept)
		}
		if got[0].ID != "peer100" {
			t.Errorf("dials %s first, not the one that was good last", got[0].ID)
		}

		m = manager(hosts[0], nil, Options{MaxPeers: 24}) // 8 outbound, 2 of a subnet
		for i := range 20 {
			m.book[peer.ID(fmt.Sprint("peer", i))] = &bookEntry{info: info(i, fmt.Sprintf("/ip4/9.9.%d.1/tcp/1", i))}
		}
		m.book["peer50"] = &bookEntry{info: info(50, "/ip4/8.9.0.1/tcp/1"), fails: 3}
		if got := m.candidates(); len(got) != 3 || got[2].ID != "peer50" {
			t.Errorf("dials %v, want two of the crowded subnet and the other", got)
		}
		for i := range 20 {
			m.book[peer.ID(fmt.Sprint("peer", i))] = &bookEntry{info: info(i, fmt.Sprintf("/ip4/10.9.%d.1/tcp/1", i))}
		}
		if got := m.candidates(); len(got) != dialParallel-1 { // peer50 is still being dialled
			t.Errorf("dials %d of a private range, want %d", len(got), dialParallel-1)
		}
	})
}

// Peers' clocks agree that ours is off; and what is counted can be scraped.
func TestP14ClockAndMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 5, 10*time.Millisecond)
		hosttest.Listen(t, hosts...)
		n := newNod(hosts[0], 1)
		n.offset = 3 * time.Second
		m := manager(hosts[0], n, Options{})
		run(t, m)
		for i, h := range hosts[1:] {
			run(t, manager(h, newNod(h, 1), Options{}))
			hosttest.Connect(t, h, hosts[0])
			time.Sleep(2 * time.Second)
			want := 3 * time.Second
			if i+1 < offsetQuorum {
				want = 0
			}
			if got := m.ClockOffset(); got != want {
				t.Errorf("with %d peers the clock is off by %s, want %s", i+1, got, want)
			}
		}
		m.Bans().Ban("x", time.Hour, ReasonRequested)
		m.Disconnect(hosts[1].ID())
		time.Sleep(time.Second)
		reg := prometheus.NewRegistry()
		if err := reg.Register(m); err != nil {
			t.Fatal(err)
		}
		all, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, f := range all {
			for _, x := range f.GetMetric() {
				fmt.Fprintf(&text, "%s %s\n", f.GetName(), x)
			}
		}
		for _, want := range []string{
			"lode_peer_sessions", `value:"ready"`, `value:"in"`, "lode_peer_drop_total", `value:"requested"`,
			"lode_peer_bans", "lode_peer_hello_seconds", "lode_peer_clock_offset_seconds",
		} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("no %s in\n%s", want, text.String())
			}
		}
	})
}

// Clocks are measured again while sessions last: soon when ours seems to be off, so that the
// node knows when it was set right. A peer that fails to answer such a greeting stays.
func TestP14ClockIsMeasuredAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 4, 10*time.Millisecond)
		hosttest.Listen(t, hosts...)
		n := newNod(hosts[0], 1)
		m := manager(hosts[0], n, Options{})
		run(t, m)
		for _, h := range hosts[1:] {
			run(t, manager(h, newNod(h, 1), Options{}))
			hosttest.Connect(t, h, hosts[0])
		}
		time.Sleep(2 * time.Second)
		set := func(off, within, want time.Duration) {
			t.Helper()
			synctest.Wait()
			n.mu.Lock()
			n.offset = off
			n.mu.Unlock()
			time.Sleep(within)
			if got := m.ClockOffset(); got != want {
				t.Errorf("%s after the clock went off by %s, the offset is %s", within, off, got)
			}
		}
		set(20*time.Second, greetEvery/2, 0)
		set(20*time.Second, greetEvery, 20*time.Second)
		set(time.Second, greetSoon+5*time.Second, time.Second)
		n.mu.Lock()
		n.silent = true
		n.mu.Unlock()
		time.Sleep(2 * greetEvery)
		if len(m.ReadyPeers()) != 3 || len(m.Drops()) != 0 {
			t.Errorf("%d peers are ready, dropped %v", len(m.ReadyPeers()), m.Drops())
		}
	})
}

// The list to start from can be changed, and the change outlives the run.
func TestBootstrapList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 3, 10*time.Millisecond)
		mem := &remembered{}
		given := []peer.AddrInfo{hosttest.Info(hosts[1]), hosttest.Info(hosts[0])}
		given[0].Addrs = []ma.Multiaddr{ma.StringCast("/ip4/1.2.3.4/tcp/1")}
		m := manager(hosts[0], nil, Options{Bootstrap: given, Memory: mem})
		stop := run(t, m)
		if l := m.Bootstrap(); len(l) != 1 || l[0].ID != hosts[1].ID() {
			t.Errorf("the list is %v, want the other node alone", l)
		}
		added := peer.AddrInfo{ID: hosts[2].ID(), Addrs: []ma.Multiaddr{ma.StringCast("/ip4/1.2.3.5/tcp/1")}}
		if err := m.AddBootstrap(added); err != nil {
			t.Fatal(err)
		}
		if err := m.RemoveBootstrap(hosts[1].ID()); err != nil {
			t.Fatal(err)
		}
		if err := m.RemoveBootstrap(hosts[1].ID()); !errors.Is(err, ErrNotBootstrap) {
			t.Errorf("removed twice: %v", err)
		}
		if err := m.AddBootstrap(peer.AddrInfo{ID: hosts[0].ID(), Addrs: added.Addrs}); !errors.Is(err, ErrSelf) {
			t.Errorf("added itself: %v", err)
		}
		if err := m.AddBootstrap(peer.AddrInfo{ID: hosts[2].ID()}); err == nil {
			t.Error("added without an address")
		}
		stop()
		m = manager(hosts[0], nil, Options{Bootstrap: given, Memory: mem})
		run(t, m)
		if l := m.Bootstrap(); len(l) != 1 || l[0].ID != added.ID || len(l[0].Addrs) != 1 {
			t.Errorf("after a restart the list is %v", l)
		}
	})
}

// remembered is a Memory in memory.
type remembered struct {
	mu    sync.Mutex
	s     Saved
	saves int
	fail  error
}

func (r *remembered) Load(context.Context) (Saved, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.s, r.fail
}

func (r *remembered) Save(_ context.Context, s Saved) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.s, r.saves = s, r.saves+1
	return r.fail
}

func (r *remembered) bans() []Ban {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.s.Bans)
}

// Bans, scores, back-off and addresses outlive a restart; a ban is on disk soon, not only at
// the end.
func TestP08Remembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 2, 10*time.Millisecond)
		hosttest.Listen(t, hosts...)
		mem := &remembered{}
		m := manager(hosts[0], newNod(hosts[0], 1), Options{Memory: mem})
		stop := run(t, m)
		other := run(t, manager(hosts[1], newNod(hosts[1], 1), Options{}))
		hosttest.Connect(t, hosts[0], hosts[1])
		time.Sleep(2 * time.Second)
		m.Report("liar", Forged, errors.New("a lie"))
		m.Report("slow", Malformed, errors.New("nonsense"))
		time.Sleep(3 * time.Second)
		if b := mem.bans(); len(b) != 1 || b[0].Peer != "liar" || b[0].Strikes != 1 {
			t.Errorf("saved %+v", b)
		}
		until, _ := m.Bans().Banned("liar")
		other()
		stop()

		m = manager(hosts[0], newNod(hosts[0], 1), Options{Memory: mem})
		stop = run(t, m)
		if u, banned := m.Bans().Banned("liar"); !banned || !u.Equal(until) {
			t.Errorf("banned until %s, want %s", u, until)
		}
		if s := m.Score("slow"); s > -19 || s < -20 {
			t.Errorf("score %f", s)
		}
		run(t, manager(hosts[1], newNod(hosts[1], 1), Options{}))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		if err := m.WaitReady(ctx, 1); err != nil {
			t.Errorf("the address book is lost: %v", err)
		}
		if d := m.Bans().Strike("liar", netip.Addr{}, ReasonScore); d != 2*firstBan {
			t.Errorf("the second ban lasts %s", d)
		}
		stop()
		mem.fail = errors.New("no such disk")
		bad := manager(hosts[0], newNod(hosts[0], 1), Options{Memory: mem})
		if err := bad.Run(t.Context()); err == nil {
			t.Error("started without its memory")
		}
	})
}

var _ network.ConnMultiaddrs = remote("")
