package nodelife_test

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/lodenet/lode/chain/store"
	"github.com/lodenet/lode/node"
)

// A port that another program has, be it a node like this one, is an error of the start that
// names the setting; the node leaves nothing behind and starts with another port.
func TestPortsInUse(t *testing.T) {
	miner, light := birth(t, time.Now)
	first := build(t, miner)
	start(t, first)
	defer stop(t, first)
	info, err := first.API().NetAddrsListen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	peers := ""
	for _, a := range info.Addrs {
		if _, err := a.ValueForProtocol(ma.P_TCP); err == nil {
			peers = a.String()
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).AddrPort().String()
	api := "/ip4/127.0.0.1/tcp/" + port[strings.LastIndex(port, ":")+1:] + "/http"
	for _, c := range []struct{ name, env, setting string }{
		{"peers", "LODE_LIBP2P_LISTENADDRESSES=" + peers, "Libp2p.ListenAddresses"},
		{"one of two for peers", "LODE_LIBP2P_LISTENADDRESSES=/ip4/127.0.0.1/tcp/0," + peers, "Libp2p.ListenAddresses"},
		{"gateway", "LODE_RETRIEVAL_LISTENADDRESS=" + port, "Retrieval.ListenAddress"},
		{"api", "LODE_API_LISTENADDRESS=" + api, "API.ListenAddress"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, err := node.New(t.Context(), node.Options{Repo: open(t, light, append(slices.Clone(alone), c.env)), Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			err = n.Start(t.Context())
			if err == nil {
				stop(t, n)
				t.Fatal("it started on a port that another program has")
			}
			if !strings.Contains(err.Error(), "set "+c.setting+" in config.toml") {
				t.Errorf("got %v, want what to do about %s", err, c.setting)
			}
		})
	}
	n := build(t, light)
	start(t, n)
	stop(t, n)
}

// A node with a damaged database does not start, says what to do and leaves nothing behind.
func TestDamagedDatabases(t *testing.T) {
	for _, sub := range []string{"chain", "blocks"} {
		t.Run(sub, func(t *testing.T) {
			_, light := birth(t, time.Now)
			stop(t, build(t, light))
			manifests, err := filepath.Glob(filepath.Join(light, sub, "MANIFEST-*"))
			if err != nil || len(manifests) == 0 {
				t.Fatal(manifests, err)
			}
			for _, m := range manifests {
				if err := os.WriteFile(m, []byte("this is no manifest of a database"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			n, err := node.New(t.Context(), node.Options{Repo: open(t, light, alone), Log: slog.New(slog.DiscardHandler)})
			if err == nil {
				stop(t, n)
				t.Fatal("it was built")
			}
			if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), "move this folder away") {
				t.Errorf("got %v, want what to do", err)
			}
			// The advice holds: without the folder the node starts.
			if err := os.RemoveAll(filepath.Join(light, sub)); err != nil {
				t.Fatal(err)
			}
			n = build(t, light)
			start(t, n)
			stop(t, n)
		})
	}
}
