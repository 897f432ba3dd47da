package dht_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/dht"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/host/hosttest"
	"github.com/multiformats/go-multihash"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func content(t testing.TB, what string) cid.Cid {
	t.Helper()
	c, err := cid.V1Builder{Codec: cid.Raw, MhType: multihash.SHA2_256}.Sum([]byte(what))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// start runs the DHT of a network on a host until the test ends.
func start(t *testing.T, h *host.Host, net string, mode dht.Mode) (*dht.Table, func()) {
	t.Helper()
	d, err := dht.New(h, net, mode)
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
	stop := sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	<-d.Ready()
	return d, stop
}

// line makes n nodes of one network, each connected to the first alone.
func line(t *testing.T, n int, mode dht.Mode) ([]*host.Host, []*dht.Table) {
	t.Helper()
	hosts := hosttest.Simulated(t, n, 20*time.Millisecond)
	var tables []*dht.Table
	for _, h := range hosts {
		d, _ := start(t, h, "testnet", mode)
		tables = append(tables, d)
	}
	hosttest.Listen(t, hosts...)
	for _, h := range hosts[1:] {
		hosttest.Connect(t, h, hosts[0])
	}
	time.Sleep(5 * time.Second) // the tables look who is a server
	return hosts, tables
}

// Content announced at one node is found at another that is not connected to it, and so is
// the node itself.
func TestProvidersAndPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts, tables := line(t, 4, dht.Auto)
		c := content(t, "a file")
		if err := tables[3].Provide(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		found, err := tables[1].FindProviders(t.Context(), c, 5)
		if err != nil || len(found) != 1 || found[0].ID != hosts[3].ID() {
			t.Errorf("providers %v, %v; want %s", found, err, hosts[3].ID())
		}
		n := 0
		for range tables[2].FindProvidersAsync(t.Context(), c, 0) {
			n++
		}
		if n != 1 {
			t.Errorf("%d providers, want 1", n)
		}
		if found, err := tables[1].FindProviders(t.Context(), content(t, "another"), 5); err != nil || len(found) != 0 {
			t.Errorf("providers of what nobody has: %v, %v", found, err)
		}
		info, err := tables[2].FindPeer(t.Context(), hosts[3].ID())
		if err != nil || len(info.Addrs) == 0 {
			t.Errorf("peer %v, %v", info, err)
		}
		if self, err := tables[2].FindPeer(t.Context(), hosts[2].ID()); err != nil || len(self.Addrs) == 0 {
			t.Errorf("itself: %v, %v", self, err)
		}
		near, err := tables[1].Closest(t.Context(), string(hosts[3].ID()))
		if err != nil || len(near) == 0 || near[0] != hosts[3].ID() {
			t.Errorf("closest %v, %v; want %s first", near, err, hosts[3].ID())
		}
		if s := tables[0].Size(); s < 3 {
			t.Errorf("%d peers in the table of the first", s)
		}
	})
}

// pair is a server of the network "net" that another node has connected to; stop ends the
// server.
func pair(t *testing.T, network string, mode dht.Mode) (server, other *dht.Table, hosts []*host.Host, stop func()) {
	t.Helper()
	hosts = hosttest.Simulated(t, 2, 20*time.Millisecond)
	server, stop = start(t, hosts[0], "net", dht.Server)
	other, _ = start(t, hosts[1], network, mode)
	hosttest.Listen(t, hosts...)
	hosttest.Connect(t, hosts[1], hosts[0])
	time.Sleep(5 * time.Second) // the tables look who is a server
	return server, other, hosts, stop
}

// Nodes of two networks that are connected see nothing of each other's records.
func TestNetworksApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, _, _ := pair(t, "two", dht.Server)
		if a.Size() != 0 || b.Size() != 0 {
			t.Errorf("tables of %d and %d peers, want none", a.Size(), b.Size())
		}
		if err := a.Provide(t.Context(), content(t, "x")); !errors.Is(err, dht.ErrAlone) {
			t.Errorf("announced to a stranger: %v", err)
		}
		if _, err := b.FindProviders(t.Context(), content(t, "x"), 1); !errors.Is(err, dht.ErrAlone) {
			t.Errorf("asked a stranger: %v", err)
		}
		if _, err := b.Closest(t.Context(), "key"); !errors.Is(err, dht.ErrAlone) {
			t.Errorf("asked a stranger: %v", err)
		}
		if _, err := b.FindPeer(t.Context(), hosttest.New(t, 99, host.Options{}).ID()); !errors.Is(err, dht.ErrAlone) {
			t.Errorf("asked a stranger: %v", err)
		}
	})
}

