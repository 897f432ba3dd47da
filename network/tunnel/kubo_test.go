package tunnel

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/host/hosttest"
)

// kubo is a Kubo daemon of this test, on the loopback interface, that knows nobody.
type kubo struct {
	t      *testing.T
	bin    string
	repo   string
	daemon *exec.Cmd
	info   peer.AddrInfo
}

// startKubo runs the program that LODE_KUBO names.
func startKubo(t *testing.T, listen string) *kubo {
	bin := os.Getenv("LODE_KUBO")
	if bin == "" {
		t.Skip("set LODE_KUBO to an ipfs binary to try this with a real Kubo")
	}
	k := &kubo{t: t, bin: bin, repo: t.TempDir()}
	k.run("init", "--profile=test")
	k.run("config", "--json", "AutoConf.Enabled", "false")
	k.run("config", "--json", "Experimental.Libp2pStreamMounting", "true")
	k.run("config", "--json", "Addresses.Swarm", fmt.Sprintf("[%q]", listen))
	k.run("config", "Routing.Type", "none")
	k.daemon = k.command(context.WithoutCancel(t.Context()), "daemon")
	out, err := k.daemon.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, k.daemon.Start())
	var rest sync.WaitGroup
	t.Cleanup(func() {
		_ = k.daemon.Process.Signal(os.Interrupt)
		_ = k.daemon.Wait()
		rest.Wait()
	})
	buf, ready := make([]byte, 4096), ""
	for !strings.Contains(ready, "Daemon is ready") {
		n, err := out.Read(buf)
		require.NoError(t, err, "kubo said %s", ready)
		ready += string(buf[:n])
	}
	rest.Go(func() { _, _ = io.Copy(io.Discard, out) })
	var id struct {
		ID        string
		Addresses []string
	}
	require.NoError(t, json.Unmarshal([]byte(k.run("id")), &id))
	info, err := peer.AddrInfoFromString(id.Addresses[0])
	require.NoError(t, err)
	k.info = *info
	return k
}

func (k *kubo) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, k.bin, args...)
	c.Env = append(os.Environ(), "IPFS_PATH="+k.repo, "IPFS_TELEMETRY=off")
	return c
}

func (k *kubo) run(args ...string) string {
	k.t.Helper()
	out, err := k.command(k.t.Context(), args...).CombinedOutput()
	require.NoError(k.t, err, "ipfs %s: %s", strings.Join(args, " "), out)
	return string(out)
}

// pingPong echoes much data without ending either direction, since Kubo ends both then.
func pingPong(t *testing.T, to string, size int) {
	t.Helper()
	c := dialTCP(t, to)
	defer c.Close()
	want, got := random(size), make([]byte, size)
	sent := make(chan error, 1)
	go func() { _, err := c.Write(want); sent <- err }()
	_, err := io.ReadFull(c, got)
	require.NoError(t, err)
	require.NoError(t, <-sent)
	require.True(t, bytes.Equal(want, got))
}

