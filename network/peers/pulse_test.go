package peers_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"

	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/host/hosttest"
	"github.com/lodenet/lode/network/peers"
)

// A peer whose connection is open and which answers nothing is dropped within half a minute;
// one that answers stays, also one that refuses pings.
func TestDeadPeerIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 4, 10*time.Millisecond)
		hosttest.Listen(t, hosts...)
		dead, live, busy := hosts[1], hosts[2], hosts[3]
		busy.SetStreamHandler(ping.ID, func(st network.Stream) { _ = st.Reset() }) // as at its limits
		dead.SetStreamHandler(ping.ID, func(st network.Stream) {})                 // it takes pings and is silent
		bans := peers.NewBans(clock.System{})
		m := peers.New(hosts[0], bans, nil, peers.Options{Threshold: 1}, clock.System{}, hosttest.Quiet())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- m.Run(ctx) }()
		<-m.Ready()
		hosttest.Connect(t, hosts[0], dead)
		hosttest.Connect(t, hosts[0], live)
		hosttest.Connect(t, hosts[0], busy)
		time.Sleep(5 * time.Second)
		if n := len(m.ReadyPeers()); n != 3 {
			t.Fatalf("%d peers are ready", n)
		}
		time.Sleep(25 * time.Second)
		if got := m.ReadyPeers(); len(got) != 2 || slices.Contains(got, dead.ID()) {
			t.Errorf("ready are %v, want %s and %s", got, live.ID(), busy.ID())
		}
		if n := m.Drops()[peers.ReasonDead]; n != 1 {
			t.Errorf("%d peers were dropped as dead", n)
		}
		if _, banned := bans.Banned(dead.ID()); banned {
			t.Error("being dead is no offence")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
