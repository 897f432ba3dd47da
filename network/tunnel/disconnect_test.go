package tunnel

import (
	"io"
	"net"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

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
		// The server may hear late of a stream that the client broke off at once.
		eventually(t, "empty books", func() (empty bool) {
			require.NoError(t, tun.do(t.Context(), func(r *registry) { empty = len(r.streams)+len(r.perPeer) == 0 }))
			return empty
		})
	}
	eventually(t, "as few goroutines as before", func() bool { return runtime.NumGoroutine() <= goroutines+2 })
	eventually(t, "as few descriptors as before", func() bool { return openFiles(t) <= files+2 })
}

func openFiles(t *testing.T) int {
	entries, err := os.ReadDir("/dev/fd")
	require.NoError(t, err)
	return len(entries)
}
