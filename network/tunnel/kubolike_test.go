package tunnel

import (
	"bufio"
	"crypto/rand"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/host/hosttest"
)

func hostOptions(listen string) host.Options {
	return host.Options{Listen: []ma.Multiaddr{ma.StringCast(listen)}, Version: "test"}
}

// kuboOffer answers streams as Kubo's ipfs p2p listen does: one handler under /x/, and both
// ends closed as soon as one direction has ended.
func kuboOffer(t *testing.T, h *host.Host, name protocol.ID, to string) {
	h.SetStreamHandlerMatch("/x/", func(p protocol.ID) bool { return p == name }, func(s network.Stream) {
		c, err := net.Dial("tcp4", to)
		if err != nil {
			_ = s.Reset()
			return
		}
		kuboCopy(s, c)
	})
	t.Cleanup(func() { h.RemoveStreamHandler("/x/") })
}

func kuboCopy(s network.Stream, c net.Conn) {
	var work sync.WaitGroup
	for _, way := range []struct {
		to   io.Writer
		from io.Reader
	}{{s, c}, {c, s}} {
		work.Go(func() {
			_, err := io.Copy(way.to, way.from)
			_ = c.Close()
			if err != nil {
				_ = s.Reset()
			} else {
				_ = s.Close()
			}
		})
	}
	work.Wait()
}

// TestT01KuboListens: a peer that behaves as Kubo offers, lode forwards.
func TestT01KuboListens(t *testing.T) {
	for name, listen := range transports {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, listen, Options{})
			kubo := hosttest.New(t, 7, hostOptions(listen))
			hosttest.Listen(t, kubo)
			kuboOffer(t, kubo, "/x/kubo", target(t, echo))
			at, err := p.client.Forward(t.Context(), Forward{Protocol: "/x/kubo", Listen: "/ip4/127.0.0.1/tcp/0", Peer: hosttest.Info(kubo)})
			require.NoError(t, err)
			for range 3 {
				c := dialTCP(t, dialable(t, at))
				want := random(1 << 20)
				go func() { _, _ = c.Write(want) }()
				got := make([]byte, len(want))
				_, err = io.ReadFull(c, got)
				require.NoError(t, err)
				require.Equal(t, want, got)
				require.NoError(t, c.Close())
				p.settle(t)
			}
		})
	}
}

// TestT01KuboForwards: a peer that behaves as Kubo forwards to an offer of lode.
func TestT01KuboForwards(t *testing.T) {
	for name, listen := range transports {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, listen, Options{})
			require.NoError(t, p.server.Listen(t.Context(), Offer{Protocol: proto, Target: target(t, echo), AllowAny: true}))
			s, err := p.hosts[1].NewStream(t.Context(), p.hosts[0].ID(), proto)
			require.NoError(t, err)
			near, far := net.Pipe()
			var work sync.WaitGroup
			work.Go(func() { kuboCopy(s, far) })
			want := random(1 << 20)
			work.Go(func() { _, _ = near.Write(want) })
			got := make([]byte, len(want))
			_, err = io.ReadFull(near, got)
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.NoError(t, near.Close())
			work.Wait()
			p.settle(t)
		})
	}
}

// TestT01PeerLine: the target learns who calls, in Kubo's form, and the caller sees nothing.
func TestT01PeerLine(t *testing.T) {
	for name, newKey := range map[string]func() (crypto.PrivKey, error){
		"Ed25519": func() (crypto.PrivKey, error) { return host.NewKey(rand.Reader) },
		"RSA": func() (crypto.PrivKey, error) {
			k, _, err := crypto.GenerateRSAKeyPair(2048, rand.Reader)
			return k, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, transports["TCP"], Options{})
			key, err := newKey()
			require.NoError(t, err)
			h, err := host.New(host.Options{Key: key})
			require.NoError(t, err)
			defer h.Close()
			lines := make(chan string, 1)
			to := target(t, func(c *net.TCPConn) {
				r := bufio.NewReader(c)
				line, _ := r.ReadString('\n')
				lines <- line
				_, _ = io.Copy(c, r)
			})
			require.NoError(t, p.server.Listen(t.Context(), Offer{Protocol: proto, Target: to, AllowAny: true, ReportPeerID: true}))
			hosttest.Connect(t, h, p.hosts[0])
			s, err := h.NewStream(t.Context(), p.hosts[0].ID(), proto)
			require.NoError(t, err)
			_, err = s.Write([]byte("hello"))
			require.NoError(t, err)
			require.NoError(t, s.CloseWrite())
			b, err := io.ReadAll(s)
			require.NoError(t, err)
			require.Equal(t, "hello", string(b))
			require.Equal(t, h.ID().String()+"\n", <-lines)
			p.settle(t)
		})
	}
}

func TestT01Names(t *testing.T) {
	for name, c := range map[string]struct {
		proto  string
		custom bool
		want   string // of the error; empty for none
	}{
		"usual":           {"/x/ssh", false, ""},
		"deep":            {"/x/a/b/c", false, ""},
		"outside":         {"/ssh", false, "within '/x/' namespace"},
		"outside, custom": {"/ssh", true, ""},
		"http of Kubo":    {"/http", true, ""},
		"empty":           {"", true, "empty"},
		"one byte":        {"x", true, ""},
		"four KiB":        {"/x/" + strings.Repeat("a", 4<<10), false, "too long"},
		"a KiB":           {"/x/" + strings.Repeat("a", 1020), false, ""},
		"newline":         {"/x/a\nb", false, "control"},
		"space":           {"/x/a b", false, "spaces"},
		"broken":          {"/x/\xff", false, "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckName(c.proto, c.custom)
			if c.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, ErrName)
				require.ErrorContains(t, err, c.want)
			}
		})
	}
}

// TestT01LongNameWorks: the longest name that is taken is also carried.
func TestT01LongNameWorks(t *testing.T) {
	p := newPair(t, transports["TCP"], Options{})
	name := protocol.ID(Prefix + strings.Repeat("a", maxName-len(Prefix)))
	require.NoError(t, p.server.Listen(t.Context(), Offer{Protocol: name, Target: target(t, echo), AllowAny: true}))
	at, err := p.client.Forward(t.Context(), Forward{Protocol: name, Listen: "127.0.0.1:0", Peer: peer.AddrInfo{ID: p.hosts[0].ID()}})
	require.NoError(t, err)
	roundTrip(t, dialable(t, at), 100)
	p.settle(t)
}
