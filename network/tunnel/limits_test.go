package tunnel

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/host/hosttest"
)

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
	at := p.tunnel(t, "127.0.0.1:1") // nobody is there, nor gets that port by chance
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
		p.settle(t) // the books follow the break
		require.EqualValues(t, 1, ends(t, p.server, ReasonTarget))

		// A peer that accepts streams and says nothing.
		p.hosts[0].Network().SetStreamHandler(func(network.Stream) {})
		require.NoError(t, p.hosts[1].Peerstore().RemoveProtocols(p.hosts[0].ID(), proto))
		begin = time.Now()
		local = client.Connect()
		_, err = local.Read(make([]byte, 1))
		require.ErrorIs(t, err, errReset)
		require.InDelta(t, 30*time.Second, time.Since(begin), float64(time.Second), "a stream gets thirty seconds")
		p.settle(t)
		require.EqualValues(t, 1, ends(t, p.client, ReasonOpen))
		p.stopClient()
		p.stopServer()
	})
}