// A client asks and is asked nothing.
func TestClientMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client, hosts, _ := pair(t, "net", dht.Client)
		if server.Size() != 0 || client.Size() != 1 {
			t.Errorf("tables of %d and %d peers, want 0 and 1", server.Size(), client.Size())
		}
		if protos := hosts[1].Mux().Protocols(); slices.Contains(protos, dht.Protocol("net")) {
			t.Error("a client serves the protocol")
		}
		if err := client.Provide(t.Context(), content(t, "x")); err != nil {
			t.Error(err)
		}
	})
	if _, err := dht.New(nil, "net", "sometimes"); err == nil {
		t.Error("an unknown mode was taken")
	}
}

// A search whose results nobody reads has ended when Run has.
func TestStopWaitsForSearches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, other, _, stop := pair(t, "net", dht.Server)
		c := content(t, "x")
		if err := other.Provide(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // the record is on its way
		found := d.FindProvidersAsync(t.Context(), c, 0)
		synctest.Wait() // it has one to give
		stop()
		select {
		case _, open := <-found:
			if open {
				t.Error("a result came after Run")
			}
		default:
			t.Error("the search goes on after Run")
		}
	})
}

// Stopping ends every search and every later call says so.
func TestStopEndsSearches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 2, time.Minute) // answers take longer than the test
		d, stop := start(t, hosts[0], "net", dht.Server)
		early, err := dht.New(hosts[1], "net", dht.Server)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := early.FindPeer(ctx, "p"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("before Run: %v", err)
		}
		stop()
		if _, err := d.FindPeer(t.Context(), "p"); !errors.Is(err, dht.ErrClosed) {
			t.Errorf("FindPeer: %v", err)
		}
		if err := d.Provide(t.Context(), content(t, "x")); !errors.Is(err, dht.ErrClosed) {
			t.Errorf("Provide: %v", err)
		}
		for range d.FindProvidersAsync(t.Context(), content(t, "x"), 0) {
			t.Error("found a provider")
		}
	})
}

func TestOffline(t *testing.T) {
	var r dht.Router = dht.Offline{}
	c := content(t, "x")
	_, errPeer := r.FindPeer(t.Context(), "p")
	_, errProviders := r.FindProviders(t.Context(), c, 1)
	_, errClosest := r.Closest(t.Context(), "k")
	for i, err := range []error{errPeer, errProviders, errClosest, r.Provide(t.Context(), c)} {
		if !errors.Is(err, dht.ErrOffline) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	for range r.FindProvidersAsync(t.Context(), c, 0) {
		t.Error("found a provider")
	}
	if r.Size() != 0 {
		t.Error("an offline table has peers")
	}
}

// book notes what is announced; it refuses while nobody listens.
type book struct {
	dht.Offline
	mu    sync.Mutex
	alone bool
	told  []cid.Cid
}

func (b *book) Provide(_ context.Context, c cid.Cid) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.alone {
		return dht.ErrAlone
	}
	b.told = append(b.told, c)
	return nil
}

func (b *book) set(alone bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.alone = alone
}

func (b *book) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.told)
}

func TestAnnouncer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{alone: true}
		has := []cid.Cid{content(t, "1"), content(t, "2")}
		var mu sync.Mutex
		a := dht.NewAnnouncer(b, func(context.Context) ([]cid.Cid, error) {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(has), nil
		}, clock.System{}, hosttest.Quiet())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		at := func(what string, d time.Duration, want int) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if n := b.count(); n != want {
				t.Errorf("%s: %d announcements, want %d", what, n, want)
			}
		}
		at("alone", time.Minute, 0)
		b.set(false)
		at("with peers", time.Minute, 2)
		add := func(what string) {
			mu.Lock()
			defer mu.Unlock()
			has = append(has, content(t, what))
		}
		add("3")
		a.Add(content(t, "3"))
		at("new content", time.Second, 3)
		add("4")
		at("found by looking", 6*time.Minute, 4)
		at("the same day", 20*time.Hour, 4)
		at("the next day", 3*time.Hour, 8)
		b.set(true)
		add("5")
		a.Add(content(t, "5"))
		at("new content while alone", time.Second, 8)
		b.set(false)
		at("again", time.Minute, 9)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		for i := range 1000 {
			a.Add(content(t, fmt.Sprint(i)))
		}
		if s := a.Stats(); s.Told != 9 || s.Dropped != 1000-256 {
			t.Errorf("stats %+v", s)
		}
	})
}
