package tunnel

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/network/host/hosttest"
)

func TestT02HalfClose(t *testing.T) {
	const size = 3 << 20
	for name, listen := range transports {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, listen, Options{})
			type got struct {
				data []byte
				err  error
			}
			reply := random(size)
			for who, serve := range map[string]func(c *net.TCPConn) ([]byte, error){
				"client first": func(c *net.TCPConn) ([]byte, error) {
					b, err := io.ReadAll(c) // until the client has ended
					if err != nil {
						return b, err
					}
					_, err = c.Write(reply)
					return b, errors.Join(err, c.CloseWrite())
				},
				"server first": func(c *net.TCPConn) ([]byte, error) {
					if _, err := c.Write(reply); err != nil {
						return nil, err
					}
					if err := c.CloseWrite(); err != nil {
						return nil, err
					}
					return io.ReadAll(c)
				},
				"both at once": func(c *net.TCPConn) ([]byte, error) { return exchange(c, reply) },
			} {
				t.Run(who, func(t *testing.T) {
					served := make(chan got, 1)
					to := target(t, func(c *net.TCPConn) {
						b, err := serve(c)
						served <- got{b, err}
					})
					listen := p.tunnel(t, to)
					c := dialTCP(t, listen)
					request := random(size)
					var back []byte
					var err error
					if who == "server first" {
						back, err = io.ReadAll(c)
						require.NoError(t, err)
						_, err = c.Write(request)
						require.NoError(t, err)
						require.NoError(t, c.CloseWrite())
					} else {
						back, err = exchange(c, request)
					}
					require.NoError(t, err)
					s := <-served
					require.NoError(t, s.err)
					require.True(t, bytes.Equal(request, s.data), "the target got %d bytes of %d", len(s.data), size)
					require.True(t, bytes.Equal(reply, back), "the client got %d bytes of %d", len(back), size)
					p.settle(t)
					_, err = p.server.Close(t.Context(), Match{All: true}, false)
					require.NoError(t, err)
					_, err = p.client.Close(t.Context(), Match{All: true}, false)
					require.NoError(t, err)
				})
			}
			require.EqualValues(t, 3, ends(t, p.server, ReasonEOF))
			require.EqualValues(t, 3, ends(t, p.client, ReasonEOF))
		})
	}
}

// simulated are two nodes in virtual time, with connections of the machine in memory.
func simulated(t *testing.T, opt Options) (p *pair, server, client *pipes) {
	p = &pair{hosts: hosttest.Simulated(t, 2, 50*time.Millisecond)}
	server, client = newPipes(), newPipes()
	hosttest.Listen(t, p.hosts...)
	hosttest.Connect(t, p.hosts[1], p.hosts[0])
	opt.Dial, opt.Bind = server.Dial, server.Bind
	p.server, p.stopServer = start(t, p.hosts[0], nil, opt)
	opt.Dial, opt.Bind = client.Dial, client.Bind
	p.client, p.stopClient = start(t, p.hosts[1], nil, opt)
	require.NoError(t, p.server.Listen(t.Context(), Offer{Protocol: proto, Target: "127.0.0.1:1", AllowAny: true}))
	_, err := p.client.Forward(t.Context(), Forward{Protocol: proto, Listen: "127.0.0.1:3000", Peer: peer.AddrInfo{ID: p.hosts[0].ID()}})
	require.NoError(t, err)
	return p, server, client
}

func TestT02Linger(t *testing.T) {
	for name, c := range map[string]struct {
		linger time.Duration
		after  time.Duration // of silence, when it ends; zero never
	}{"default": {0, DefaultLinger}, "short": {5 * time.Second, 5 * time.Second}, "for ever": {-1, 0}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, server, client := simulated(t, Options{Linger: c.linger})
				local := client.Connect()
				remote := <-server.targets
				// The request has ended; the answer drips for longer than the limit.
				go func() { _, _ = local.Write([]byte("?")); _ = local.CloseWrite() }()
				b, err := io.ReadAll(remote)
				require.NoError(t, err)
				require.Equal(t, "?", string(b))
				for range 5 {
					time.Sleep(4 * time.Second)
					_, err := remote.Write([]byte("!"))
					require.NoError(t, err)
					_, err = io.ReadFull(local, b)
					require.NoError(t, err)
				}
				quiet := time.Now()
				if c.after == 0 {
					time.Sleep(2 * time.Hour)
					synctest.Wait()
					require.Equal(t, 1, p.open(t, p.client))
				} else {
					_, err = local.Read(b)
					require.Error(t, err)
					require.NotErrorIs(t, err, io.EOF, "an answer that was cut must not look whole")
					require.InDelta(t, c.after, time.Since(quiet), float64(time.Second))
					time.Sleep(time.Second)
					synctest.Wait()
					require.Zero(t, p.open(t, p.client))
					require.NotZero(t, ends(t, p.client, ReasonLinger)+ends(t, p.server, ReasonLinger))
				}
				p.stopClient()
				p.stopServer()
			})
		})
	}
}

