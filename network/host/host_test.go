package host_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/host/hosttest"
	ma "github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestListensOnlyWhenTold(t *testing.T) {
	hosts := hosttest.Loopback(t, 2)
	if a := hosts[0].Addrs(); len(a) != 0 {
		t.Errorf("a new host has addresses %v", a)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	hosttest.Listen(t, hosts...)
	go func() { done <- hosts[0].Run(ctx) }()
	tcp, quic := false, false
	for _, a := range hosts[0].P2PAddrs() {
		tcp = tcp || strings.Contains(a.String(), "/tcp/")
		quic = quic || strings.Contains(a.String(), "/quic-v1/p2p/"+hosts[0].ID().String())
	}
	if !tcp || !quic {
		t.Errorf("addresses %v lack TCP or QUIC", hosts[0].P2PAddrs())
	}
	hosttest.Connect(t, hosts[1], hosts[0])
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if a := hosts[0].Network().ListenAddresses(); len(a) != 0 {
		t.Errorf("still listens on %v", a)
	}
	if c := hosts[1].Network().Connectedness(hosts[0].ID()); c != network.Connected {
		t.Errorf("open connections must stay until Close; it is %s", c)
	}
}

func TestEveryTransportConnects(t *testing.T) {
	for _, listen := range hosttest.FreePorts() {
		t.Run(listen.String(), func(t *testing.T) {
			a := hosttest.New(t, 1, host.Options{Listen: []ma.Multiaddr{listen}, Version: "1.2.3"})
			b := hosttest.New(t, 2, host.Options{})
			hosttest.Listen(t, a)
			hosttest.Connect(t, b, a)
			// Connect waits for identification.
			agent, err := b.Peerstore().Get(a.ID(), "AgentVersion")
			if err != nil || agent != "lode/1.2.3" {
				t.Errorf("user agent %v, %v", agent, err)
			}
		})
	}
}

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := ma.StringCast("/ip4/127.0.0.1/tcp/" + strings.TrimPrefix(l.Addr().String(), "127.0.0.1:"))
	h := hosttest.New(t, 1, host.Options{Listen: append(hosttest.FreePorts(), taken)})
	err = h.Listen()
	if err == nil || !strings.Contains(err.Error(), taken.String()) {
		t.Fatalf("listened on a taken port: %v", err)
	}
	if a := h.Network().ListenAddresses(); len(a) != 0 {
		t.Errorf("after the failure it listens on %v", a)
	}
}

func TestClosed(t *testing.T) {
	h := hosttest.New(t, 1, host.Options{Listen: hosttest.FreePorts()})
	for range 2 {
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Listen(); !errors.Is(err, host.ErrClosed) {
		t.Errorf("Listen after Close: %v", err)
	}
	if _, err := host.New(host.Options{}); err == nil {
		t.Error("a host without a key was made")
	}
}

func TestSimulated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 2, 50*time.Millisecond)
		hosttest.Listen(t, hosts...)
		start := time.Now()
		hosttest.Connect(t, hosts[0], hosts[1])
		if took := time.Since(start); took < 100*time.Millisecond || took > time.Second {
			t.Errorf("connecting over 50 ms took %s", took)
		}
	})
}

func TestIdentity(t *testing.T) {
	path := filepath.Join(t.TempDir(), "libp2p-host")
	key, err := host.Identity(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := host.Identity(path)
	if err != nil {
		t.Fatal(err)
	}
	if !key.Equals(again) {
		t.Error("the key changed")
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := host.Identity(path); err == nil || !strings.Contains(err.Error(), "chmod") {
		t.Errorf("a key that others may read was taken: %v", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"empty": "", "not JSON": "{", "wrong type": `{"Type":"bls","PrivateKey":"AAAA"}`, "no key": `{"Type":"libp2p-host"}`,
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := host.Identity(path); err == nil {
				t.Error("a broken file was taken")
			}
			if b, _ := os.ReadFile(path); string(b) != content {
				t.Error("a broken file was overwritten")
			}
		})
	}
	if _, err := host.Identity(filepath.Join(t.TempDir(), "no", "such")); err == nil {
		t.Error("a key was made in a folder that does not exist")
	}
}

func TestParseAddrs(t *testing.T) {
	id := hosttest.New(t, 7, host.Options{}).ID().String()
	infos, err := host.ParseAddrs([]string{"/ip4/127.0.0.1/tcp/1/p2p/" + id, "/ip4/127.0.0.1/udp/1/quic-v1/p2p/" + id})
	if err != nil || len(infos) != 1 || len(infos[0].Addrs) != 2 {
		t.Errorf("got %v, %v", infos, err)
	}
	for _, bad := range []string{"", "nonsense", "/ip4/127.0.0.1/tcp/1", "/ip4/300.0.0.1/tcp/1/p2p/" + id} {
		if _, err := host.ParseAddrs([]string{bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
