package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/tunnel"
)

// conn is what both a stream and a TCP connection are.
type conn interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// opener makes a connection of one way.
type opener func(ctx context.Context) (conn, error)

type transport struct{ name, listen string }

var transports = [...]transport{{"TCP", "/ip4/127.0.0.1/tcp/0"}, {"QUIC", "/ip4/127.0.0.1/udp/0/quic-v1"}}

// wayNames go with the ways of a world.
var wayNames = [...]string{"bare stream", "least proxy", "tunnel"}

const (
	bareName   protocol.ID = "/x/bench/bare"
	leastName  protocol.ID = "/x/bench/least"
	tunnelName protocol.ID = "/x/bench/tunnel"
)

// The first byte of a connection says what the server does with it.
const (
	modeSink = 's' // read to the end, then say so with a byte
	modeEcho = 'e' // send everything back
)

// serve is the server at the end of every way.
func serve(c conn) {
	defer c.Close()
	var mode [1]byte
	if _, err := io.ReadFull(c, mode[:]); err != nil {
		return
	}
	buf := make([]byte, 128<<10)
	switch mode[0] {
	case modeSink:
		if _, err := io.CopyBuffer(writeOnly{io.Discard}, readOnly{c}, buf); err == nil {
			_, _ = c.Write([]byte{'.'}) // the client says so if it does not come
		}
	case modeEcho:
		_, _ = io.CopyBuffer(writeOnly{c}, readOnly{c}, buf)
	}
	_ = c.CloseWrite()
}

// readOnly and writeOnly hide shortcuts that one kind of connection has and another not.
type (
	readOnly  struct{ io.Reader }
	writeOnly struct{ io.Writer }
)

// world is two hosts with the three ways between them.
type world struct {
	ways    []opener
	closers []func() error // in order of opening
}

func (w *world) close() error {
	var err error
	for i := len(w.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, w.closers[i]())
	}
	return err
}

func newWorld(ctx context.Context, tr transport, clk clock.Clock) (_ *world, err error) {
	w := &world{}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	var hosts [2]*host.Host
	for i := range hosts {
		key, err := host.NewKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		hosts[i], err = host.New(host.Options{Key: key, Listen: []ma.Multiaddr{ma.StringCast(tr.listen)}})
		if err != nil {
			return nil, err
		}
		w.closers = append(w.closers, hosts[i].Close)
		if err := hosts[i].Listen(); err != nil {
			return nil, err
		}
	}
	server, client := hosts[0], hosts[1]
	to := peer.AddrInfo{ID: server.ID(), Addrs: server.Addrs()}
	if err := client.Connect(ctx, to); err != nil {
		return nil, err
	}
	target, err := w.listen(func(c *net.TCPConn) { serve(c) })
	if err != nil {
		return nil, err
	}

	server.SetStreamHandler(bareName, func(s network.Stream) { serve(s) })
	w.ways = append(w.ways, func(ctx context.Context) (conn, error) { return client.NewStream(ctx, to.ID, bareName) })

	server.SetStreamHandler(leastName, func(s network.Stream) {
		c, err := net.Dial("tcp4", target)
		if err != nil {
			_ = s.Reset()
			return
		}
		leastCopy(s, c.(*net.TCPConn))
	})
	least, err := w.listen(func(c *net.TCPConn) {
		s, err := client.NewStream(ctx, to.ID, leastName)
		if err != nil {
			_ = c.Close()
			return
		}
		leastCopy(s, c)
	})
	if err != nil {
		return nil, err
	}
	w.ways = append(w.ways, dialer(least))

	forward, err := w.tunnels(ctx, server, client, target, clk)
	if err != nil {
		return nil, err
	}
	w.ways = append(w.ways, dialer(forward))
	return w, nil
}

// leastCopy is the least that carries a connection over a stream and back.
func leastCopy(s network.Stream, c *net.TCPConn) {
	var work sync.WaitGroup
	work.Go(func() { _, _ = io.Copy(s, readOnly{c}); _ = s.CloseWrite() })
	work.Go(func() { _, _ = io.Copy(writeOnly{c}, s); _ = c.CloseWrite() })
	work.Wait()
	_ = s.Close()
	_ = c.Close()
}

func dialer(to string) opener {
	return func(ctx context.Context) (conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp4", to)
		if err != nil {
			return nil, err
		}
		return c.(*net.TCPConn), nil
	}
}

// listen serves a port of the loopback interface until the world is closed.
func (w *world) listen(serve func(*net.TCPConn)) (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed with the world
			}
			work.Go(func() { serve(c.(*net.TCPConn)) })
		}
	})
	w.closers = append(w.closers, func() error {
		err := l.Close()
		work.Wait()
		return err
	})
	return l.Addr().String(), nil
}

// tunnels runs a tunnel from the client to the target behind the server.
func (w *world) tunnels(ctx context.Context, server, client *host.Host, target string, clk clock.Clock) (string, error) {
	var ends [2]*tunnel.Tunnels
	for i, h := range []*host.Host{server, client} {
		ends[i] = tunnel.New(h, nil, tunnel.Options{}, clk, slog.New(slog.DiscardHandler))
		run, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- ends[i].Run(run) }()
		w.closers = append(w.closers, func() error { cancel(); return <-done })
	}
	err := ends[0].Listen(ctx, tunnel.Offer{Protocol: tunnelName, Target: target, AllowAny: true, Ephemeral: true})
	if err != nil {
		return "", err
	}
	at, err := ends[1].Forward(ctx, tunnel.Forward{Protocol: tunnelName, Listen: "127.0.0.1:0", Peer: peer.AddrInfo{ID: server.ID()}, Ephemeral: true})
	if err != nil {
		return "", err
	}
	_, port, found := strings.Cut(at, "/tcp/")
	if !found {
		return "", fmt.Errorf("the forward listens on %s", at)
	}
	return net.JoinHostPort("127.0.0.1", port), nil
}
