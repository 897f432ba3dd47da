package deal_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/market/dag"
	"github.com/lodenet/lode/market/deal"
	"github.com/lodenet/lode/market/deal/client"
	"github.com/lodenet/lode/market/deal/provider"
	"github.com/lodenet/lode/market/pieces"
	"github.com/lodenet/lode/repo"
)

// seat is one side's host and folder, which outlive its process.
type seat struct {
	host   host.Host
	dir    string
	blocks *types.MemBlocks
}

func newSeat(t testing.TB) seat { return seat{newHost(t), t.TempDir(), &types.MemBlocks{}} }

// deps is what a process sees of the world; a crash puts itself in between.
type deps interface {
	deal.Chain
	deal.Outbox
	deal.Signer
	provider.Sealer
}

// running is a part that runs until stop, which waits for it.
type running struct {
	cancel context.CancelFunc
	done   chan error
	close  func()
}

func run(ctx context.Context, f func(context.Context) error, closeAll func()) *running {
	ctx, cancel := context.WithCancel(ctx)
	r := &running{cancel: cancel, done: make(chan error, 1), close: closeAll}
	go func() { r.done <- f(ctx) }()
	return r
}

func (r *running) stop(t testing.TB) {
	t.Helper()
	r.cancel()
	if err := <-r.done; err != nil {
		t.Errorf("run: %v", err)
	}
	r.close()
}

func providerConfig(w *world, dir string) provider.Config {
	return provider.Config{
		Miner: w.miner, SectorSize: sectorSize, Staging: filepath.Join(dir, "staging"),
		Retry: 5 * time.Millisecond, Poll: 2 * time.Millisecond,
	}
}

func startProvider(t testing.TB, ctx context.Context, w *world, d deps, s seat, change func(*provider.Config)) (*provider.Provider, *running) {
	t.Helper()
	db := openDB(filepath.Join(s.dir, "lode.db"))
	index, err := pieces.Open(context.Background(), db)
	if err != nil {
		t.Fatal(err)
	}
	cfg := providerConfig(w, s.dir)
	if change != nil {
		change(&cfg)
	}
	p, err := provider.Open(context.Background(), cfg, provider.Deps{
		DB: db, Host: s.host, Chain: d, Outbox: d, Keys: d, Sealer: d, Index: index, Clock: clock.System{}, Log: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, run(ctx, p.Run, func() { closeDB(t, db) })
}

func startClient(t testing.TB, ctx context.Context, d deps, s seat, change ...func(*client.Config)) (*client.Client, *dag.Store, *running) {
	t.Helper()
	db := openDB(filepath.Join(s.dir, "lode.db"))
	files, err := dag.Open(context.Background(), db, s.blocks, clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := client.Config{Poll: 3 * time.Millisecond, MaxPoll: 20 * time.Millisecond, Sweep: 5 * time.Millisecond}
	for _, f := range change {
		f(&cfg)
	}
	c, err := client.Open(context.Background(), cfg, client.Deps{
		DB: db, Host: s.host, Chain: d, Outbox: d, Keys: d, Files: files, Clock: clock.System{}, Log: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c, files, run(ctx, c.Run, func() { closeDB(t, db) })
}

func closeDB(t testing.TB, db *sql.DB) {
	t.Helper()
	if err := repo.CloseDB(context.Background(), db); err != nil {
		t.Error(err)
	}
}

func content(n int, seed byte) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func importFile(t testing.TB, files *dag.Store, data []byte) *dag.Import {
	t.Helper()
	imp, err := files.Import(context.Background(), "file", bytes.NewReader(data), 0, dag.Options{SectorSize: sectorSize})
	if err != nil {
		t.Fatal(err)
	}
	return imp
}

func at(s seat) peer.AddrInfo { return peer.AddrInfo{ID: s.host.ID(), Addrs: s.host.Addrs()} }

// makeDeals retries while the provider's protocols are not registered yet: Run has no event for it.
func makeDeals(t testing.TB, c *client.Client, r client.Request) []*client.Deal {
	t.Helper()
	var ds []*client.Deal
	var err error
	eventually(t, "deals are made", func() bool {
		ds, err = c.Make(context.Background(), r)
		var down deal.Unreachable
		return !errors.As(err, &down)
	})
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

func allIn(t testing.TB, c *client.Client, want client.State) {
	t.Helper()
	eventually(t, "all deals are "+string(want), func() bool {
		ds, err := c.Deals(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range ds {
			if d.State != want {
				if d.State.Ended() {
					t.Fatalf("deal of piece %d is %s: %s", d.Piece, d.State, d.Error)
				}
				return false
			}
		}
		return len(ds) > 0
	})
}

// pair is a running provider and client with a small imported file.
type pair struct {
	w      *world
	wallet *account
	ps     seat
	p      *provider.Provider
	c      *client.Client
	imp    *dag.Import
	req    client.Request
}

func newPair(t *testing.T, change func(*provider.Config)) *pair {
	w := newWorld(t)
	x := &pair{w: w, wallet: w.account(t, 100), ps: newSeat(t)}
	cs := newSeat(t)
	var pr, cr *running
	var files *dag.Store
	x.p, pr = startProvider(t, context.Background(), w, w, x.ps, change)
	x.c, files, cr = startClient(t, context.Background(), w, cs)
	t.Cleanup(func() { cr.stop(t); pr.stop(t) })
	x.imp = importFile(t, files, content(5000, 2))
	x.req = client.Request{Root: x.imp.Root, Provider: w.miner, Client: x.wallet.address, Peer: at(x.ps)}
	// Until the provider answers, nothing can be checked.
	eventually(t, "the provider answers", func() bool {
		_, err := x.c.Check(context.Background(), x.req)
		if down := (deal.Unreachable{}); err != nil && !errors.As(err, &down) {
			t.Fatal(err)
		}
		return err == nil
	})
	return x
}
