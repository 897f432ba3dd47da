package nodelife_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filecoin-project/go-state-types/big"
	"go.uber.org/goleak"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/devnet"
	"github.com/lodenet/lode/network/host/hosttest"
	"github.com/lodenet/lode/node"
	"github.com/lodenet/lode/repo"
)

// Libraries start goroutines when they are loaded; those are not ours.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

// birth makes a network of a miner and a light node, and gives their repos.
func birth(t *testing.T, start func() time.Time) (miner, light string) {
	t.Helper()
	n := types.Devnet()
	n.Policy.SectorSize, n.Policy.MinPower = 2<<10, 2<<10
	dir := t.TempDir()
	b, err := devnet.Create(t.Context(), filepath.Join(dir, "birth"), devnet.Spec{Network: n, Nodes: 2, Miners: 1, PresealedSectors: 1}, start, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.InitRepos(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, b.Members[0].Name), filepath.Join(dir, b.Members[1].Name)
}

// alone are settings of a node that listens on free ports and knows nobody.
var alone = []string{
	"LODE_API_LISTENADDRESS=/ip4/127.0.0.1/tcp/0/http", "LODE_RETRIEVAL_LISTENADDRESS=127.0.0.1:0", "LODE_LIBP2P_BOOTSTRAP=",
	"LODE_LIBP2P_LISTENADDRESSES=/ip4/127.0.0.1/tcp/0,/ip4/127.0.0.1/udp/0/quic-v1",
}

func open(t *testing.T, dir string, env []string) *repo.Repo {
	t.Helper()
	r, err := repo.Open(dir, env)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func build(t *testing.T, dir string) *node.Node {
	t.Helper()
	n, err := node.New(t.Context(), node.Options{Repo: open(t, dir, alone), Log: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func start(t *testing.T, n *node.Node) {
	t.Helper()
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func stop(t *testing.T, n *node.Node) {
	t.Helper()
	if err := n.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// Whatever may be asked of a node is asked by many while it starts and stops; the race
// detector looks on.
func TestL08QuestionsDuringStartAndStop(t *testing.T) {
	_, light := birth(t, time.Now)
	for range 2 {
		n := build(t, light)
		quit := make(chan struct{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				api := n.API()
				for {
					select {
					case <-quit:
						return
					default:
					}
					// Answers do not matter here, and after the stop there are none.
					_, _ = api.ChainHead(t.Context())
					_, _ = api.NetPeers(t.Context())
					_, _ = api.NodeStatus(t.Context(), true)
					_, _ = api.MpoolPending(t.Context(), types.TipSetKey{})
					_, _ = api.SyncState(t.Context())
					_, _ = api.WalletList(t.Context())
					_ = n.Err()
				}
			})
		}
		start(t, n)
		stop(t, n)
		close(quit)
		wg.Wait()
	}
}

// The order is that of node/parts.go: protocols before the host listens, own work after the
// chain can be followed, the RPC server last; what was open before New's parts is closed last.
func TestL12Order(t *testing.T) {
	miner, light := birth(t, time.Now)
	for _, c := range []struct {
		name, dir string
		want      string
	}{
		{"light", light, strings.Replace(order, "PROVIDER", "", 1)},
		{"miner", miner, strings.Replace(order, "PROVIDER", "provider; provider watch;", 1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := build(t, c.dir)
			defer stop(t, n)
			var want []string
			for p := range strings.SplitSeq(c.want, ";") {
				if p = strings.TrimSpace(p); p != "" {
					want = append(want, p)
				}
			}
			if got := n.Parts(); !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "; "), strings.Join(want, "; "))
			}
		})
	}
}

const order = `repo; database; chain store; libp2p host; imports; disk; disk watch; chain store watch; imports watch; dispatcher; gossip; hello; chain exchange; dht;
	chain bitswap; content bitswap; gateway port; content over libp2p; tunnels; message pool; gossip messages; message index; syncer; protocols ready; peers' heads;
	peers; stall watch; listen; host; announcer; outbox; gateway; deals made; PROVIDER subscriptions; rpc port; rpc`

// What a caller does to settings that it was given is nothing to the node.
func TestL14SettingsAreCopied(t *testing.T) {
	_, light := birth(t, time.Now)
	r := open(t, light, alone)
	c := r.Config()
	for i := range c.Libp2p.ListenAddresses {
		c.Libp2p.ListenAddresses[i] = "/ip4/255.255.255.255/tcp/1"
	}
	n, err := node.New(t.Context(), node.Options{Repo: r, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	start(t, n)
	stop(t, n)
}

// A call that comes when the node is down gets an error or what memory holds; nothing
// panics.
func TestL15CallsAfterStop(t *testing.T) {
	_, light := birth(t, time.Now)
	n := build(t, light)
	start(t, n)
	api := n.API()
	head, err := api.ChainHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	from, err := api.WalletDefaultAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stop(t, n)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := api.MpoolPushMessage(ctx, &types.Message{From: from, To: from, Value: big.NewInt(1)}, nil); err == nil {
		t.Error("a message was sent by a node that is down")
	}
	if _, err := api.ChainGetMessage(ctx, head.Cids()[0]); err == nil {
		t.Error("a store that is closed gave a message")
	}
	if _, err := api.ChainNotify(ctx); err == nil {
		t.Error("a node that is down took a subscription")
	}
	if err := n.Start(ctx); err == nil {
		t.Error("a node was started twice")
	}
}

// A node that reaches nobody is up at once; nothing of its start waits for a peer. The time
// is virtual, so it holds on any machine.
func TestL16StartWithoutPeers(t *testing.T) {
	bubble := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	_, light := birth(t, func() time.Time { return bubble.Add(-time.Hour) })
	synctest.Test(t, func(t *testing.T) {
		h := hosttest.Simulated(t, 1, time.Millisecond)[0]
		r := open(t, light, []string{"LODE_API_LISTENADDRESS=", "LODE_RETRIEVAL_LISTENADDRESS=",
			"LODE_LIBP2P_BOOTSTRAP=/ip4/9.9.9.9/udp/8000/quic-v1/p2p/12D3KooWSHj3RRbBjD15g6wekV8y3mm57Pobmps2g2WJm6F67Lay"})
		n, err := node.New(t.Context(), node.Options{Repo: r, Log: hosttest.Quiet(), Clock: clock.System{}, Host: h})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		start(t, n)
		if took := time.Since(begin); took >= 2*time.Second {
			t.Errorf("the start took %s", took)
		}
		time.Sleep(time.Minute) // and it goes on waiting
		if err := n.Err(); err != nil {
			t.Error(err)
		}
		stop(t, n)
	})
}

// A second node on a repo is refused with the first one's process number; every way to fail
// gives the lock back.
func TestL17OneNodeARepo(t *testing.T) {
	_, light := birth(t, time.Now)
	n := build(t, light)
	start(t, n)
	_, err := repo.Open(light, alone)
	var locked *repo.LockedError
	if !errors.As(err, &locked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("a second node: got %v, want the process %d", err, os.Getpid())
	}
	stop(t, n)
	identity := node.IdentityPath(filepath.Join(light, "keystore"))
	for name, c := range map[string]struct {
		mode os.FileMode // of the identity; one that others may read is refused
		env  []string
	}{
		"fails in New":   {mode: 0o644},
		"fails in Start": {mode: 0o600, env: []string{"LODE_LIBP2P_LISTENADDRESSES=/ip4/192.0.2.1/tcp/1"}}, // nobody's address
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.Chmod(identity, c.mode); err != nil {
				t.Fatal(err)
			}
			attempt := func() {
				t.Helper()
				n, err := node.New(t.Context(), node.Options{Repo: open(t, light, append(slices.Clone(alone), c.env...)), Log: slog.New(slog.DiscardHandler)})
				if (err != nil) != (c.env == nil) {
					t.Errorf("New: %v", err)
				}
				if err == nil {
					err = n.Start(t.Context())
				}
				if err == nil {
					t.Fatal("it started")
				}
			}
			attempt() // the first opens what libraries keep open
			before := descriptors(t)
			attempt()
			if after := settled(t, before); after > before {
				t.Errorf("%d descriptors before, %d after", before, after)
			}
		})
	}
	if err := os.Chmod(identity, 0o600); err != nil {
		t.Fatal(err)
	}
	stop(t, build(t, light))
}

// A node is built, started and stopped over and over on one repo, and nothing grows. The
// first rounds fill caches of libraries and do not count.
func TestL19Restarts(t *testing.T) {
	const warm = 3
	rounds := 8
	if os.Getenv("LODE_LONG") != "" {
		rounds = 100
	}
	_, light := birth(t, time.Now)
	var before resources
	var known goleak.Option
	for i := range warm + rounds {
		n := build(t, light)
		start(t, n)
		stop(t, n)
		if i == warm-1 {
			before, known = take(t), goleak.IgnoreCurrent()
		}
	}
	if err := ended(known); err != nil {
		t.Error(err)
	}
	settled(t, before.descriptors)
	after := take(t)
	t.Logf("before %+v, after %d restarts %+v", before, rounds, after)
	if after.descriptors > before.descriptors {
		t.Errorf("%d descriptors before, %d after", before.descriptors, after.descriptors)
	}
	// 2 % is the measure of the long run, where the share of one round is small.
	if allowed := before.heap + before.heap/50 + 1<<20; after.heap > allowed {
		t.Errorf("the heap grew from %d to %d bytes, at most %d is allowed", before.heap, after.heap, allowed)
	}
}

type resources struct {
	descriptors int
	heap        uint64
}

func take(t *testing.T) resources {
	t.Helper()
	runtime.GC()
	runtime.GC() // finalizers of the first may free more
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return resources{descriptors(t), m.HeapAlloc}
}

// ended looks for goroutines until there are none but the known ones, or for about a minute:
// some of libp2p's end a moment after it says so, and a look lasts for half a second.
func ended(known goleak.Option) (err error) {
	for range 120 {
		if err = goleak.Find(known); err == nil {
			return nil
		}
	}
	return err
}

// settled is how many files are open when they are no more than most, or after a minute.
// Sockets are closed by goroutines of libp2p's, a moment after it says so.
func settled(t *testing.T, most int) int {
	t.Helper()
	late := time.NewTicker(20 * time.Millisecond)
	defer late.Stop()
	for range 3000 {
		if n := descriptors(t); n <= most {
			return n
		}
		<-late.C
	}
	return descriptors(t)
}

// descriptors are how many files of this process are open, or 0 where the system does not
// tell.
func descriptors(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}