func TestT02Idle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, server, client := simulated(t, Options{Idle: time.Minute})
		local := client.Connect()
		remote := <-server.targets
		for range 3 {
			time.Sleep(50 * time.Second)
			go func() { _, _ = local.Write([]byte("x")) }()
			_, err := io.ReadFull(remote, make([]byte, 1))
			require.NoError(t, err)
		}
		start := time.Now()
		_, err := local.Read(make([]byte, 1))
		require.ErrorIs(t, err, errReset)
		require.InDelta(t, time.Minute, time.Since(start), float64(time.Second))
		p.stopClient()
		p.stopServer()
	})
}

// TestT03ErrorsShow: whatever breaks, neither side takes a part for the whole.
func TestT03ErrorsShow(t *testing.T) {
	for name, listen := range transports {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, listen, Options{})
			serverSide := make(chan error, 1)
			mode := make(chan string, 1)
			to := target(t, func(c *net.TCPConn) {
				_, _ = c.Write([]byte("part of it"))
				switch <-mode {
				case "target resets":
					_ = c.SetLinger(0)
					serverSide <- nil
				case "waits":
					serverSide <- broken(c)
				}
			})
			at := p.tunnel(t, to)
			open := func(m string) *net.TCPConn {
				c := dialTCP(t, at)
				_, err := io.ReadFull(c, make([]byte, 10))
				require.NoError(t, err)
				mode <- m
				return c
			}

			c := open("target resets")
			require.NoError(t, <-serverSide)
			require.NoError(t, broken(c), "the client must see an error when the target resets")
			p.settle(t)
			require.NotZero(t, ends(t, p.server, ReasonLocal))

			c = open("waits")
			require.NoError(t, c.SetLinger(0))
			require.NoError(t, c.Close())
			require.NoError(t, <-serverSide, "the target must see an error when the client resets")
			p.settle(t)

			c = open("waits")
			require.NoError(t, p.hosts[0].Network().ClosePeer(p.hosts[1].ID()))
			require.NoError(t, broken(c), "the client must see an error when the peers part")
			require.NoError(t, <-serverSide)
			p.settle(t)
			eventually(t, "the client knows that the peers have parted", func() bool {
				return p.hosts[1].Network().Connectedness(p.hosts[0].ID()) != network.Connected
			})

			c = open("waits")
			n, err := p.client.CloseStreams(t.Context())
			require.NoError(t, err)
			require.Equal(t, 1, n)
			require.NoError(t, broken(c), "the client must see an error when the operator closes the stream")
			require.NoError(t, <-serverSide)
			p.settle(t)
			require.EqualValues(t, 1, ends(t, p.client, ReasonClosed))

			c = open("waits")
			p.stopServer()
			require.NoError(t, broken(c), "the client must see an error when the node stops")
			require.NoError(t, <-serverSide)
		})
	}
}

// TestT03TargetClosesAtOnce: that is an end, not an error, and it reaches the client.
func TestT03TargetClosesAtOnce(t *testing.T) {
	p := newPair(t, transports["TCP"], Options{})
	at := p.tunnel(t, target(t, func(*net.TCPConn) {}))
	c := dialTCP(t, at)
	b, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Empty(t, b)
	require.NoError(t, c.Close())
	p.settle(t)
}

// TestT10BackPressure: a target that does not read holds up the client, and memory with it.
func TestT10BackPressure(t *testing.T) {
	for name, listen := range transports {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, listen, Options{})
			read := make(chan struct{})
			sum := make(chan [32]byte, 1)
			at := p.tunnel(t, target(t, func(c *net.TCPConn) {
				<-read
				h := sha256.New()
				_, _ = io.Copy(h, c)
				sum <- [32]byte(h.Sum(nil))
			}))
			c := dialTCP(t, at)
			// Until everything between client and target is full.
			h := sha256.New()
			chunk := random(1 << 20)
			sent := 0
			for {
				require.NoError(t, c.SetWriteDeadline(time.Now().Add(2*time.Second)))
				n, err := c.Write(chunk)
				h.Write(chunk[:n])
				sent += n
				if err != nil {
					require.ErrorIs(t, err, os.ErrDeadlineExceeded)
					break
				}
				require.Less(t, sent, 256<<20, "nothing holds up the client")
			}
			t.Logf("%d MiB were under way", sent>>20)
			close(read)
			require.NoError(t, c.SetWriteDeadline(time.Time{}))
			require.NoError(t, c.CloseWrite())
			require.Equal(t, [32]byte(h.Sum(nil)), <-sum)
			require.NoError(t, c.Close())
			p.settle(t)
		})
	}
}

