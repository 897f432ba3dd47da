package retrieval

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2pswarm "github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/market/car"
	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multihash"
)

func TestFetch(t *testing.T) {
	for _, n := range []int{1, 1024, 1025, 100_000} {
		var store types.MemBlocks
		want := content(n, 1)
		imp := file(t, &store, want)
		got, err := fetch(t, imp.Root, serve(t, &store).URL)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: %d came back (%v)", n, len(got), err)
		}
	}
}

// An empty file cannot be imported, but others may have one.
func TestFetchNothing(t *testing.T) {
	c, err := cid.V1Builder{Codec: cid.Raw, MhType: multihash.SHA2_256}.Sum(nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := blocks.NewBlockWithCid(nil, c)
	if err != nil {
		t.Fatal(err)
	}
	var store types.MemBlocks
	if err := store.Put(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if got, err := fetch(t, c, serve(t, &store).URL); err != nil || len(got) != 0 {
		t.Fatalf("%d bytes came back (%v)", len(got), err)
	}
}

// A retrieval that finds nothing keeps no connection: the server, which would keep it for
// ever, sees it closed.
func TestFetchInVainLeavesNoConnection(t *testing.T) {
	var store types.MemBlocks
	imp := file(t, &store, content(100, 1))
	closed := make(chan struct{}, 1)
	srv := httptest.NewUnstartedServer(New(Config{}, nil, &types.MemBlocks{}, nil, nil, quiet).Handler())
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateClosed {
			closed <- struct{}{}
		}
	}
	srv.Start()
	defer srv.Close()
	var missing Missing
	if _, err := fetch(t, imp.Root, srv.URL); !errors.As(err, &missing) {
		t.Errorf("got %v", err)
	}
	select {
	case <-closed:
	case <-time.After(time.Minute): // names what never came
		t.Error("the connection is kept")
	}
}

func TestFetchRepeatedBlocks(t *testing.T) {
	var store types.MemBlocks
	want := make([]byte, 200_000)
	imp := file(t, &store, want)
	srv := serve(t, &store)
	if got, err := fetch(t, imp.Root, srv.URL); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes came back (%v)", len(got), err)
	}
	// A server that leaves out duplicates whatever it is asked for.
	nodups := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Accept", strings.ReplaceAll(r.Header.Get("Accept"), "dups=y", "dups=n"))
		srv.Config.Handler.ServeHTTP(w, r)
	}))
	defer nodups.Close()
	if got, err := fetch(t, imp.Root, nodups.URL); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("without duplicates: %d bytes came back (%v)", len(got), err)
	}
}

func TestFetchFromSeveral(t *testing.T) {
	var store types.MemBlocks
	want := content(100_000, 2)
	imp := file(t, &store, want)
	even := make(map[cid.Cid]bool)
	for i, c := range leaves(t, &store, imp.Root) {
		even[c] = i%2 == 0
	}
	a := serve(t, failing{Blocks: &store, lost: func(c cid.Cid) bool { v, leaf := even[c]; return leaf && v }})
	b := serve(t, failing{Blocks: &store, lost: func(c cid.Cid) bool { v, leaf := even[c]; return leaf && !v }})
	if got, err := fetch(t, imp.Root, a.URL, b.URL); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes came back (%v)", len(got), err)
	}
	if _, err := fetch(t, imp.Root, a.URL); !errors.As(err, &Missing{}) {
		t.Errorf("from one that lacks blocks: %v", err)
	}
	// One that lies is passed over.
	liar := serve(t, failing{Blocks: &store, changed: func(c cid.Cid) bool { return even[c] }})
	if got, err := fetch(t, imp.Root, liar.URL, b.URL, a.URL); err != nil || !bytes.Equal(got, want) {
		t.Errorf("with a liar: %d bytes came back (%v)", len(got), err)
	}
	if _, err := fetch(t, imp.Root, liar.URL); !errors.As(err, &Missing{}) || !strings.Contains(err.Error(), car.ErrHash.Error()) {
		t.Errorf("from a liar alone: %v", err)
	}
}

