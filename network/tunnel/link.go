package tunnel

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	manet "github.com/multiformats/go-multiaddr/net"
)

// link is one stream and the local connection that it belongs to.
type link struct {
	kind     Kind
	peer     peer.ID
	protocol protocol.ID
	opened   time.Time

	// Set by the owner when the link is admitted, immutable afterwards.
	id      uint64
	offer   *offer   // of an inbound link
	forward *forward // of an outbound one
	ctx     context.Context
	cancel  context.CancelCauseFunc // with an endError

	set bool // owned by the owner: bytes flow

	// Set by the goroutine that serves the link before bytes flow, immutable afterwards.
	stream network.Stream
	local  net.Conn

	broken sync.Once
	in     atomic.Uint64 // bytes from the peer
	out    atomic.Uint64 // bytes to the peer
	moved  atomic.Int64  // when bytes moved last, in nanoseconds of the clock
}

// prepare gives a link its context; it belongs to the owner.
func (t *Tunnels) prepare(l *link) {
	l.opened = t.clk.Now()
	l.ctx, l.cancel = context.WithCancelCause(t.root)
}

// fail takes a link off the books that never came to carrying.
func (t *Tunnels) fail(l *link, why Reason, err error) {
	why = reasonOf(l.ctx, why)
	t.log.Debug("tunnel set-up failed", "peer", l.peer, "protocol", l.protocol, "reason", why, "err", err)
	t.ask(func(r *registry) { r.end(l, why) })
	l.cancel(nil)
}

// carry moves bytes both ways until both directions have ended, then takes the link off the
// books. Both ends are closed when it returns.
func (t *Tunnels) carry(l *link) {
	now := t.clk.Now()
	l.moved.Store(now.UnixNano())
	var err error
	t.ask(func(r *registry) {
		if l.stream.Conn().IsClosed() {
			l.cancel(endError{ReasonStream}) // followConns did not find the link yet
		}
		err = r.carrying(l, now.Sub(l.opened))
	})
	why := reasonOf(l.ctx, ReasonStopped)
	if err == nil {
		why = t.copyBoth(l)
	} else {
		l.abort()
	}
	t.log.Debug("tunnel stream ended", "peer", l.peer, "protocol", l.protocol, "reason", why)
	t.ask(func(r *registry) { r.end(l, why) })
	l.cancel(nil)
}

// copyBoth runs both directions and says how they ended. An end of file on one side is
// handed on and leaves the other direction open (spec network.md T-02); any error breaks
// both ends, so that nobody takes a part for the whole (T-03).
func (t *Tunnels) copyBoth(l *link) Reason {
	var work sync.WaitGroup
	defer work.Wait()
	ctx, done := context.WithCancel(l.ctx)
	defer done()
	// Whatever ends the link from outside makes the copies return.
	work.Go(func() {
		<-ctx.Done()
		if l.ctx.Err() != nil {
			l.abort()
		}
	})
	if t.opt.Idle > 0 {
		work.Go(func() { t.watch(ctx, l, t.opt.Idle, ReasonIdle) })
	}
	halves := make(chan Reason, 2)
	work.Go(func() { halves <- t.pump(l, l.local, l.stream, &l.out, ReasonLocal, ReasonStream) })
	work.Go(func() { halves <- t.pump(l, l.stream, l.local, &l.in, ReasonStream, ReasonLocal) })

	why := <-halves
	if why == "" {
		if linger := t.lingerOf(l); linger > 0 {
			work.Go(func() { t.watch(ctx, l, linger, ReasonLinger) })
		}
	} else {
		l.abort()
	}
	if second := <-halves; why == "" {
		why = second
	}
	if why == "" {
		l.close()
		return ReasonEOF
	}
	why = reasonOf(l.ctx, why)
	l.abort()
	return why
}

// followConns ends the links of a connection together with it, until the context ends. Their
// own reads and writes find out only when they touch the stream, which they do not while both
// directions wait for a local side that stands still (spec network.md T-06).
func (t *Tunnels) followConns(ctx context.Context) {
	follower := &network.NotifyBundle{DisconnectedF: func(_ network.Network, c network.Conn) {
		t.ask(func(r *registry) {
			for _, l := range r.streams {
				if l.set && l.stream.Conn() == c {
					l.cancel(endError{ReasonStream})
				}
			}
		})
	}}
	t.host.Network().Notify(follower)
	t.work.Go(func() { // the owner answers a notice under way, so it waits for this
		<-ctx.Done()
		t.host.Network().StopNotify(follower)
	})
}

// lingerOf is how long a half-closed link may be silent. A datagram target cannot be told
// that its peer is done, nor say so itself: silence is the only end it has.
func (t *Tunnels) lingerOf(l *link) time.Duration {
	if _, ok := l.local.(halfCloser); !ok && t.opt.Linger <= 0 {
		return DefaultLinger
	}
	return t.opt.Linger
}

// watch ends the link when nothing has moved for a while.
func (t *Tunnels) watch(ctx context.Context, l *link, limit time.Duration, why Reason) {
	from := t.clk.Now()
	for {
		quietSince := time.Unix(0, l.moved.Load())
		if quietSince.Before(from) {
			quietSince = from
		}
		end := quietSince.Add(limit)
		if !t.clk.Now().Before(end) {
			l.cancel(endError{why})
			return
		}
		if t.clk.Until(ctx, end) != nil {
			return
		}
	}
}

// close ends both sides after both directions came to their end.
func (l *link) close() {
	l.broken.Do(func() {
		_ = l.stream.Close() // both directions are closed already; this frees it
		_ = l.local.Close()
	})
}

// abort breaks both sides, so that neither takes what it got for everything.
func (l *link) abort() {
	l.broken.Do(func() {
		_ = l.stream.Reset() // it may be broken already
		breakConn(l.local)
	})
}

// breakConn closes a connection so that the other end sees an error and no end of file.
func breakConn(c net.Conn) {
	if tcp, ok := c.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0) // fails only on a connection that is closed already
	}
	_ = c.Close()
}

// info is the link for others; it belongs to the owner.
func (l *link) info() StreamInfo {
	i := StreamInfo{
		ID: l.id, Kind: l.kind, Protocol: string(l.protocol), Peer: l.peer, Opened: l.opened, Set: l.set,
		BytesIn: l.in.Load(), BytesOut: l.out.Load(),
	}
	if l.kind == KindListen {
		i.OriginAddress, i.TargetAddress = p2pPath(l.peer), l.offer.target.String()
		return i
	}
	i.TargetAddress = p2pPath(l.peer)
	if m, err := manet.FromNetAddr(l.local.RemoteAddr()); err == nil {
		i.OriginAddress = m.String()
	}
	return i
}

// halfCloser is a connection that can end its writing side alone.
type halfCloser interface{ CloseWrite() error }
