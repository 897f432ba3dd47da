package devnet

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/dht"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/node"
	"github.com/lodenet/lode/repo"
)

// offlineNode starts the only node of a network without a network.
func offlineNode(t *testing.T) *node.Node {
	t.Helper()
	dir := t.TempDir()
	birth, err := Create(t.Context(), filepath.Join(dir, "birth"), testSpec(1), time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := birth.InitRepos(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	r, err := repo.Open(filepath.Join(dir, birth.Members[0].Name), []string{"LODE_LIBP2P_OFFLINE=true", "LODE_LIBP2P_BOOTSTRAP=/ip4/127.0.0.1/tcp/1/p2p/12D3KooWERnvgQMjdPUAu935g9NZURgr8xLu9gQ6nyxjpizRCdct"})
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.New(t.Context(), node.Options{Repo: r, Log: testLog(t), Clock: clock.System{}, Name: "alone"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestL18OfflineAPI calls every method of a node without a network: none panics, and those
// that need a peer say that the node is offline.
func TestL18OfflineAPI(t *testing.T) {
	n := offlineNode(t)
	a := n.API()
	ctx := t.Context()
	other, err := peer.Decode("12D3KooWERnvgQMjdPUAu935g9NZURgr8xLu9gQ6nyxjpizRCdct")
	if err != nil {
		t.Fatal(err)
	}
	root := n.API()
	head, err := root.ChainHead(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c := head.Cids()[0]
	_, errFind := a.NetFindPeer(ctx, other)
	_, errPing := a.NetPing(ctx, other)
	_, errProvs := a.DhtFindProviders(ctx, c, 1)
	_, errQuery := a.DhtQuery(ctx, other)
	for name, err := range map[string]error{
		"NetConnect": a.NetConnect(ctx, peer.AddrInfo{ID: other}), "NetFindPeer": errFind, "NetPing": errPing,
		"DhtFindProviders": errProvs, "DhtQuery": errQuery,
	} {
		if !errors.Is(err, host.ErrOffline) && !errors.Is(err, dht.ErrOffline) {
			t.Errorf("%s: %v", name, err)
		}
	}
	events, err := a.Retrieve(ctx, &api.RetrieveOrder{Root: c, Output: filepath.Join(t.TempDir(), "x"), Bitswap: true})
	if err != nil {
		t.Fatal(err)
	}
	for e := range events {
		if e.Done || e.Err == "" {
			t.Errorf("fetched what is not here: %+v", e)
		}
	}
	status, err := a.NodeStatus(ctx, true)
	if err != nil || status.Healthy || status.Reason != "the node is offline" {
		t.Errorf("status %+v, %v", status, err)
	}
	if peers, err := a.NetSessions(ctx); err != nil || len(peers) != 0 {
		t.Errorf("peers %v, %v", peers, err)
	}
	if boot, err := a.NetBootstrapList(ctx); err != nil || len(boot) != 0 {
		t.Errorf("bootstrap %v, %v", boot, err)
	}
	callAll(t, a)
}

// callAll calls every method with nothing, as a careless client would.
func callAll(t *testing.T, a *node.API) {
	v, want := reflect.ValueOf(a), reflect.TypeFor[api.Node]()
	for i := range want.NumMethod() {
		name := want.Method(i).Name
		if name == "Shutdown" {
			continue
		}
		if err := callOne(t, v.MethodByName(name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// callOne calls one method and turns a panic into an error.
func callOne(t *testing.T, f reflect.Value) (err error) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	in := []reflect.Value{reflect.ValueOf(ctx)}
	for i := 1; i < f.Type().NumIn(); i++ {
		in = append(in, reflect.Zero(f.Type().In(i)))
	}
	f.Call(in)
	return nil
}
