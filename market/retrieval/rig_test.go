package retrieval

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/ipfs/boxo/ipld/merkledag"
	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/market/dag"
	"github.com/lodenet/lode/repo"
	"go.uber.org/goleak"
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
	db := sql.OpenDB(repo.Connector(filepath.Join(t.TempDir(), "lode.db")))
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

func newHost(t testing.TB) host.Host {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// waitFor waits until Run has registered a protocol: the mux has no event for it, so it is
// asked with a deadline, which only names what never came.
func waitFor(t testing.TB, h host.Host, id protocol.ID) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); runtime.Gosched() {
		if slices.Contains(h.Mux().Protocols(), id) {
			return
		}
	}
	t.Fatalf("%s is not served", id)
}
