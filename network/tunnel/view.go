package tunnel

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Kind is which of the two registries a listener is in.
type Kind string

// The kinds.
const (
	KindListen  Kind = "listen"  // a service offered to peers
	KindForward Kind = "forward" // a local port that leads to a peer
)

// Entry is a listener as others see it. Addresses are what Kubo shows: of an offer the own
// peer id and the target, of a forward the local address and the peer's id.
type Entry struct {
	Kind          Kind
	Protocol      string
	ListenAddress string
	TargetAddress string
	// AllowAny and Allow say who reaches an offer.
	AllowAny     bool
	Allow        []peer.ID
	ReportPeerID bool
	// Ephemeral ends with the node; Declared comes from the settings.
	Ephemeral, Declared bool
	Streams             int
	// Problem is why a forward that was kept over a restart does not listen; it is tried
	// again from time to time.
	Problem string
}

// StreamInfo is one stream.
type StreamInfo struct {
	ID            uint64
	Kind          Kind
	Protocol      string
	Peer          peer.ID
	OriginAddress string
	TargetAddress string
	Opened        time.Time
	Set           bool // false: still being set up
	// BytesIn came from the peer, BytesOut went to it.
	BytesIn, BytesOut uint64
}

// Stats are the counters since the start (spec network.md T-11).
type Stats struct {
	Open              int
	Opened            uint64
	BytesIn, BytesOut uint64
	Setup             Histogram
	Ends              map[Reason]uint64 // refused ones included
}

// setupBounds are the upper bounds of the set-up latency's classes; one more has the rest.
var setupBounds = [...]time.Duration{time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second}

// Histogram counts durations: how many were within each bound of SetupBounds, then the rest.
type Histogram struct {
	Counts [len(setupBounds) + 1]uint64
	Sum    time.Duration
}

// SetupBounds are the upper bounds of a Histogram's classes but the last.
func SetupBounds() []time.Duration { return slices.Clone(setupBounds[:]) }

func (h *Histogram) add(d time.Duration) {
	i, _ := slices.BinarySearch(setupBounds[:], d)
	h.Counts[i]++
	h.Sum += d
}

// List is both registries, sorted.
func (t *Tunnels) List(ctx context.Context) ([]Entry, error) {
	var out []Entry
	err := t.do(ctx, func(r *registry) {
		offers, forwards := t.matching(r, Match{All: true})
		for _, o := range offers {
			out = append(out, t.offerEntry(r, o))
		}
		for _, f := range forwards {
			out = append(out, t.forwardEntry(r, f))
		}
	})
	return out, err
}

// Streams lists the streams by their numbers.
func (t *Tunnels) Streams(ctx context.Context) ([]StreamInfo, error) {
	var out []StreamInfo
	err := t.do(ctx, func(r *registry) {
		for _, l := range r.streams {
			out = append(out, l.info())
		}
	})
	slices.SortFunc(out, func(a, b StreamInfo) int { return cmp.Compare(a.ID, b.ID) })
	return out, err
}

func (t *Tunnels) offerEntry(r *registry, o *offer) Entry {
	e := Entry{
		Kind: KindListen, Protocol: string(o.spec.Protocol),
		ListenAddress: p2pPath(t.host.ID()), TargetAddress: o.target.String(),
		AllowAny: o.spec.AllowAny, Allow: o.spec.Allow, ReportPeerID: o.spec.ReportPeerID,
		Ephemeral: o.spec.Ephemeral, Declared: o.declared,
	}
	for _, l := range r.streams {
		if l.offer == o {
			e.Streams++
		}
	}
	return e
}

func (t *Tunnels) forwardEntry(r *registry, f *forward) Entry {
	e := Entry{
		Kind: KindForward, Protocol: string(f.spec.Protocol),
		ListenAddress: f.listen, TargetAddress: p2pPath(f.spec.Peer.ID),
		Ephemeral: f.spec.Ephemeral, Declared: f.declared, Problem: f.problem,
	}
	for _, l := range r.streams {
		if l.forward == f {
			e.Streams++
		}
	}
	return e
}

// matching are the listeners that fit, sorted by name.
func (t *Tunnels) matching(r *registry, m Match) (offers []*offer, forwards []*forward) {
	for _, o := range r.offers {
		if m.fits(t.offerEntry(r, o)) {
			offers = append(offers, o)
		}
	}
	for _, f := range r.forwards {
		if m.fits(t.forwardEntry(r, f)) {
			forwards = append(forwards, f)
		}
	}
	slices.SortFunc(offers, func(a, b *offer) int { return cmp.Compare(a.spec.Protocol, b.spec.Protocol) })
	slices.SortFunc(forwards, func(a, b *forward) int {
		return cmp.Or(cmp.Compare(a.spec.Protocol, b.spec.Protocol), strings.Compare(a.listen, b.listen))
	})
	return offers, forwards
}

// p2pPath is how Kubo writes a peer as an address.
func p2pPath(id peer.ID) string { return "/p2p/" + id.String() }
