package tunnel

import (
	"context"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/network/host/hosttest"
)

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
