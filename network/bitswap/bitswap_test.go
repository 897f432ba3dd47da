package bitswap_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/boxo/blockstore"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/network/bitswap"
	"github.com/lodenet/lode/network/dht"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/host/hosttest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func memStore() blockstore.Blockstore {
	return blockstore.NewBlockstore(dssync.MutexWrap(datastore.NewMapDatastore()))
}

// run starts an exchange until the test ends.
func run(t *testing.T, h *host.Host, bs blockstore.Blockstore, opt bitswap.Options) *bitswap.Exchange {
	t.Helper()
	e := bitswap.New(h, bs, opt, hosttest.Quiet())
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := e.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	<-e.Ready()
	return e
}

func put(t *testing.T, bs blockstore.Blockstore, text string) blocks.Block {
	t.Helper()
	b := blocks.NewBlock([]byte(text))
	if err := bs.Put(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFetchOverLoopback(t *testing.T) {
	hosts := hosttest.Loopback(t, 3)
	stores := []blockstore.Blockstore{memStore(), memStore(), memStore()}
	var nodes []*bitswap.Exchange
	for i, h := range hosts {
		nodes = append(nodes, run(t, h, stores[i], bitswap.Options{Prefix: bitswap.ChainPrefix}))
	}
	hosttest.Listen(t, hosts...)
	hosttest.Mesh(t, hosts...)
	var want []cid.Cid
	for i := range 100 {
		want = append(want, put(t, stores[1+i%2], fmt.Sprintf("block %d", i)).Cid())
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b, err := nodes[0].GetBlock(ctx, want[0])
	if err != nil || string(b.RawData()) != "block 0" {
		t.Fatalf("got %v, %v", b, err)
	}
	ch, err := nodes[0].NewSession(ctx).GetBlocks(ctx, want)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[cid.Cid]bool)
	for b := range ch {
		got[b.Cid()] = true
	}
	if len(got) != len(want) {
		t.Errorf("%d of %d blocks came", len(got), len(want))
	}
	if has, err := stores[0].Has(ctx, want[0]); has || err != nil {
		t.Errorf("fetched blocks are stored without being asked to: %v, %v", has, err)
	}
	if !slices.Contains(hosts[0].Mux().Protocols(), "/chain/ipfs/bitswap/1.2.0") {
		t.Errorf("speaks %v", hosts[0].Mux().Protocols())
	}
}

// A want is told to peers that connect later, and the wait ends with the context.
// A block that no connected peer has comes from one that announced it in the DHT.
func TestFindsProviders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 3, 20*time.Millisecond)
		var tables []*dht.Table
		for _, h := range hosts {
			d, err := dht.New(h, "net", dht.Auto)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() {
				if err := d.Run(ctx); err != nil {
					t.Errorf("Run: %v", err)
				}
			})
			t.Cleanup(func() { cancel(); wg.Wait() })
			<-d.Ready()
			tables = append(tables, d)
		}
		store := memStore()
		run(t, hosts[1], store, bitswap.Options{})
		asker := run(t, hosts[2], memStore(), bitswap.Options{Finder: tables[2]})
		alone := run(t, hosts[0], memStore(), bitswap.Options{})
		hosttest.Listen(t, hosts...)
		hosttest.Connect(t, hosts[1], hosts[0])
		hosttest.Connect(t, hosts[2], hosts[0])
		time.Sleep(5 * time.Second)
		b := put(t, store, "far away")
		if err := tables[1].Provide(t.Context(), b.Cid()); err != nil {
			t.Fatal(err)
		}
		// The tables may have made the two meet.
		if err := hosts[2].Network().ClosePeer(hosts[1].ID()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if len(hosts[2].Network().ConnsToPeer(hosts[1].ID())) != 0 {
			t.Fatal("they are still connected")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		got, err := asker.GetBlock(ctx, b.Cid())
		if err != nil || string(got.RawData()) != "far away" {
			t.Errorf("got %v, %v", got, err)
		}
		if s, err := alone.Stats(); err != nil || s.BlocksSent != 0 {
			t.Errorf("the node in between sent %d blocks, %v", s.BlocksSent, err)
		}
	})
}

func TestWaitsForAPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 2, 20*time.Millisecond)
		stores := []blockstore.Blockstore{memStore(), memStore()}
		a := run(t, hosts[0], stores[0], bitswap.Options{})
		run(t, hosts[1], stores[1], bitswap.Options{})
		hosttest.Listen(t, hosts...)
		b := put(t, stores[1], "late")
		short, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := a.GetBlock(short, b.Cid()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without peers: %v", err)
		}
		long, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		done := make(chan error)
		go func() {
			_, err := a.GetBlock(long, b.Cid())
			done <- err
		}()
		time.Sleep(10 * time.Second)
		hosttest.Connect(t, hosts[1], hosts[0])
		if err := <-done; err != nil {
			t.Errorf("after the peer came: %v", err)
		}
	})
}

// Content and chain are two exchanges that know nothing of one another; a filter keeps
// blocks back.
func TestTwoExchangesAndFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 2, 20*time.Millisecond)
		chain, content := memStore(), memStore()
		state, file, secret := put(t, chain, "state"), put(t, content, "file"), put(t, content, "secret")
		run(t, hosts[0], chain, bitswap.Options{Prefix: bitswap.ChainPrefix})
		run(t, hosts[0], content, bitswap.Options{Serve: func(_ peer.ID, c cid.Cid) bool { return c != secret.Cid() }})
		chainSwap := run(t, hosts[1], memStore(), bitswap.Options{Prefix: bitswap.ChainPrefix})
		contentSwap := run(t, hosts[1], memStore(), bitswap.Options{})
		hosttest.Listen(t, hosts...)
		hosttest.Mesh(t, hosts...)
		for _, c := range []struct {
			name string
			from *bitswap.Exchange
			cid  cid.Cid
			ok   bool
		}{
			{"chain block by chain", chainSwap, state.Cid(), true},
			{"file by content", contentSwap, file.Cid(), true},
			{"file by chain", chainSwap, file.Cid(), false},
			{"chain block by content", contentSwap, state.Cid(), false},
			{"what is kept back", contentSwap, secret.Cid(), false},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			_, err := c.from.GetBlock(ctx, c.cid)
			cancel()
			if (err == nil) != c.ok {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	})
}

func TestEndsWithRun(t *testing.T) {
	h := hosttest.Loopback(t, 1)[0]
	e := bitswap.New(h, memStore(), bitswap.Options{}, hosttest.Quiet())
	ctx, cancel := context.WithCancel(t.Context())
	early := make(chan error)
	go func() { // before Run: waits for it
		_, err := e.GetBlock(t.Context(), blocks.NewBlock([]byte("x")).Cid())
		early <- err
	}()
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	<-e.Ready()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := <-early; err == nil {
		t.Error("a fetch outlived the exchange and succeeded")
	}
	if _, err := e.GetBlock(t.Context(), blocks.NewBlock([]byte("y")).Cid()); !errors.Is(err, bitswap.ErrClosed) {
		t.Errorf("after Run: %v", err)
	}
	if _, err := e.NewSession(t.Context()).GetBlock(t.Context(), blocks.NewBlock([]byte("y")).Cid()); !errors.Is(err, bitswap.ErrClosed) {
		t.Errorf("session after Run: %v", err)
	}
}
