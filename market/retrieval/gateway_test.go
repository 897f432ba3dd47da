package retrieval

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ipfs/boxo/ipld/merkledag"
	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/market/car"
	"pgregory.net/rapid"
)

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
