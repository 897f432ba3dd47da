package tunnel

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/host/hosttest"
)

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
		p.settle(t)
		require.EqualValues(t, 1, ends(t, p.server, ReasonClosed))
		p.stopClient()
		p.stopServer()
	})
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
