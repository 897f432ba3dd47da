package tunnel

import (
	"context"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/host/hosttest"
	"github.com/lodenet/lode/network/peers"
)

// A peer that is here for a tunnel alone speaks nothing else of ours. Both sides keep it
// while a connection goes through, however quiet, and let it go afterwards (P-07).
func TestP07TunnelKeepsItsPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, server, client := simulated(t, Options{})
		var managers []*peers.Manager
		for _, h := range p.hosts {
			m := peers.New(h, peers.NewBans(clock.System{}), unspoken{}, peers.Options{
				Useful: func([]protocol.ID) bool { return false },
			}, clock.System{}, hosttest.Quiet())
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() {
				if err := m.Run(ctx); err != nil {
					t.Errorf("Run: %v", err)
				}
			})
			defer wg.Wait()
			defer cancel()
			<-m.Ready()
			managers = append(managers, m)
		}
		local := client.Connect()
		remote := <-server.targets
		connected := func() bool {
			return p.hosts[0].Network().Connectedness(p.hosts[1].ID()) == network.Connected
		}
		for range 3 {
			time.Sleep(time.Hour)
			require.True(t, connected(), "dropped under a tunnel: %v, %v", managers[0].Drops(), managers[1].Drops())
			go func() { _, _ = local.Write([]byte("?")) }()
			b := make([]byte, 1)
			_, err := io.ReadFull(remote, b)
			require.NoError(t, err)
		}
		require.NoError(t, local.Close())
		require.NoError(t, remote.Close())
		time.Sleep(time.Minute)
		require.False(t, connected(), "kept without a tunnel")
		require.NotZero(t, managers[0].Drops()[peers.ReasonUseless]+managers[1].Drops()[peers.ReasonUseless])
	})
}

// unspoken is a handshake that nobody speaks, so that all peers are guests.
type unspoken struct{}

func (unspoken) Protocol() protocol.ID { return "/test/unspoken" }
func (unspoken) Greet(context.Context, peer.ID) (peers.Met, error) {
	return peers.Met{}, io.ErrUnexpectedEOF
}
func (unspoken) Greetings() <-chan peers.Greeting { return nil }
