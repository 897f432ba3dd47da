package tunnel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Limits bound what tunnels take (spec network.md T-04). Zero values take the defaults.
type Limits struct {
	Listeners int // offers and forwards together; default 64
	Streams   int // default 1024
	PerPeer   int // streams with one peer; default 256
}

func (l *Limits) defaults() {
	if l.Listeners <= 0 {
		l.Listeners = 64
	}
	if l.Streams <= 0 {
		l.Streams = 1024
	}
	if l.PerPeer <= 0 {
		l.PerPeer = 256
	}
}

// registry is everything that changes: both kinds of listeners, the streams, the counts. It
// decides and does nothing else; it is owned by the goroutine of Run.
type registry struct {
	limits   Limits
	offers   map[protocol.ID]*offer
	forwards map[string]*forward // by the address that they listen on
	streams  map[uint64]*link
	perPeer  map[peer.ID]int
	next     uint64
	closing  bool
	stats    Stats
	// tag tells the connection manager that tunnels need a peer, or no longer do.
	tag func(p peer.ID, on bool)
}

func newRegistry(l Limits, tag func(peer.ID, bool)) *registry {
	return &registry{
		limits: l, tag: tag,
		offers: make(map[protocol.ID]*offer), forwards: make(map[string]*forward),
		streams: make(map[uint64]*link), perPeer: make(map[peer.ID]int),
		stats: Stats{Ends: make(map[Reason]uint64)},
	}
}

// room tells whether one more listener fits.
func (r *registry) room() error {
	if r.closing {
		return ErrStopped
	}
	if n := len(r.offers) + len(r.forwards); n >= r.limits.Listeners {
		return fmt.Errorf("%w: there are %d already", ErrTooMany, n)
	}
	return nil
}

func (r *registry) roomForOffer(name protocol.ID) error {
	if r.offers[name] != nil {
		return fmt.Errorf("%w: %s", ErrRegistered, name)
	}
	return r.room()
}

func (r *registry) roomForForward(listen string) error {
	if r.forwards[listen] != nil {
		return fmt.Errorf("%w: %s", ErrRegistered, listen)
	}
	return r.room()
}

// admitInbound lets a stream of a peer in, or says why not. The peer's place on the list
// comes first: who is not on it learns nothing about how busy we are.
func (r *registry) admitInbound(l *link, name protocol.ID) Reason {
	o := r.offers[name]
	switch {
	case r.closing:
		return r.refuse(ReasonRemoving)
	case o == nil:
		return r.refuse(ReasonUnknown)
	case !o.spec.allows(l.peer):
		return r.refuse(ReasonDenied)
	}
	l.offer = o
	return r.admit(l)
}

// admitOutbound lets a local connection in.
func (r *registry) admitOutbound(l *link, f *forward) Reason {
	switch {
	case r.closing:
		return r.refuse(ReasonRemoving)
	case r.forwards[f.listen] != f:
		return r.refuse(ReasonUnknown)
	}
	l.forward = f
	return r.admit(l)
}

func (r *registry) admit(l *link) Reason {
	switch {
	case len(r.streams) >= r.limits.Streams:
		return r.refuse(ReasonTotal)
	case r.perPeer[l.peer] >= r.limits.PerPeer:
		return r.refuse(ReasonPerPeer)
	}
	l.id = r.next
	r.next++
	r.streams[l.id] = l
	r.perPeer[l.peer]++
	if r.perPeer[l.peer] == 1 {
		r.tag(l.peer, true)
	}
	r.stats.Opened++
	return ""
}

func (r *registry) refuse(why Reason) Reason {
	r.stats.Ends[why]++
	return why
}

// carrying notes that a set-up is complete, unless the stream must end by now.
func (r *registry) carrying(l *link, took time.Duration) error {
	if err := context.Cause(l.ctx); err != nil {
		return err
	}
	l.set = true
	r.stats.Setup.add(took)
	return nil
}

// end takes a stream off the books.
func (r *registry) end(l *link, why Reason) {
	delete(r.streams, l.id)
	r.perPeer[l.peer]--
	if r.perPeer[l.peer] <= 0 {
		delete(r.perPeer, l.peer)
		r.tag(l.peer, false)
	}
	r.stats.Ends[why]++
	r.stats.BytesIn += l.in.Load()
	r.stats.BytesOut += l.out.Load()
}

// remove takes listeners off the books and ends their set-ups; with drop their running
// streams too.
func (r *registry) remove(offers []*offer, forwards []*forward, drop bool) {
	for _, o := range offers {
		delete(r.offers, o.spec.Protocol)
		close(o.gone)
	}
	for _, f := range forwards {
		delete(r.forwards, f.listen)
		close(f.gone)
	}
	for _, l := range r.streams {
		if (drop || !l.set) && (slices.Contains(offers, l.offer) || slices.Contains(forwards, l.forward)) {
			l.cancel(endError{ReasonClosed})
		}
	}
}

// Match selects listeners to close: all that fit every field that is not empty, or All.
type Match struct {
	Protocol, ListenAddress, TargetAddress string
	All                                    bool
}

// Check refuses a match that says nothing, or contradicts itself.
func (m Match) Check() error {
	some := m.Protocol != "" || m.ListenAddress != "" || m.TargetAddress != ""
	switch {
	case m.All && some:
		return fmt.Errorf("%w: can't combine --all with other matching options", ErrNoMatch)
	case !m.All && !some:
		return fmt.Errorf("%w: no matching options given", ErrNoMatch)
	}
	return nil
}

func (m Match) fits(e Entry) bool {
	return m.All || (m.Protocol == "" || m.Protocol == e.Protocol) &&
		(m.ListenAddress == "" || m.ListenAddress == e.ListenAddress) &&
		(m.TargetAddress == "" || m.TargetAddress == e.TargetAddress)
}

// reasonOf is the reason with which a context was cancelled.
func reasonOf(ctx context.Context, otherwise Reason) Reason {
	var e endError
	if errors.As(context.Cause(ctx), &e) {
		return e.why
	}
	return otherwise
}
