package tunnel

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite" // the driver

	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/host/hosttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const proto = "/x/test"

// transports are the ways on which everything must work.
var transports = map[string]string{"TCP": "/ip4/127.0.0.1/tcp/0", "QUIC": "/ip4/127.0.0.1/udp/0/quic-v1"}

// start runs tunnels until the test ends, or until the returned function is called.
func start(t testing.TB, h *host.Host, db *sql.DB, opt Options) (*Tunnels, func()) {
	t.Helper()
	tun := New(h, db, opt, clock.System{}, hosttest.Quiet())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tun.Run(ctx) }()
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	select {
	case <-tun.Ready():
	case err := <-done:
		t.Fatalf("Run: %v", err)
	}
	return tun, stop
}

// pair are two nodes with tunnels that are connected.
type pair struct {
	hosts          []*host.Host
	server, client *Tunnels
	stopServer     func()
	stopClient     func()
}

// newPair makes two connected nodes over one transport of the loopback interface.
func newPair(t testing.TB, listen string, opt Options) *pair {
	t.Helper()
	p := &pair{}
	for i := range 2 {
		p.hosts = append(p.hosts, hosttest.New(t, byte(i), host.Options{Listen: []ma.Multiaddr{ma.StringCast(listen)}, Version: "test"}))
	}
	p.run(t, opt)
	return p
}

func (p *pair) run(t testing.TB, opt Options) {
	hosttest.Listen(t, p.hosts...)
	hosttest.Connect(t, p.hosts[1], p.hosts[0])
	p.server, p.stopServer = start(t, p.hosts[0], nil, opt)
	p.client, p.stopClient = start(t, p.hosts[1], nil, opt)
}

// target is a TCP server of the test. It is closed when the test ends, after its
// connections.
func target(t testing.TB, serve func(c *net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer c.Close()
				serve(c.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		work.Wait()
	})
	return l.Addr().String()
}

// echo sends back what comes, and ends when the other side has.
func echo(c *net.TCPConn) {
	if _, err := io.Copy(c, c); err == nil {
		_ = c.CloseWrite()
	}
}

// tunnel offers a target on the server and forwards a port of the client to it.
func (p *pair) tunnel(t testing.TB, to string) (listen string) {
	t.Helper()
	require.NoError(t, p.server.Listen(t.Context(), Offer{Protocol: proto, Target: to, AllowAny: true, Ephemeral: true}))
	return p.forward(t, proto)
}

func (p *pair) forward(t testing.TB, name string) string {
	t.Helper()
	at, err := p.client.Forward(t.Context(), Forward{Protocol: "/x/test", Listen: "127.0.0.1:0", Peer: peer.AddrInfo{ID: p.hosts[0].ID()}, Ephemeral: true})
	require.NoError(t, err)
	return dialable(t, at)
}

// dialable is host:port of a multiaddr.
func dialable(t testing.TB, at string) string {
	t.Helper()
	m := ma.StringCast(at)
	ip, err := m.ValueForProtocol(ma.P_IP4)
	require.NoError(t, err)
	port, err := m.ValueForProtocol(ma.P_TCP)
	require.NoError(t, err)
	return net.JoinHostPort(ip, port)
}

func dialTCP(t testing.TB, to string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp4", to)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn)
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// exchange sends and receives at once and ends its side after sending.
func exchange(c *net.TCPConn, send []byte) (got []byte, err error) {
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(send)
		sent <- errors.Join(err, c.CloseWrite())
	}()
	got, err = io.ReadAll(c)
	return got, errors.Join(err, <-sent)
}

func roundTrip(t testing.TB, to string, size int) {
	t.Helper()
	c := dialTCP(t, to)
	defer c.Close()
	want := random(size)
	got, err := exchange(c, want)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got), "%d bytes came back of %d, or others", len(got), len(want))
}

// broken tells whether a connection ended with an error, which says that something is
// missing, after any amount of data.
func broken(c net.Conn) error {
	n, err := io.Copy(io.Discard, c)
	if err == nil {
		return fmt.Errorf("a clean end after %d bytes", n)
	}
	return nil
}

// refused tells whether a new connection is broken, as early as that may be.
func refused(to string) error {
	c, err := net.Dial("tcp4", to)
	if err != nil {
		return nil
	}
	defer c.Close()
	return broken(c)
}

// eventually waits for what another goroutine does. It fails after five minutes, which nothing
// that works takes on a busy machine either.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for range 30_000 {
		if f() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

func (p *pair) open(t testing.TB, tun *Tunnels) int {
	t.Helper()
	st, err := tun.Stats(t.Context())
	require.NoError(t, err)
	return st.Open
}

// settle waits until no stream is open on either side.
func (p *pair) settle(t testing.TB) {
	t.Helper()
	eventually(t, "no open streams", func() bool { return p.open(t, p.server) == 0 && p.open(t, p.client) == 0 })
}

func ends(t testing.TB, tun *Tunnels, why Reason) uint64 {
	t.Helper()
	st, err := tun.Stats(t.Context())
	require.NoError(t, err)
	return st.Ends[why]
}

func database(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "test.db"))
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	require.NoError(t, Migrate(t.Context(), db))
	require.NoError(t, Migrate(t.Context(), db), "twice")
	return db
}
