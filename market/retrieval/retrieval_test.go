package retrieval

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/market/car"
	"github.com/lodenet/lode/market/dag"
	"github.com/lodenet/lode/market/pieces"
	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multihash"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite"
	"pgregory.net/rapid"
)

// A library of the actors starts a logging goroutine when it is imported.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/ipfs/go-log/writer.(*MirrorWriter).logRoutine"))
}

var quiet = slog.New(slog.DiscardHandler)

func content(n int, seed byte) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func openDB(t testing.TB) *sql.DB {
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "lode.db"))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

// file imports content for small sectors into a store and returns the root.
func file(t testing.TB, into types.Blocks, data []byte) *dag.Import {
	s, err := dag.Open(context.Background(), openDB(t), into, clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	imp, err := s.Import(context.Background(), "f", bytes.NewReader(data), 0, dag.Options{SectorSize: 32 << 10})
	if err != nil {
		t.Fatal(err)
	}
	return imp
}

func serve(t testing.TB, from types.Blocks) *httptest.Server {
	srv := httptest.NewServer(New(Config{}, nil, from, nil, nil, quiet).Handler())
	t.Cleanup(srv.Close)
	return srv
}

// failing is a block store with some blocks missing or changed.
type failing struct {
	types.Blocks
	lost    func(cid.Cid) bool
	changed func(cid.Cid) bool
}

func (f failing) Get(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	if f.lost != nil && f.lost(c) {
		return nil, ipld.ErrNotFound{Cid: c}
	}
	b, err := f.Blocks.Get(ctx, c)
	if err == nil && f.changed != nil && f.changed(c) {
		d := bytes.Clone(b.RawData())
		d[0] ^= 1
		return blocks.NewBlockWithCid(d, c)
	}
	return b, err
}

// leaves lists the raw blocks under a root.
func leaves(t testing.TB, from types.Blocks, c cid.Cid) []cid.Cid {
	if c.Prefix().Codec == cid.Raw {
		return []cid.Cid{c}
	}
	b, err := from.Get(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	links, err := linksOf(b)
	if err != nil {
		t.Fatal(err)
	}
	var out []cid.Cid
	for _, l := range links {
		out = append(out, leaves(t, from, l)...)
	}
	return out
}

func fetch(t testing.TB, root cid.Cid, from ...string) ([]byte, error) {
	var ps []Provider
	for _, s := range from {
		p, err := ParseProvider(s)
		if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	_, err := NewFetcher(nil, quiet).Fetch(context.Background(), Request{Root: root, Providers: ps, Out: out})
	data, rerr := os.ReadFile(out)
	if (err == nil) != (rerr == nil) {
		t.Fatalf("fetch says %v and the file says %v", err, rerr)
	}
	if left, _ := os.ReadDir(dir); err != nil && len(left) > 0 {
		t.Fatalf("after an error %s is left", left[0].Name())
	}
	return data, err
}

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

type memDAG struct {
	ipld.DAGService
	to types.Blocks
}

func (m memDAG) Add(ctx context.Context, n ipld.Node) error { return m.to.Put(ctx, n) }
func (m memDAG) AddMany(ctx context.Context, ns []ipld.Node) error {
	for _, n := range ns {
		if err := m.Add(ctx, n); err != nil {
			return err
		}
	}
	return nil
}
func (m memDAG) Get(ctx context.Context, c cid.Cid) (ipld.Node, error) {
	b, err := m.to.Get(ctx, c)
	if err != nil {
		return nil, err
	}
	if c.Prefix().Codec == cid.Raw {
		return merkledag.DecodeRawBlock(b)
	}
	return merkledag.DecodeProtobufBlock(b)
}

// folder makes a folder of n small files named f0, f1…; it is sharded from many on.
func folder(t testing.TB, to types.Blocks, n int) cid.Cid {
	ctx := context.Background()
	svc := memDAG{to: to}
	dir, err := uio.NewDirectory(svc, uio.WithCidBuilder(merkledag.V1CidPrefix()))
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		leaf := merkledag.NewRawNode([]byte(fmt.Sprint("file ", i)))
		if err := errors.Join(svc.Add(ctx, leaf), dir.AddChild(ctx, fmt.Sprint("f", i), leaf)); err != nil {
			t.Fatal(err)
		}
	}
	nd, err := dir.GetNode()
	if err == nil {
		err = svc.Add(ctx, nd)
	}
	if err != nil {
		t.Fatal(err)
	}
	return nd.Cid()
}

// cids reads the CIDs of a CAR answer, in order.
func cids(t testing.TB, url string, head ...string) ([]string, *http.Response) {
	t.Helper()
	req, _ := http.NewRequest("GET", url, nil)
	for i := 0; i < len(head); i += 2 {
		req.Header.Set(head[i], head[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	r, err := car.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, res
	}
	var out []string
	for {
		s, err := r.Next()
		if err == io.EOF {
			return out, res
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, s.Cid.String())
	}
}

func TestScopes(t *testing.T) {
	var store types.MemBlocks
	want := content(20_000, 4)
	imp := file(t, &store, want)
	root := imp.Root.String()
	srv := serve(t, &store)
	defer http.DefaultClient.CloseIdleConnections()
	var all []string // the plain depth-first order
	var dfs func(c cid.Cid)
	dfs = func(c cid.Cid) {
		all = append(all, c.String())
		b, err := store.Get(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		links, _ := linksOf(b)
		for _, l := range links {
			dfs(l)
		}
	}
	dfs(imp.Root)
	get := func(q string) []string { got, _ := cids(t, srv.URL+"/ipfs/"+root+"?format=car"+q); return got }
	same := func(name string, got, want []string) {
		t.Helper()
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s:\n got %v\nwant %v", name, got, want)
		}
	}
	same("default", get(""), all)
	same("all", get("&dag-scope=all"), all)
	same("entity", get("&dag-scope=entity"), all)
	same("block", get("&dag-scope=block"), all[:1])
	same("outside", get("&entity-bytes=90000:*"), all[:1])
	lv := leaves(t, &store, imp.Root)
	last := get("&entity-bytes=-1:*")
	if last[0] != root || last[len(last)-1] != lv[len(lv)-1].String() {
		t.Errorf("last byte: %v", last)
	}
	// Any range has exactly the leaves that hold it.
	rapid.Check(t, func(rt *rapid.T) {
		from := rapid.IntRange(0, len(want)-1).Draw(rt, "from")
		to := rapid.IntRange(from, len(want)+10).Draw(rt, "to")
		have := make(map[string]bool)
		for _, c := range get(fmt.Sprintf("&entity-bytes=%d:%d", from, to)) {
			have[c] = true
		}
		for i, c := range lv {
			start, end := i*1024, min((i+1)*1024, len(want))
			if want := start <= to && end > from; have[c.String()] != want {
				rt.Fatalf("bytes %d:%d, leaf %d: sent %v, want %v", from, to, i, !want, want)
			}
		}
	})

	dir := folder(t, &store, 3)
	got, _ := cids(t, srv.URL+"/ipfs/"+dir.String()+"/f1?format=car")
	leaf := merkledag.NewRawNode([]byte("file 1")).Cid().String()
	same("path", got, []string{dir.String(), leaf})
	got, _ = cids(t, srv.URL+"/ipfs/"+dir.String()+"?format=car&dag-scope=entity")
	same("folder entity", got, []string{dir.String()})
	got, _ = cids(t, srv.URL+"/ipfs/"+dir.String()+"?format=car")
	if len(got) != 4 {
		t.Errorf("folder all: %d blocks, want 4", len(got))
	}
}

func TestLargeFolder(t *testing.T) {
	old := uio.HAMTShardingSize
	uio.HAMTShardingSize = 1000
	defer func() { uio.HAMTShardingSize = old }()
	var store types.MemBlocks
	dir := folder(t, &store, 600)
	srv := serve(t, &store)
	defer http.DefaultClient.CloseIdleConnections()
	got, _ := cids(t, srv.URL+"/ipfs/"+dir.String()+"/f77?format=car")
	leaf := merkledag.NewRawNode([]byte("file 77")).Cid().String()
	if len(got) < 3 || got[0] != dir.String() || got[len(got)-1] != leaf {
		t.Errorf("path through shards: %v, want the last to be %s", got, leaf)
	}
	entity, _ := cids(t, srv.URL+"/ipfs/"+dir.String()+"?format=car&dag-scope=entity")
	all, _ := cids(t, srv.URL+"/ipfs/"+dir.String()+"?format=car")
	if len(entity) < 2 || len(all) != len(entity)+600 {
		t.Errorf("entity has %d blocks, all %d; want 600 more", len(entity), len(all))
	}
	if _, res := cids(t, srv.URL+"/ipfs/"+dir.String()+"/none?format=car"); res.StatusCode != 404 {
		t.Errorf("a name that is not there: %s", res.Status)
	}
}

func TestGatewayAnswers(t *testing.T) {
	var store types.MemBlocks
	imp := file(t, &store, content(3000, 5))
	root := imp.Root.String()
	srv := serve(t, &store)
	defer http.DefaultClient.CloseIdleConnections()
	unknown, _ := cid.V1Builder{Codec: cid.Raw, MhType: 0x12}.Sum([]byte("unknown"))
	const carType = "application/vnd.ipld.car;version=1;order=dfs;dups="
	for _, c := range []struct {
		name, method, url string
		head              []string
		status            int
		want              []string // header, value
	}{
		{"car", "GET", root + "?format=car", nil, 200, []string{"Content-Type", carType + "y", "Accept-Ranges", "none", "X-Ipfs-Roots", root, "X-Ipfs-Path", "/ipfs/" + root, "Vary", "Accept, Accept-Encoding", "X-Content-Type-Options", "nosniff", "Cache-Control", cacheForever, "Access-Control-Allow-Origin", "*", "Content-Disposition", `attachment; filename="` + root + `.car"`}},
		{"car by accept", "GET", root, []string{"Accept", "application/vnd.ipld.car;version=1;order=dfs;dups=n"}, 200, []string{"Content-Type", carType + "n"}},
		{"any", "GET", root, []string{"Accept", "*/*"}, 200, []string{"Content-Type", carType + "y"}},
		{"quality", "GET", root, []string{"Accept", "application/vnd.ipld.car;q=0.1, application/vnd.ipld.raw"}, 200, []string{"Content-Type", typeRaw}},
		{"query beats accept", "GET", root + "?format=raw", []string{"Accept", typeCAR}, 200, []string{"Content-Type", typeRaw, "Etag", `"` + root + `.raw"`}},
		{"head", "HEAD", root + "?format=car", nil, 200, []string{"Content-Type", carType + "y"}},
		{"no format", "GET", root, nil, 400, nil},
		{"browser", "GET", root, []string{"Accept", "text/html"}, 400, nil},
		{"version 2", "GET", root + "?format=car&car-version=2", nil, 400, nil},
		{"bad order", "GET", root, []string{"Accept", "application/vnd.ipld.car;order=x"}, 400, nil},
		{"bad dups", "GET", root + "?format=car&car-dups=x", nil, 400, nil},
		{"bad scope", "GET", root + "?format=car&dag-scope=x", nil, 400, nil},
		{"bad bytes", "GET", root + "?format=car&entity-bytes=x", nil, 400, nil},
		{"backward bytes", "GET", root + "?format=car&entity-bytes=5:2", nil, 400, nil},
		{"raw with path", "GET", root + "/x?format=raw", nil, 400, nil},
		{"bad name", "GET", root + "?format=raw&filename=x.car", nil, 400, nil},
		{"name", "GET", root + "?format=raw&filename=x.bin", nil, 200, []string{"Content-Disposition", `attachment; filename="x.bin"`}},
		{"no cid", "GET", "nonsense?format=car", nil, 400, nil},
		{"absent", "GET", unknown.String() + "?format=car", nil, 404, nil},
		{"absent and cached only", "GET", unknown.String() + "?format=car", []string{"Cache-Control", "only-if-cached"}, 412, nil},
		{"no such path", "GET", root + "/x?format=car", nil, 404, nil},
		{"post", "POST", root + "?format=car", nil, 405, []string{"Allow", "GET, HEAD"}},
		{"probe raw", "GET", "bafkqaaa?format=raw", nil, 200, []string{"Content-Type", typeRaw, "Content-Length", "0"}},
		{"probe car", "GET", "bafkqaaa?format=car", nil, 200, []string{"Content-Type", carType + "y"}},
		{"probe head", "HEAD", "bafkqaaa?format=raw", nil, 200, nil},
		{"same raw", "GET", root + "?format=raw", []string{"If-None-Match", `"x", "` + root + `.raw"`}, 304, nil},
		{"same any", "GET", root + "?format=car", []string{"If-None-Match", "*"}, 304, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, _ := http.NewRequest(c.method, srv.URL+"/ipfs/"+c.url, nil)
			for i := 0; i < len(c.head); i += 2 {
				req.Header.Set(c.head[i], c.head[i+1])
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			io.Copy(io.Discard, res.Body)
			if res.StatusCode != c.status {
				t.Fatalf("status %d, want %d", res.StatusCode, c.status)
			}
			for i := 0; i < len(c.want); i += 2 {
				if got := res.Header.Get(c.want[i]); got != c.want[i+1] {
					t.Errorf("%s: %q, want %q", c.want[i], got, c.want[i+1])
				}
			}
		})
	}
}

func TestBrokenCARIsNoCleanEnd(t *testing.T) {
	var store types.MemBlocks
	imp := file(t, &store, content(20_000, 6))
	lv := leaves(t, &store, imp.Root)
	srv := serve(t, failing{Blocks: &store, lost: func(c cid.Cid) bool { return c == lv[9] }})
	defer http.DefaultClient.CloseIdleConnections()
	res, err := http.Get(srv.URL + "/ipfs/" + imp.Root.String() + "?format=car")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("a CAR with a missing block ends as if it were whole")
	}
}

func TestTooManyRequests(t *testing.T) {
	var store types.MemBlocks
	imp := file(t, &store, content(100, 7))
	gate, in := make(chan struct{}), make(chan struct{})
	slow := failing{Blocks: &store, lost: func(cid.Cid) bool { in <- struct{}{}; <-gate; return false }}
	srv := httptest.NewServer(New(Config{Requests: 1}, nil, slow, nil, nil, quiet).Handler())
	defer srv.Close()
	defer http.DefaultClient.CloseIdleConnections()
	first := make(chan error, 1)
	url := srv.URL + "/ipfs/" + imp.Root.String() + "?format=raw"
	go func() {
		res, err := http.Get(url)
		if err == nil {
			res.Body.Close()
		}
		first <- err
	}()
	<-in
	res, err := http.Get(url)
	if err != nil || res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "" {
		t.Errorf("got %v (%v)", res.Status, err)
	}
	res.Body.Close()
	close(gate)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

// unsealed is sector 1 with a piece in its second half.
type unsealed []byte

func (u unsealed) ReadPiece(_ context.Context, n abi.SectorNumber, offset, size abi.PaddedPieceSize) (io.ReadCloser, error) {
	if size == 0 || size%128 != 0 || offset%128 != 0 || n != 1 {
		return nil, errors.New("bad read")
	}
	return io.NopCloser(bytes.NewReader(u[offset/128*127 : (offset+size)/128*127])), nil
}

func TestPiece(t *testing.T) {
	ctx := context.Background()
	x, err := pieces.Open(ctx, openDB(t))
	if err != nil {
		t.Fatal(err)
	}
	disk := unsealed(content(2*1016, 8))
	want := disk[1016:]
	c, _ := cid.V1Builder{Codec: cid.Raw, MhType: 0x12}.Sum([]byte("stands for a piece"))
	x.Add(ctx, pieces.Location{CID: c, Size: 1024, Sector: 1, Offset: 1024, Deal: 1})
	srv := httptest.NewServer(New(Config{}, nil, &types.MemBlocks{}, x, disk, quiet).Handler())
	defer srv.Close()
	defer http.DefaultClient.CloseIdleConnections()
	get := func(path string, head ...string) (*http.Response, []byte) {
		req, _ := http.NewRequest("GET", srv.URL+path, nil)
		for i := 0; i < len(head); i += 2 {
			req.Header.Set(head[i], head[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, b
	}
	res, got := get("/piece/" + c.String())
	if res.StatusCode != 200 || !bytes.Equal(got, want) || res.Header.Get("Content-Type") != "application/piece" || res.Header.Get("Etag") != `"`+c.String()+`"` {
		t.Errorf("%s, %d bytes, %v", res.Status, len(got), res.Header)
	}
	res, got = get("/piece/"+c.String(), "Range", "bytes=130-399")
	if res.StatusCode != 206 || !bytes.Equal(got, want[130:400]) {
		t.Errorf("range: %s, %d bytes", res.Status, len(got))
	}
	other, _ := cid.V1Builder{Codec: cid.Raw, MhType: 0x12}.Sum([]byte("other"))
	if res, _ := get("/piece/" + other.String()); res.StatusCode != 404 {
		t.Errorf("unknown piece: %s", res.Status)
	}
	if res, _ := get("/piece/x"); res.StatusCode != 400 {
		t.Errorf("no CID: %s", res.Status)
	}
	x.Add(ctx, pieces.Location{CID: c, Size: 1024, Sector: 2, Offset: 1024, Deal: 1})
	if res, _ := get("/piece/" + c.String()); res.StatusCode != 404 {
		t.Errorf("no unsealed copy: %s", res.Status)
	}
}

func newHost(t testing.TB) host.Host {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
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

// waitFor waits until Run has registered a protocol: the mux has no event for it, so it is
// asked with a deadline.
func waitFor(t testing.TB, h host.Host, id protocol.ID) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); runtime.Gosched() {
		if slices.Contains(h.Mux().Protocols(), id) {
			return
		}
	}
	t.Fatalf("%s is not served", id)
}

func FuzzTransports(f *testing.F) {
	f.Add(encodeTransports([]Transport{{"http", []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/1.2.3.4/tcp/80/http")}}, {Name: "bitswap"}}))
	f.Add([]byte{0xa1, 0x69})
	f.Fuzz(func(t *testing.T, b []byte) {
		ts, err := decodeTransports(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, err := decodeTransports(bytes.NewReader(encodeTransports(ts)))
		if err != nil || len(again) != len(ts) {
			t.Fatalf("%v became %v (%v)", ts, again, err)
		}
	})
}

func FuzzRequest(f *testing.F) {
	f.Add("/ipfs/bafkqaaa/a/b", "format=car&entity-bytes=-5:*&dag-scope=entity", "application/vnd.ipld.car;q=0.5,*/*", int64(100))
	f.Fuzz(func(t *testing.T, path, query, accept string, size int64) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path, r.URL.RawQuery = path, query
		r.Header.Set("Accept", accept)
		q, err := parseRequest(r, path)
		if err != nil || size < 0 {
			return
		}
		if from, to, ok := q.span.within(uint64(size)); ok && (from > to || to > uint64(size)) {
			t.Fatalf("%+v of %d is %d:%d", q.span, size, from, to)
		}
	})
}

// FuzzWalk serves a hostile block: whatever it is, the walk ends and fetch leaves nothing
// but what the block says.
func FuzzWalk(f *testing.F) {
	fs, _ := unixfs.NewFSNode(unixfs.TFile).GetBytes()
	f.Add(merkledag.NodeWithData(fs).RawData(), false)
	f.Add([]byte{0xa1, 0x61, 0x61, 0xd8, 0x2a}, true)
	f.Fuzz(func(t *testing.T, data []byte, cborCodec bool) {
		codec := uint64(cid.DagProtobuf)
		if cborCodec {
			codec = cid.DagCBOR
		}
		c, _ := cid.V1Builder{Codec: codec, MhType: 0x12}.Sum(data)
		b, _ := blocks.NewBlockWithCid(data, c)
		var store types.MemBlocks
		store.Put(context.Background(), b)
		w := &walk{ctx: context.Background(), get: store.Get, emit: func(blocks.Block) error { return nil }}
		_ = w.deliver(b, scopeEntity, &span{from: -3, open: true})
		_ = w.deliver(b, scopeAll, nil)
		_, _, _ = w.resolve(c, []string{"a"})
	})
}
