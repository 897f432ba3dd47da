package tunnel

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestT06StuckTarget: a peer that goes takes its streams along, also when both directions
// wait for a target that neither reads nor writes, so that nobody looks at the stream.
func TestT06StuckTarget(t *testing.T) {
	for name, listen := range transports {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, listen, Options{})
			leave := make(chan struct{})
			at := p.tunnel(t, target(t, func(*net.TCPConn) { <-leave }))
			t.Cleanup(func() { close(leave) })
			c := dialTCP(t, at)
			require.NoError(t, fill(c))
			require.NoError(t, p.hosts[1].Network().ClosePeer(p.hosts[0].ID()))
			eventually(t, "the server's stream ends", func() bool { return p.open(t, p.server) == 0 })
			eventually(t, "the client's stream ends", func() bool { return p.open(t, p.client) == 0 })
		})
	}
}

// fill writes until nothing more fits between here and the target.
func fill(c *net.TCPConn) error {
	block := make([]byte, 1<<20)
	for {
		if err := c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
			return err
		}
		n, err := c.Write(block)
		if e, ok := err.(net.Error); ok && e.Timeout() {
			if n == 0 {
				return nil
			}
			continue
		}
		if err != nil {
			return err
		}
	}
}
