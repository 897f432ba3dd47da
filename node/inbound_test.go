package node

import (
	"fmt"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/lodenet/lode/chain/consensus"
	"github.com/lodenet/lode/chain/sync/inbound"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/host/hosttest"
	"github.com/lodenet/lode/network/peers"
)

// TestP08GossipIsCharged: gossip that does not decode costs its sender points, a block with a
// signature of another costs all of them, and what may look different from another fork none.
func TestP08GossipIsCharged(t *testing.T) {
	n := &Node{peers: peers.New(hosttest.Loopback(t, 1)[0], peers.NewBans(clock.System{}), nil, peers.Options{}, clock.System{}, hosttest.Quiet())}
	for from, c := range map[peer.ID]struct {
		err  error
		want float64 // at most, and not below by more than decays while the test runs
	}{
		"noise":  {fmt.Errorf("block: %w", inbound.ErrMalformed), -20},
		"fork":   {fmt.Errorf("block: %w", consensus.ErrIneligible), 0},
		"behind": {fmt.Errorf("block: %w: %w", consensus.ErrByHead, consensus.ErrSignature), 0},
		"forger": {fmt.Errorf("block: %w", consensus.ErrSignature), -50}, // on probation, after its ban
	} {
		n.blame(from, c.err)
		if got := n.peers.Score(from); got < c.want || got > c.want+1 {
			t.Errorf("%s has score %f, want %f", from, got, c.want)
		}
	}
	if d := n.peers.Drops(); d[peers.ReasonScore] != 1 {
		t.Errorf("drops %v", d)
	}
}
