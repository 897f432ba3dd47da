package hosttest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/lodenet/lode/network/host"
	"github.com/marcopolo/simnet"
	ma "github.com/multiformats/go-multiaddr"
)

// Quiet is a logger that drops everything.
func Quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// FreePorts are addresses to listen on: a free port of the loopback interface for TCP and
// for QUIC.
func FreePorts() []ma.Multiaddr {
	return []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0"), ma.StringCast("/ip4/127.0.0.1/udp/0/quic-v1")}
}

// Loopback makes n hosts on the loopback interface; they listen once Listen is called. They
// are closed at the end of the test.
func Loopback(t testing.TB, n int) []*host.Host {
	t.Helper()
	hosts := make([]*host.Host, n)
	for i := range hosts {
		hosts[i] = New(t, byte(i), host.Options{Listen: FreePorts(), Version: "test"})
	}
	return hosts
}

// New makes one host whose key is drawn from a seed. It is closed at the end of the test.
func New(t testing.TB, seed byte, o host.Options) *host.Host {
	t.Helper()
	key, err := host.NewKey(stream(seed))
	if err != nil {
		t.Fatal(err)
	}
	o.Key = key
	h, err := host.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close host %d: %v", seed, err)
		}
	})
	return h
}

// stream is randomness that is none: each byte is the seed.
type stream byte

// Read implements io.Reader.
func (s stream) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(s)
	}
	return len(b), nil
}

// Listen opens the hosts' addresses.
func Listen(t testing.TB, hosts ...*host.Host) {
	t.Helper()
	for _, h := range hosts {
		if err := h.Listen(); err != nil {
			t.Fatal(err)
		}
	}
}

// Connect dials from a to b.
func Connect(t testing.TB, a, b *host.Host) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := a.Connect(ctx, Info(b)); err != nil {
		t.Fatalf("connect %s to %s: %v", a.ID(), b.ID(), err)
	}
}

// Mesh connects every pair.
func Mesh(t testing.TB, hosts ...*host.Host) {
	t.Helper()
	for i, a := range hosts {
		for _, b := range hosts[:i] {
			Connect(t, a, b)
		}
	}
}

// Info is how to dial a host.
func Info(h *host.Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()} }

// Simulated makes n hosts on a simulated network with a latency and 100 Mbit/s. Call it
// within testing/synctest; the network is closed when the test ends.
func Simulated(t testing.TB, n int, latency time.Duration) []*host.Host {
	t.Helper()
	net := &simnet.Simnet{LatencyFunc: simnet.StaticLatency(latency), Logger: Quiet()}
	link := simnet.LinkSettings{BitsPerSecond: 100 * simlibp2p.OneMbps}
	hosts := make([]*host.Host, n)
	t.Cleanup(net.Close) // after the hosts, which are cleaned up first
	for i := range hosts {
		addr := ma.StringCast(fmt.Sprintf("/ip4/%s/udp/8000/quic-v1", simnet.IntToPublicIPv4(i)))
		hosts[i] = New(t, byte(i), host.Options{
			Listen: []ma.Multiaddr{addr}, Version: "test",
			Extra: []libp2p.Option{
				simlibp2p.QUICSimnet(net, simnet.NodeBiDiLinkSettings{Downlink: link, Uplink: link}),
				libp2p.DisableIdentifyAddressDiscovery(), // it stalls virtual time
			},
		})
	}
	net.Start()
	return hosts
}
