package netfault_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/devnet"
	"github.com/lodenet/lode/network/host"
)

// born is a network that has been made, with a repo for each node under dir.
type born struct {
	*devnet.Birth
	ids []peer.ID
	dir string
}

// create makes the network of a scenario, whose epoch 0 is at start.
func create(t *testing.T, s scenario, start func() time.Time) *born {
	t.Helper()
	n := types.Devnet()
	n.Name = "netfault"
	n.EpochSeconds, n.PropagationMillis, n.EquivocationMillis = uint64(s.Epoch), uint64(s.Epoch)*150, uint64(s.Epoch)*50
	n.Policy.SectorSize, n.Policy.MinPower = 2<<10, 2<<10
	b := &born{dir: t.TempDir()}
	var err error
	b.Birth, err = devnet.Create(t.Context(), filepath.Join(b.dir, "birth"),
		devnet.Spec{Network: n, Nodes: s.Nodes, Miners: s.Miners, PresealedSectors: 1}, start, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range b.Members {
		key, err := host.Identity(m.Identity)
		if err != nil {
			t.Fatal(err)
		}
		id, err := peer.IDFromPrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		b.ids = append(b.ids, id)
	}
	if err := b.InitRepos(t.Context(), b.dir); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *born) epochs() clock.Epochs {
	return clock.Epochs{Genesis: b.Network.GenesisTime, Seconds: b.Network.EpochSeconds}
}
