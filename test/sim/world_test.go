package sim_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/devnet"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/node"
	"github.com/lodenet/lode/repo"
)

// lead is how long before epoch 0 the world begins.
const lead = 10 * time.Second

// bubbleStart is what the clock of every synctest bubble says first.
var bubbleStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// world is a network of nodes in virtual time.
type world struct {
	t     *testing.T
	dir   string
	birth *devnet.Birth
	ids   []peer.ID
	wires *wires
	nodes []*node.Node // nil: down
	dirs  []string     // repos, which move when a node is killed
	lives []int        // kills so far
	log   *slog.Logger
}

// testNetwork has 2 KiB sectors and the devnet's epochs of 4 s.
func testNetwork() types.Network {
	n := types.Devnet()
	n.Name = "sim"
	n.Policy.SectorSize, n.Policy.MinPower = 2<<10, 2<<10
	return n
}

// create makes the repos of a network, outside the bubble.
func create(t *testing.T, nodes, miners, sectors int) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), log: logger(t)}
	spec := devnet.Spec{Network: testNetwork(), Nodes: nodes, Miners: miners, PresealedSectors: sectors}
	var err error
	w.birth, err = devnet.Create(t.Context(), filepath.Join(w.dir, "birth"), spec, func() time.Time { return bubbleStart.Add(lead) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range w.birth.Members {
		key, err := host.Identity(m.Identity)
		if err != nil {
			t.Fatal(err)
		}
		id, err := peer.IDFromPrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		w.ids = append(w.ids, id)
		w.dirs = append(w.dirs, filepath.Join(w.dir, m.Name))
	}
	w.nodes, w.lives = make([]*node.Node, nodes), make([]int, nodes)
	if err := w.birth.InitRepos(t.Context(), w.dir); err != nil {
		t.Fatal(err)
	}
	return w
}

func logger(t *testing.T) *slog.Logger {
	t.Helper()
	var level slog.Level
	if s := os.Getenv("LODE_SIM_LOG"); s == "" {
		return slog.New(slog.DiscardHandler)
	} else if err := level.UnmarshalText([]byte(s)); err != nil {
		t.Fatalf("LODE_SIM_LOG: %v", err)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

// settings of node i, as a daemon would find them in its environment: no ports of the
// machine, the simulated network only.
func (w *world) settings(i int) []string {
	var others []string
	for j, id := range w.ids {
		if j != i {
			others = append(others, fmt.Sprintf("%s/p2p/%s", endpoint(j), id))
		}
	}
	return []string{
		"LODE_API_LISTENADDRESS=", "LODE_RETRIEVAL_LISTENADDRESS=",
		"LODE_LIBP2P_LISTENADDRESSES=" + endpoint(i),
		"LODE_LIBP2P_BOOTSTRAP=" + strings.Join(others, ","),
	}
}

// start starts node i on its repo.
func (w *world) start(i int) {
	w.t.Helper()
	name := fmt.Sprint("node-", i)
	r, err := repo.Open(w.dirs[i], w.settings(i))
	if err != nil {
		w.t.Fatal(err)
	}
	n, err := node.New(w.t.Context(), node.Options{
		Repo: r, Log: w.log.With("node", name), Clock: clock.System{}, Libp2p: w.wires.options(), Name: name, Version: "sim",
	})
	if err != nil {
		w.t.Fatalf("%s: %v", name, err)
	}
	if err := n.Start(w.t.Context()); err != nil {
		w.t.Fatalf("%s: %v", name, err)
	}
	w.nodes[i] = n
}

// stop stops node i in good order.
func (w *world) stop(i int) {
	w.t.Helper()
	if w.nodes[i] == nil {
		return
	}
	if err := w.nodes[i].Stop(context.WithoutCancel(w.t.Context())); err != nil {
		w.t.Errorf("stop node %d: %v", i, err)
	}
	w.nodes[i] = nil
}

// kill ends node i as a power switch would: what it had on disk at a moment when nothing
// moved is what its next life begins with, and the others hear no good-bye.
func (w *world) kill(i int) {
	w.t.Helper()
	if w.nodes[i] == nil {
		return
	}
	synctest.Wait()
	w.lives[i]++
	next := filepath.Join(w.dir, fmt.Sprintf("node-%d.%d", i, w.lives[i]))
	if err := copyTree(next, w.dirs[i]); err != nil {
		w.t.Fatalf("copy the repo of node %d: %v", i, err)
	}
	w.wires.mute(i, true)
	w.stop(i)
	w.wires.mute(i, false)
	if err := os.RemoveAll(w.dirs[i]); err != nil {
		w.t.Fatal(err)
	}
	w.dirs[i] = next
}

// api of a node that is up.
func (w *world) api(i int) *node.API { return w.nodes[i].API() }

// head of a node that is up.
func (w *world) head(i int) *types.TipSet {
	w.t.Helper()
	ts, err := w.api(i).ChainHead(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return ts
}

func (w *world) epochs() clock.Epochs {
	return clock.Epochs{Genesis: w.birth.Network.GenesisTime, Seconds: w.birth.Network.EpochSeconds}
}

// until sleeps until a moment counted from the beginning of epoch 0.
func (w *world) until(d time.Duration) { time.Sleep(time.Until(w.epochs().Start(0).Add(d))) }

// epoch is the length of one.
func (w *world) epoch() time.Duration {
	return time.Duration(w.birth.Network.EpochSeconds) * time.Second
}

// copyTree copies a folder with its permissions.
func copyTree(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Mkdir(filepath.Join(to, rel), info.Mode().Perm())
		}
		in, err := os.Open(path)
		if err != nil {
			return err
		}
		defer in.Close() // read only
		out, err := os.OpenFile(filepath.Join(to, rel), os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
		if err != nil {
			return err
		}
		_, err = io.Copy(out, in)
		return errors.Join(err, out.Close())
	})
}
