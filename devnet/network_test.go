package devnet

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
)

// testSpec is a network of small sectors, so that a test seals in no time.
func testSpec(nodes int) Spec {
	n := types.Devnet()
	n.EpochSeconds, n.PropagationMillis, n.EquivocationMillis = 1, 100, 50
	n.Policy.SectorSize, n.Policy.MinPower = 2<<10, 2<<10
	return Spec{Network: n, Nodes: nodes, Miners: 1, PresealedSectors: 2}
}

func testLog(t *testing.T) *slog.Logger {
	t.Helper()
	if testing.Verbose() {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return slog.New(slog.DiscardHandler)
}

// TestNodesFollowOneChain starts three nodes and waits until all are at the same height.
func TestNodesFollowOneChain(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	n, err := Launch(ctx, t.TempDir(), testSpec(3), clock.System{}, testLog(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	for i, node := range n.Nodes {
		if _, err := node.AwaitHeight(ctx, 5); err != nil {
			t.Fatalf("node %d: %v", i, err)
		}
	}
}
