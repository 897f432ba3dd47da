package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/lodenet/lode/market/transfer"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var fixedTime = time.Unix(1_700_000_000, 0)

var quiet = slog.New(slog.DiscardHandler)

type payloads map[string][]byte

func (p payloads) OpenPayload(_ context.Context, token string) (io.ReadSeekCloser, error) {
	b, ok := p[token]
	if !ok {
		return nil, transfer.ErrNoPayload
	}
	return struct {
		io.ReadSeeker
		io.Closer
	}{bytes.NewReader(b), io.NopCloser(nil)}, nil
}

func content(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func newHost(t *testing.T) host.Host {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// serveBoth serves payloads over HTTP and over streams, and returns both URLs.
func serveBoth(t *testing.T, p transfer.Payloads) (provider host.Host, urls map[string]string) {
	client, provider := newHost(t), newHost(t)
	handler := transfer.Handler(p, 4, quiet)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { done <- transfer.ServeStreams(ctx, client, transfer.Protocol, handler, quiet) }()
	go func() { done <- transfer.ServeListener(ctx, l, handler, quiet) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	// The mux has no event for what ServeStreams registers. The limit only names what never came.
	for end := time.Now().Add(time.Minute); !slices.Contains(client.Mux().Protocols(), transfer.Protocol); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%s is not served", transfer.Protocol)
		}
	}
	return provider, map[string]string{
		"http":   "http://" + l.Addr().String() + "/data",
		"libp2p": transfer.PeerURL(client.ID(), client.Addrs()[0]),
	}
}

func TestGet(t *testing.T) {
	want := content(3 << 20)
	h, urls := serveBoth(t, payloads{"secret": want, "empty": nil})
	for name, url := range urls {
		t.Run(name, func(t *testing.T) {
			g := transfer.NewGetter(h, false)
			src := transfer.Source{URL: url, Headers: map[string]string{"Authorization": transfer.BasicAuth("secret")}, Size: uint64(len(want))}
			for _, have := range []int{0, 1, 1 << 20, len(want)} {
				path := filepath.Join(t.TempDir(), "staged")
				if err := os.WriteFile(path, want[:have], 0o600); err != nil {
					t.Fatal(err)
				}
				last, calls := uint64(have), 0
				err := g.Get(context.Background(), src, path, func(n uint64) {
					if n <= last {
						t.Errorf("progress from %d to %d", last, n)
					}
					last = n
					calls++
				})
				if err != nil {
					t.Fatal(err)
				}
				if got, _ := os.ReadFile(path); !bytes.Equal(got, want) {
					t.Fatalf("from %d bytes on: the data differs", have)
				}
				if last != uint64(len(want)) || (have == len(want)) != (calls == 0) {
					t.Fatalf("from %d bytes on: progress ended at %d after %d calls", have, last, calls)
				}
			}
			path := filepath.Join(t.TempDir(), "staged")
			for what, bad := range map[string]transfer.Source{
				"wrong token":  {URL: url, Headers: map[string]string{"Authorization": transfer.BasicAuth("x")}, Size: 1},
				"no token":     {URL: url, Size: 1},
				"size too low": {URL: url, Headers: src.Headers, Size: src.Size - 1},
			} {
				if err := g.Get(context.Background(), bad, path, nil); !errors.As(err, &transfer.Fatal{}) {
					t.Errorf("%s: %v", what, err)
				}
				os.Remove(path)
			}
			src.Size++
			if err := g.Get(context.Background(), src, path, nil); err == nil || errors.As(err, &transfer.Fatal{}) {
				t.Errorf("size too high: %v", err)
			}
			if err := g.Get(context.Background(), transfer.Source{URL: url, Headers: map[string]string{"Authorization": transfer.BasicAuth("empty")}}, filepath.Join(t.TempDir(), "e"), nil); err != nil {
				t.Errorf("empty payload: %v", err)
			}
		})
	}
}

func TestGetGoesOnAfterACut(t *testing.T) {
	want := content(1 << 20)
	cut := true
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if cut {
			cut = false
			w.Header().Set("Content-Length", "1048576")
			w.Write(want[:300_000])
			panic(http.ErrAbortHandler)
		}
		http.ServeContent(w, r, "", fixedTime, bytes.NewReader(want))
	}))
	defer srv.Close()
	path := filepath.Join(t.TempDir(), "staged")
	g := transfer.NewGetter(nil, false)
	src := transfer.Source{URL: srv.URL, Size: uint64(len(want))}
	if err := g.Get(context.Background(), src, path, nil); err == nil || errors.As(err, &transfer.Fatal{}) {
		t.Fatalf("cut transfer: %v", err)
	}
	first := true
	err := g.Get(context.Background(), src, path, func(n uint64) {
		if first && n < 300_000-1 {
			t.Errorf("it began anew at %d", n)
		}
		first = false
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); !bytes.Equal(got, want) {
		t.Fatal("the data differs")
	}
}

func TestGetRefuses(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/again", http.StatusFound)
	}))
	defer srv.Close()
	path := filepath.Join(t.TempDir(), "staged")
	for _, u := range []string{"", "ftp://x/y", "http://", "libp2p:///ip4/1.2.3.4/tcp/1", "libp2p://nonsense", "::"} {
		if err := transfer.NewGetter(newHost(t), false).Get(context.Background(), transfer.Source{URL: u, Size: 1}, path, nil); !errors.As(err, &transfer.Fatal{}) {
			t.Errorf("%q: %v", u, err)
		}
	}
	if err := transfer.NewGetter(nil, true).Get(context.Background(), transfer.Source{URL: srv.URL, Size: 1}, path, nil); !errors.As(err, &transfer.Fatal{}) {
		t.Errorf("loopback for a public-only provider: %v", err)
	}
	if err := transfer.NewGetter(nil, false).Get(context.Background(), transfer.Source{URL: srv.URL, Size: 1}, path, nil); err == nil {
		t.Error("an endless redirect was followed")
	}
}
