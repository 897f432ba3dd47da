package retrieval

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/lodenet/lode/network/host/hosttest"
)

// TestAnsweredAndClosed: a peer that answered and closed the stream before we closed our half,
// as one does when our machine is busy, gave its answer all the same.
func TestAnsweredAndClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 2, 50*time.Millisecond)
		hosttest.Listen(t, hosts...)
		hosttest.Connect(t, hosts[0], hosts[1])
		srv := New(Config{Bitswap: true}, hosts[1], nil, nil, nil, quiet)
		hosts[1].SetStreamHandler(ProtocolTransports, func(s network.Stream) { srv.answerTransports(t.Context(), s) })
		ts, err := QueryTransports(t.Context(), hosttest.Late{Host: hosts[0]}, hosts[1].ID())
		if err != nil || len(ts) != 1 || ts[0].Name != "bitswap" {
			t.Errorf("transports %v (%v)", ts, err)
		}
	})
}
