package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/lodenet/lode/clock"
)

// Forward is a local port whose connections go to a peer's service.
type Forward struct {
	Protocol protocol.ID
	Listen   string        // see ParseListen
	Peer     peer.AddrInfo // whom to reach, and where if that is known
	// Ephemeral does not survive the node.
	Ephemeral bool
	// Custom allows a name outside Prefix.
	Custom bool
}

// Pauses between attempts: to accept after an error of the system, and to listen on a port
// that was taken when the node started.
const (
	acceptPause = 100 * time.Millisecond
	revivePause = 10 * time.Second
)

// forward is a registered Forward.
type forward struct {
	spec     Forward // immutable
	declared bool    // immutable
	listen   string  // immutable: the address it listens on, as a multiaddr
	gone     chan struct{}

	port    net.Listener // owned by the owner; nil while problem is set
	problem string       // likewise
}

func newForward(spec Forward, declared bool) (*forward, error) {
	if err := CheckName(string(spec.Protocol), spec.Custom); err != nil {
		return nil, err
	}
	listen, err := ParseListen(spec.Listen)
	if err != nil {
		return nil, err
	}
	if err := spec.Peer.ID.Validate(); err != nil {
		return nil, fmt.Errorf("%w: peer of a forward: %w", ErrAddress, err)
	}
	return &forward{spec: spec, declared: declared, listen: listen.String(), gone: make(chan struct{})}, nil
}

// bind opens the port; with port 0 the forward gets the number of a free one.
func (t *Tunnels) bind(ctx context.Context, f *forward) (net.Listener, error) {
	m, err := ma.NewMultiaddr(f.listen)
	if err != nil {
		return nil, err
	}
	network, address, err := manet.DialArgs(m)
	if err != nil {
		return nil, err
	}
	port, err := t.opt.Bind(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", f.listen, err)
	}
	return port, nil
}

// Forward opens a local port whose connections go to a peer, and returns where it listens.
// It stays until it is closed; unless it is ephemeral, after a restart too. Whether the peer
// can be reached shows when a connection is made.
func (t *Tunnels) Forward(ctx context.Context, spec Forward) (listen string, err error) {
	f, err := newForward(spec, false)
	if err != nil {
		return "", err
	}
	if spec.Peer.ID == t.host.ID() {
		return "", fmt.Errorf("%w: the target %s is this node itself", ErrAddress, spec.Peer.ID)
	}
	err = t.change(ctx, func() error {
		if err := t.try(ctx, func(r *registry) error { return r.roomForForward(f.listen) }); err != nil {
			return err
		}
		port, err := t.bind(ctx, f)
		if err != nil {
			return err
		}
		at, err := manet.FromNetAddr(port.Addr())
		if err != nil {
			return errors.Join(err, port.Close())
		}
		f.listen = at.String()
		f.spec.Listen = f.listen // the same port after a restart
		err = t.keep(ctx, KindForward, f.listen, &f.spec, spec.Ephemeral, func(r *registry) error {
			return t.addForward(r, f, port)
		})
		if err != nil {
			return errors.Join(err, port.Close())
		}
		return nil
	})
	return f.listen, err
}

// addForward registers a forward and has its port served, in one step of the owner.
func (t *Tunnels) addForward(r *registry, f *forward, port net.Listener) error {
	if err := r.roomForForward(f.listen); err != nil {
		return err
	}
	r.forwards[f.listen] = f
	t.serveForward(f, port)
	return nil
}

// serveForward starts to accept; it belongs to the owner.
func (t *Tunnels) serveForward(f *forward, port net.Listener) {
	f.port, f.problem = port, ""
	t.work.Go(func() { t.accept(f, port) })
}

// accept takes local connections until the port is closed.
func (t *Tunnels) accept(f *forward, port net.Listener) {
	for {
		c, err := port.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, as a rule: it passes
			t.log.Warn("tunnel port cannot accept; is the limit of open files too low?", "listen", f.listen, "err", err)
			_ = clock.Sleep(t.root, t.clk, acceptPause) // the root never ends
			continue
		}
		t.outbound(f, c)
	}
}

// outbound lets a local connection in, or breaks it.
func (t *Tunnels) outbound(f *forward, c net.Conn) {
	l := &link{kind: KindForward, peer: f.spec.Peer.ID, protocol: f.spec.Protocol, local: c}
	why := ReasonRemoving
	t.ask(func(r *registry) {
		t.prepare(l)
		if why = r.admitOutbound(l, f); why == "" {
			t.work.Go(func() { t.dial(l) })
		}
	})
	if why != "" {
		breakConn(c)
		t.log.Debug("tunnel connection refused", "listen", f.listen, "reason", why)
	}
}

// dial opens a stream for a local connection and carries it.
func (t *Tunnels) dial(l *link) {
	s, err := t.openStream(l.ctx, &l.forward.spec)
	if err != nil {
		breakConn(l.local)
		t.fail(l, ReasonOpen, err)
		return
	}
	l.stream = s
	t.carry(l)
}

func (t *Tunnels) openStream(ctx context.Context, f *Forward) (network.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, t.opt.OpenTimeout)
	defer cancel()
	if len(f.Peer.Addrs) > 0 {
		t.host.Peerstore().AddAddrs(f.Peer.ID, f.Peer.Addrs, peerstore.TempAddrTTL)
	}
	s, err := t.host.NewStream(ctx, f.Peer.ID, f.Protocol)
	if err != nil {
		return nil, fmt.Errorf("open tunnel %s to %s: %w", f.Protocol, f.Peer.ID, err)
	}
	return s, nil
}

// revive tries the ports again that were taken when the node started.
func (t *Tunnels) revive(ctx context.Context) {
	for clock.Sleep(ctx, t.clk, revivePause) == nil {
		var dead []*forward
		t.ask(func(r *registry) {
			for _, f := range r.forwards {
				if f.problem != "" {
					dead = append(dead, f)
				}
			}
		})
		for _, f := range dead {
			port, err := t.bind(ctx, f)
			if err != nil {
				continue // Problem says so since the start
			}
			used := false
			t.ask(func(r *registry) {
				if r.forwards[f.listen] == f && !r.closing {
					t.serveForward(f, port)
					used = true
				}
			})
			if used {
				t.log.Info("tunnel port is free again", "listen", f.listen)
			} else {
				_ = port.Close() // nobody waits for it any more
			}
		}
	}
}