func TestFetchRefuses(t *testing.T) {
	var store types.MemBlocks
	imp := file(t, &store, content(5000, 3))
	srv := serve(t, &store)
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	if _, err := fetch(t, imp.Root, down.URL); !errors.As(err, &Missing{}) {
		t.Errorf("provider down: %v", err)
	}
	if got, err := fetch(t, imp.Root, down.URL, srv.URL); err != nil || len(got) != 5000 {
		t.Errorf("one of two down: %v", err)
	}
	other, _ := cid.V1Builder{Codec: cid.Raw, MhType: 0x12}.Sum([]byte("nobody has it"))
	if _, err := fetch(t, other, srv.URL); !errors.As(err, &Missing{}) {
		t.Errorf("unknown root: %v", err)
	}
	if _, err := fetch(t, imp.Root); !errors.Is(err, ErrNoProviders) {
		t.Errorf("no provider: %v", err)
	}
	if _, err := fetch(t, folder(t, &store, 3), srv.URL); !errors.Is(err, ErrNotFile) {
		t.Errorf("a folder: %v", err)
	}
	out := filepath.Join(t.TempDir(), "there")
	os.WriteFile(out, []byte("mine"), 0o600)
	_, err := NewFetcher(nil, quiet).Fetch(context.Background(), Request{Root: imp.Root, Providers: []Provider{{URL: srv.URL}}, Out: out})
	if got, _ := os.ReadFile(out); !errors.Is(err, ErrExists) || string(got) != "mine" {
		t.Errorf("an existing file: %v, now %q", err, got)
	}
	for _, s := range []string{"", "http://", "/ip4/1.2.3.4/tcp/80", "ftp://x", "/ip4/999/http"} {
		if p, err := ParseProvider(s); err == nil {
			t.Errorf("provider %q is taken as %v", s, p)
		}
	}
}

// TestMalformedFile has blocks with right hashes and wrong sizes.
func TestMalformedFile(t *testing.T) {
	ctx := context.Background()
	var store types.MemBlocks
	leaf := merkledag.NewRawNode([]byte("twelve bytes"))
	fs := unixfs.NewFSNode(unixfs.TFile)
	fs.AddBlockSize(99)
	data, _ := fs.GetBytes()
	n := merkledag.NodeWithData(data)
	n.SetCidBuilder(merkledag.V1CidPrefix())
	n.AddNodeLink("", leaf)
	store.PutMany(ctx, []blocks.Block{leaf, n})
	if _, err := fetch(t, n.Cid(), serve(t, &store).URL); err == nil || !strings.Contains(err.Error(), "malformed") {
		t.Errorf("got %v", err)
	}
}

type finder []Provider

func (f finder) Find(context.Context, cid.Cid) ([]Provider, error) { return f, nil }

func TestFetchByPeer(t *testing.T) {
	var store types.MemBlocks
	want := content(300_000, 9)
	imp := file(t, &store, want)
	web := serve(t, &store)
	webAddr := multiaddr.StringCast(strings.Replace(strings.Replace(web.URL, "http://", "/ip4/", 1), ":", "/tcp/", 1) + "/http")
	for _, c := range []struct {
		name string
		http []multiaddr.Multiaddr
		from string
	}{
		{"over a stream", nil, "by libp2p"},
		{"over HTTP", []multiaddr.Multiaddr{webAddr}, web.URL},
		{"HTTP is not reachable", []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/1/http")}, "by libp2p"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ph, ch := newHost(t), newHost(t)
			srv := New(Config{HTTP: func() []multiaddr.Multiaddr { return c.http }, Bitswap: true}, ph, &store, nil, nil, quiet)
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- srv.Run(ctx) }()
			defer func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}()
			waitFor(t, ph, ProtocolHTTP)
			ai := peer.AddrInfo{ID: ph.ID(), Addrs: ph.Addrs()}
			out := filepath.Join(t.TempDir(), "out")
			for _, a := range ph.Addrs() { // it was down a moment ago
				ch.Network().(*libp2pswarm.Swarm).Backoff().AddBackoff(ph.ID(), a)
			}
			p, err := NewFetcher(ch, quiet, finder{{Peer: ai}}).Fetch(ctx, Request{Root: imp.Root, Out: out})
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := os.ReadFile(out); !bytes.Equal(got, want) || p.Bytes != uint64(len(want)) || p.Total != p.Bytes || !strings.Contains(p.From, c.from) {
				t.Fatalf("%d bytes came back, %+v", len(got), p)
			}
			ts, err := QueryTransports(ctx, ch, ph.ID())
			if err != nil || ts[len(ts)-1].Name != "bitswap" || len(ts) != 1+min(1, len(c.http)) {
				t.Errorf("transports %v (%v)", ts, err)
			}
		})
	}
}
