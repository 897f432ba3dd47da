package devnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/node"
	"github.com/lodenet/lode/repo"
	"github.com/lodenet/lode/wallet"
)

// Settings of the nodes of a devnet (spec chain.md h.5).
const (
	waitDeals = 8 * time.Second
	cooldown  = 4 * time.Second
	// startBuffer is how many epochs before a deal's start its sector must be sealing.
	startBuffer = 20
)

// confidence is how many epochs on top of a message the nodes wait for: two, or one that lasts
// as long as two of the insecure devnet's. What undoes blocks is time without contact, however
// many epochs are in it.
func confidence(n types.Network) int64 {
	if n.EpochSeconds < 8 {
		return 2
	}
	return 1
}

// InitRepos makes a repo for every member under dir, named after it. Each node gets fixed
// ports on the loopback interface and knows all others.
func (b *Birth) InitRepos(ctx context.Context, dir string) error {
	for i := range b.Members {
		cfg, err := b.config(i)
		if err != nil {
			return err
		}
		m := b.Members[i]
		err = repo.Init(ctx, filepath.Join(dir, m.Name), b.Network, bytes.NewReader(b.CAR), repo.Options{
			Config: &cfg,
			Fill:   func(_ context.Context, dir string) error { return m.fill(dir) },
		})
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	return nil
}

func (b *Birth) config(i int) (repo.Config, error) {
	m := b.Members[i]
	cfg := repo.DefaultConfig()
	cfg.API.ListenAddress = "/ip4/127.0.0.1/tcp/0/http"
	cfg.Libp2p.ListenAddresses = listenAddrs(m.Port)
	for j, other := range b.Members {
		if j == i {
			continue
		}
		key, err := host.Identity(other.Identity)
		if err != nil {
			return repo.Config{}, err
		}
		id, err := peer.IDFromPrivateKey(key)
		if err != nil {
			return repo.Config{}, err
		}
		for _, a := range listenAddrs(other.Port) {
			cfg.Libp2p.Bootstrap = append(cfg.Libp2p.Bootstrap, a+"/p2p/"+id.String())
		}
	}
	cfg.Sealing.Confidence = confidence(b.Network)
	cfg.Sealing.WaitDealsDelay = waitDeals
	cfg.Sealing.Cooldown = cooldown
	cfg.Sealing.StartEpochSealingBuffer = startBuffer
	cfg.Retrieval.ListenAddress = "127.0.0.1:0"
	if m.Miner != address.Undef {
		cfg.Mining.Miner, cfg.Mining.Enabled = m.Miner.String(), true
	}
	return cfg, nil
}

func listenAddrs(port int) []string {
	return []string{fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", port), fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", port)}
}

// Ports of nodes are below those that systems give to outgoing connections and to listeners
// without a wish, 32768 and up on Linux, 49152 on others: any program's connection can hold one
// of those when a node starts, be it now or after a night.
const (
	firstPort = 10_000
	lastPort  = 32_767
)

// freePort finds a port that is free for TCP and for UDP. Another program may take it before
// we do; the node's start then says so. taken are those of other nodes, which do not run yet.
func freePort(taken map[int]bool) (int, error) {
	last := errors.New("other nodes have them")
	for range 64 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if taken[port] {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			last = err
			continue
		}
		u, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		l.Close()
		if err == nil {
			u.Close()
			taken[port] = true
			return port, nil
		}
		last = err
	}
	return 0, fmt.Errorf("no port from %d to %d is free for both TCP and UDP on the loopback interface: %w", firstPort, lastPort, last)
}

// fill puts the member's keys and sectors into its new repo. The keys are not encrypted:
// whoever makes a devnet wants no passphrase, and its money is worth nothing.
func (m *Member) fill(dir string) error {
	keystore := filepath.Join(dir, "keystore")
	keys, err := wallet.Open(keystore, wallet.Options{Plain: true})
	if err != nil {
		return err
	}
	for _, k := range m.Keys {
		if _, err := keys.Import(wallet.KeyInfo{Type: k.Type, PrivateKey: k.Private}); err != nil {
			return err
		}
	}
	identity, err := os.ReadFile(m.Identity)
	if err != nil {
		return err
	}
	if err := repo.WriteFile(node.IdentityPath(keystore), identity, 0o600); err != nil {
		return err
	}
	if m.Preseal == "" {
		return nil
	}
	return os.Rename(m.Preseal, filepath.Join(dir, node.PresealDir))
}