// TestT10Transfer carries much data both ways; LODE_LONG carries 10 GiB.
func TestT10Transfer(t *testing.T) {
	total := int64(64 << 20)
	if os.Getenv("LODE_LONG") != "" {
		total = 10 << 30
	}
	for name, listen := range transports {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, listen, Options{})
			at := p.tunnel(t, target(t, echo))
			c := dialTCP(t, at)
			want, got := sha256.New(), sha256.New()
			var work sync.WaitGroup
			work.Go(func() {
				chunk := random(1 << 20)
				for sent := int64(0); sent < total; sent += int64(len(chunk)) {
					chunk[sent>>20&0xfffff]++ // each one differs
					want.Write(chunk)
					if _, err := c.Write(chunk); err != nil {
						t.Error(err)
						return
					}
				}
				_ = c.CloseWrite()
			})
			n, err := io.Copy(got, c)
			require.NoError(t, err)
			work.Wait()
			require.Equal(t, total, n)
			require.Equal(t, want.Sum(nil), got.Sum(nil))
			p.settle(t)
			for _, tun := range []*Tunnels{p.server, p.client} {
				st, err := tun.Stats(t.Context())
				require.NoError(t, err)
				require.EqualValues(t, total, st.BytesIn)
				require.EqualValues(t, total, st.BytesOut)
			}
		})
	}
}

// TestManyAtOnce: 50 and 1,000 connections that are all open at one time, the latter from
// four peers, as one may have 256.
func TestManyAtOnce(t *testing.T) {
	patient := Options{DialTimeout: time.Minute, OpenTimeout: time.Minute} // a thousand are set up at once
	for name, listen := range transports {
		for _, c := range []struct{ peers, each int }{{1, 50}, {4, 250}} {
			t.Run(fmt.Sprintf("%s %d", name, c.peers*c.each), func(t *testing.T) {
				p := newPair(t, listen, patient)
				clients := []*Tunnels{p.client}
				for i := 2; i <= c.peers; i++ {
					h := hosttest.New(t, byte(i), hostOptions(listen))
					hosttest.Listen(t, h)
					hosttest.Connect(t, h, p.hosts[0])
					tun, _ := start(t, h, nil, patient)
					clients = append(clients, tun)
				}
				require.NoError(t, p.server.Listen(t.Context(), Offer{Protocol: proto, Target: target(t, echo), AllowAny: true}))
				all := c.peers * c.each
				var work, opened sync.WaitGroup
				opened.Add(all)
				for _, tun := range clients {
					at, err := tun.Forward(t.Context(), Forward{Protocol: proto, Listen: "127.0.0.1:0", Peer: peer.AddrInfo{ID: p.hosts[0].ID()}})
					require.NoError(t, err)
					to := dialable(t, at)
					for range c.each {
						work.Go(func() {
							if err := oneOfMany(to, &opened); err != nil {
								t.Error(err)
							}
						})
					}
				}
				work.Wait()
				p.settle(t)
				require.EqualValues(t, all, ends(t, p.server, ReasonEOF))
			})
		}
	}
}

// oneOfMany opens a connection, waits until all are open, and exchanges some data.
func oneOfMany(to string, opened *sync.WaitGroup) error {
	conn, err := net.Dial("tcp4", to)
	if err != nil {
		opened.Done()
		return err
	}
	defer conn.Close()
	c := conn.(*net.TCPConn)
	_, err = c.Write([]byte("a"))
	if err == nil {
		_, err = io.ReadFull(c, make([]byte, 1)) // the whole way is there
	}
	opened.Done()
	if err != nil {
		return err
	}
	opened.Wait()
	want := random(10 << 10)
	got, err := exchange(c, want)
	if err == nil && !bytes.Equal(want, got) {
		err = fmt.Errorf("got %d bytes of %d, or others", len(got), len(want))
	}
	return err
}
