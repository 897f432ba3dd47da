package node

import (
	"context"
	"time"

	"github.com/lodenet/lode/clock"
)

const diskCheckEvery = 10 * time.Second

// watchDisk stops the node while there is still room to stop in order. Databases that run
// into a full disk end with less grace.
func (n *Node) watchDisk(ctx context.Context) error {
	for {
		if err := n.opt.Repo.Room(0); err != nil {
			return err
		}
		if clock.Sleep(ctx, n.clk, diskCheckEvery) != nil {
			return nil
		}
	}
}