// TestT01RealKubo is the list of api.md C.7 with a real Kubo, over TCP and QUIC.
func TestT01RealKubo(t *testing.T) {
	for name, listen := range transports {
		t.Run(name, func(t *testing.T) {
			k := startKubo(t, listen)
			h := hosttest.New(t, 3, host.Options{Listen: []ma.Multiaddr{ma.StringCast(listen)}, Version: "test"})
			hosttest.Listen(t, h)
			require.NoError(t, h.Connect(t.Context(), k.info))
			tun, _ := start(t, h, nil, Options{})
			echoAt := "/ip4/127.0.0.1/tcp/" + port(t, target(t, echo))
			free := func() string {
				l, err := net.Listen("tcp4", "127.0.0.1:0")
				require.NoError(t, err)
				defer l.Close()
				return l.Addr().String()
			}
			lines := make(chan string, 2)
			lineAt := target(t, func(c *net.TCPConn) {
				var line [256]byte
				n, _ := c.Read(line[:])
				lines <- string(line[:n])
				_, _ = c.Write([]byte("."))
				_, _ = io.Copy(io.Discard, c) // the client ends: Kubo may cut what is under way
			})
			reported := func(to string) string {
				c := dialTCP(t, to)
				defer c.Close()
				_, err := io.ReadFull(c, make([]byte, 1))
				require.NoError(t, err)
				return <-lines
			}

			t.Run("kubo listens", func(t *testing.T) {
				k.run("p2p", "listen", "/x/echo", echoAt)
				k.run("p2p", "listen", "--allow-custom-protocol", "/custom", echoAt)
				k.run("p2p", "listen", "-r", "/x/line", "/ip4/127.0.0.1/tcp/"+port(t, lineAt))
				for _, p := range []string{"/x/echo", "/custom"} {
					at, err := tun.Forward(t.Context(), Forward{Protocol: protocol.ID(p), Listen: "127.0.0.1:0", Peer: k.info, Custom: true})
					require.NoError(t, err)
					pingPong(t, dialable(t, at), 10<<20)
					pingPong(t, dialable(t, at), 1000)
				}
				at, err := tun.Forward(t.Context(), Forward{Protocol: "/x/line", Listen: "127.0.0.1:0", Peer: k.info})
				require.NoError(t, err)
				require.Equal(t, h.ID().String()+"\n", reported(dialable(t, at)))
				at, err = tun.Forward(t.Context(), Forward{Protocol: "/x/nothing", Listen: "127.0.0.1:0", Peer: k.info})
				require.NoError(t, err)
				require.NoError(t, refused(dialable(t, at)))
			})
			t.Run("kubo forwards", func(t *testing.T) {
				require.NoError(t, tun.Listen(t.Context(), Offer{Protocol: "/x/back", Target: echoAt, Allow: []peer.ID{k.info.ID}}))
				require.NoError(t, tun.Listen(t.Context(), Offer{Protocol: "/back", Target: echoAt, AllowAny: true, Custom: true}))
				require.NoError(t, tun.Listen(t.Context(), Offer{Protocol: "/x/backline", Target: lineAt, AllowAny: true, ReportPeerID: true}))
				require.NoError(t, tun.Listen(t.Context(), Offer{Protocol: "/x/closed", Target: echoAt}))
				require.NoError(t, tun.Listen(t.Context(), Offer{Protocol: "/x/refuses", Target: free(), AllowAny: true}))
				forward := func(name string) string {
					at := free()
					k.run("p2p", "forward", "--allow-custom-protocol", name, "/ip4/127.0.0.1/tcp/"+port(t, at), "/p2p/"+h.ID().String())
					return at
				}
				for _, p := range []string{"/x/back", "/back"} {
					at := forward(p)
					pingPong(t, at, 10<<20)
					pingPong(t, at, 1000)
				}
				require.Equal(t, k.info.ID.String()+"\n", reported(forward("/x/backline")))
				for _, p := range []string{"/x/closed", "/x/refuses"} {
					c := dialTCP(t, forward(p))
					_, err := io.Copy(io.Discard, c) // Kubo shows an end here, and no error
					t.Logf("%s: the client of Kubo sees %v", p, err)
				}
				eventually(t, "refused and counted", func() bool {
					return ends(t, tun, ReasonDenied) > 0 && ends(t, tun, ReasonTarget) > 0
				})
			})
			t.Run("kubo is killed", func(t *testing.T) {
				at, err := tun.Forward(t.Context(), Forward{Protocol: "/x/echo", Listen: "127.0.0.1:0", Peer: k.info})
				require.NoError(t, err)
				c := dialTCP(t, dialable(t, at))
				_, err = c.Write([]byte("x"))
				require.NoError(t, err)
				_, err = io.ReadFull(c, make([]byte, 1))
				require.NoError(t, err)
				begin := time.Now()
				require.NoError(t, k.daemon.Process.Kill())
				err = broken(c)
				t.Logf("the connection ended %s after the kill", time.Since(begin).Round(time.Millisecond))
				if name == "TCP" { // the kernel closes it; QUIC waits for silence
					require.NoError(t, err)
				}
			})
		})
	}
}

func port(t testing.TB, hostPort string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(hostPort)
	require.NoError(t, err)
	return port
}
