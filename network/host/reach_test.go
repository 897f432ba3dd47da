package host_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/host/hosttest"
	ma "github.com/multiformats/go-multiaddr"
)

const echo = protocol.ID("/test/echo")

// serveEcho answers streams with what comes in.
func serveEcho(h *host.Host) {
	h.SetStreamHandler(echo, func(s network.Stream) {
		_, _ = io.Copy(s, s)
		_ = s.CloseWrite()
	})
}

// ask sends bytes over a stream and returns the answer.
func ask(t *testing.T, h *host.Host, p peer.ID, b []byte) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := h.NewStream(network.WithAllowLimitedConn(ctx, "test"), p, echo)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(s)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// runHost listens until the test ends.
func runHost(t *testing.T, h *host.Host) {
	t.Helper()
	hosttest.Listen(t, h)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// A node that only dials is reached through a relay.
func TestRelay(t *testing.T) {
	relay := hosttest.New(t, 1, host.Options{Listen: hosttest.FreePorts(), Relay: true})
	hidden := hosttest.New(t, 2, host.Options{HolePunching: true})
	other := hosttest.New(t, 3, host.Options{HolePunching: true})
	runHost(t, relay)
	serveEcho(hidden)
	hosttest.Connect(t, hidden, relay)
	// The service begins when the node hears that it counts as reachable.
	var err error
	for range 1000 {
		if _, err = client.Reserve(t.Context(), hidden, hosttest.Info(relay)); err == nil {
			break
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	through := ma.StringCast(relay.P2PAddrs()[0].String() + "/p2p-circuit")
	if err := other.Connect(t.Context(), peer.AddrInfo{ID: hidden.ID(), Addrs: []ma.Multiaddr{through}}); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, other, hidden.ID(), []byte("hello")); string(got) != "hello" {
		t.Errorf("got %q", got)
	}
	// The host hears it beside the service.
	for range 1200 {
		if relay.Reachability() == network.ReachabilityPublic {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if r := relay.Reachability(); r != network.ReachabilityPublic {
		t.Errorf("the relay is %s", r)
	}
	if r := other.Reachability(); r != network.ReachabilityUnknown {
		t.Errorf("a node that nobody has tried is %s", r)
	}
	// A node without the option dials no relay.
	plain := hosttest.New(t, 4, host.Options{})
	if err := plain.Connect(t.Context(), peer.AddrInfo{ID: hidden.ID(), Addrs: []ma.Multiaddr{through}}); err == nil {
		t.Error("dialled through a relay without being told to")
	}
}

func TestPingAndBandwidth(t *testing.T) {
	hosts := hosttest.Loopback(t, 2)
	hosttest.Listen(t, hosts...)
	serveEcho(hosts[1])
	hosttest.Connect(t, hosts[0], hosts[1])
	if rtt, err := hosts[0].Ping(t.Context(), hosts[1].ID()); err != nil || rtt <= 0 {
		t.Errorf("ping %s, %v", rtt, err)
	}
	if _, err := hosts[0].Ping(t.Context(), hosts[0].ID()); err == nil {
		t.Error("pinged itself")
	}
	if _, err := hosts[0].Ping(t.Context(), hosttest.New(t, 9, host.Options{}).ID()); err == nil {
		t.Error("pinged a peer without an address")
	}
	data := bytes.Repeat([]byte("x"), 100_000)
	if got := ask(t, hosts[0], hosts[1].ID(), data); !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back", len(got))
	}
	b := hosts[0].Bandwidth()
	for name, s := range map[string]int64{
		"peer out":     b.GetBandwidthForPeer(hosts[1].ID()).TotalOut,
		"protocol out": b.GetBandwidthForProtocol(echo).TotalOut,
		"protocol in":  b.GetBandwidthForProtocol(echo).TotalIn,
		"all in":       b.GetBandwidthTotals().TotalIn,
	} {
		if s < 100_000 || s > 110_000 {
			t.Errorf("%s: %d bytes counted of 100000", name, s)
		}
	}
}

func TestAnnounce(t *testing.T) {
	public := ma.StringCast("/ip4/192.0.2.7/tcp/4001")
	h := hosttest.New(t, 1, host.Options{Listen: hosttest.FreePorts()[:1], Announce: []ma.Multiaddr{public}})
	hosttest.Listen(t, h)
	if a := h.Addrs(); len(a) != 1 || !a[0].Equal(public) {
		t.Errorf("announces %v", a)
	}
	listen := hosttest.FreePorts()
	quiet := hosttest.New(t, 2, host.Options{Listen: listen})
	hosttest.Listen(t, quiet)
	hide := quiet.Network().ListenAddresses()[:1]
	o := host.Options{NoAnnounce: hide, Listen: quiet.Network().ListenAddresses()}
	if err := quiet.Close(); err != nil {
		t.Fatal(err)
	}
	h = hosttest.New(t, 3, o)
	hosttest.Listen(t, h)
	if a := h.Addrs(); len(a) != 1 || slices.ContainsFunc(a, hide[0].Equal) {
		t.Errorf("announces %v", a)
	}
}

// TestL18OfflineHost: everything that needs a peer fails with one error, the rest works.
func TestL18OfflineHost(t *testing.T) {
	key, err := host.NewKey(strings.NewReader(strings.Repeat("k", 64)))
	if err != nil {
		t.Fatal(err)
	}
	h, err := host.NewOffline(host.Options{Key: key, Version: "1", Listen: hosttest.FreePorts()})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	other := hosttest.New(t, 1, host.Options{Listen: hosttest.FreePorts()})
	hosttest.Listen(t, other)
	ctx := t.Context()
	_, errStream := h.NewStream(ctx, other.ID(), echo)
	_, errPing := h.Ping(ctx, other.ID())
	_, errDial := h.Network().DialPeer(ctx, other.ID())
	_, errNet := h.Network().NewStream(ctx, other.ID())
	for i, err := range []error{h.Connect(ctx, hosttest.Info(other)), errStream, errPing, errDial, errNet} {
		if !errors.Is(err, host.ErrOffline) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if err := h.Listen(); err != nil || len(h.Addrs()) != 0 || len(h.Network().ListenAddresses()) != 0 {
		t.Errorf("listens: %v, %v", err, h.Addrs())
	}
	serveEcho(h)
	h.RemoveStreamHandler(echo)
	if r := h.Reachability(); r != network.ReachabilityUnknown {
		t.Errorf("reachability %s", r)
	}
	if n := len(h.Network().Peers()) + len(h.Network().Conns()); n != 0 || !h.Offline() || h.ID() == "" {
		t.Errorf("%d peers, offline %t, id %s", n, h.Offline(), h.ID())
	}
	h.ConnManager().TagPeer(other.ID(), "x", 1)
	if s := h.Bandwidth().GetBandwidthTotals(); s.TotalIn+s.TotalOut != 0 {
		t.Errorf("bandwidth %v", s)
	}
	if _, err := host.NewOffline(host.Options{}); err == nil {
		t.Error("an offline host without a key was made")
	}
}
