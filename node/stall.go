package node

import (
	"context"

	"github.com/filecoin-project/go-state-types/abi"

	"github.com/lodenet/lode/clock"
)

// stallEpochs is how far behind the clock a head that does not move is called stalled.
const stallEpochs = 4

// watchStall drops the connections to our peers when the head stands still: they greet us
// anew when they are dialled again, with their heads, and gossip begins afresh. A peer that
// was killed and came back at once can leave a dead stream in its place on the other side,
// over which nothing comes any more.
func (n *Node) watchStall(ctx context.Context) error {
	last := abi.ChainEpoch(-1)
	for {
		if clock.Sleep(ctx, n.clk, stallEpochs*n.epoch()) != nil {
			return nil
		}
		head := n.store.Head().Height()
		if head == last && n.epochs.At(n.clk.Now())-head > stallEpochs {
			ready := n.peers.ReadyPeers()
			n.log.Warn("the head stands still, greeting the peers anew", "epoch", head, "peers", len(ready))
			for _, p := range ready {
				n.peers.Disconnect(p)
			}
		}
		last = head
	}
}
