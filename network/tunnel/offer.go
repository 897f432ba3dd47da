package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Offer is a service that peers may reach here.
type Offer struct {
	Protocol protocol.ID
	Target   string // see ParseTarget
	// Allow are the peers that may use it, AllowAny lets everyone. With neither nobody may
	// (spec network.md T-07).
	Allow    []peer.ID
	AllowAny bool
	// ReportPeerID sends the peer's id and a newline to the target, before anything else.
	ReportPeerID bool
	// Ephemeral does not survive the node.
	Ephemeral bool
	// Custom allows a name outside Prefix.
	Custom bool
}

func (o *Offer) allows(p peer.ID) bool { return o.AllowAny || slices.Contains(o.Allow, p) }

// offer is a registered Offer. Immutable but for gone, which the owner closes.
type offer struct {
	spec     Offer
	target   ma.Multiaddr
	declared bool
	gone     chan struct{}
}

func newOffer(spec Offer, declared bool) (*offer, error) {
	if err := CheckName(string(spec.Protocol), spec.Custom); err != nil {
		return nil, err
	}
	target, err := ParseTarget(spec.Target)
	if err != nil {
		return nil, err
	}
	spec.Allow = slices.Clone(spec.Allow)
	return &offer{spec: spec, target: target, declared: declared, gone: make(chan struct{})}, nil
}

// Listen offers a service until it is closed; unless it is ephemeral, after a restart too.
// It returns once peers can reach it.
func (t *Tunnels) Listen(ctx context.Context, spec Offer) error {
	o, err := newOffer(spec, false)
	if err != nil {
		return err
	}
	if err := checkServed(spec.Protocol, t.host.Mux().Protocols()); err != nil {
		return err
	}
	return t.change(ctx, func() error {
		if err := t.try(ctx, func(r *registry) error { return r.roomForOffer(spec.Protocol) }); err != nil {
			return err
		}
		return t.keep(ctx, KindListen, string(spec.Protocol), &o.spec, spec.Ephemeral, func(r *registry) error {
			return t.addOffer(r, o)
		})
	})
}

// addOffer registers an offer and has it served, in one step of the owner.
func (t *Tunnels) addOffer(r *registry, o *offer) error {
	if err := r.roomForOffer(o.spec.Protocol); err != nil {
		return err
	}
	r.offers[o.spec.Protocol] = o
	t.publish(r)
	return nil
}

// inbound is called by libp2p for each stream of a name that is served.
func (t *Tunnels) inbound(s network.Stream) {
	l := &link{kind: KindListen, peer: s.Conn().RemotePeer(), protocol: s.Protocol(), stream: s}
	why := ReasonRemoving
	t.ask(func(r *registry) {
		t.prepare(l)
		if why = r.admitInbound(l, s.Protocol()); why == "" {
			t.work.Go(func() { t.serve(l) })
		}
	})
	if why != "" {
		_ = s.Reset() // the peer may be gone already
		t.log.Debug("tunnel stream refused", "peer", l.peer, "protocol", l.protocol, "reason", why)
	}
}

// serve connects a stream to the offer's target and carries it.
func (t *Tunnels) serve(l *link) {
	local, err := t.dialTarget(l.ctx, l.offer.target)
	if err != nil {
		_ = l.stream.Reset() // the peer may be gone already
		t.fail(l, ReasonTarget, err)
		return
	}
	l.local = local
	if l.offer.spec.ReportPeerID {
		if err := l.report(); err != nil {
			l.abort()
			t.fail(l, ReasonTarget, err)
			return
		}
	}
	t.carry(l)
}

func (t *Tunnels) dialTarget(ctx context.Context, target ma.Multiaddr) (net.Conn, error) {
	network, address, err := manet.DialArgs(target)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, t.opt.DialTimeout)
	defer cancel()
	c, err := t.opt.Dial(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("tunnel target %s: %w", target, err)
	}
	return c, nil
}

// report writes the line that tells the target who calls. A target that does not read it
// holds up this stream alone, until the stream is ended.
func (l *link) report() error {
	stop := context.AfterFunc(l.ctx, l.abort)
	defer stop()
	_, err := fmt.Fprintf(l.local, "%s\n", l.peer)
	return errors.Join(err, l.ctx.Err())
}
