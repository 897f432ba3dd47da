package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	ma "github.com/multiformats/go-multiaddr"
)

// reach are libp2p's options on how others get to this node, and how it gets to them.
func (o Options) reach() []libp2p.Option {
	var out []libp2p.Option
	if o.Relay || o.HolePunching || len(o.Relays) > 0 {
		out = append(out, libp2p.EnableRelay())
	} else {
		out = append(out, libp2p.DisableRelay())
	}
	if o.Relay {
		out = append(out, libp2p.EnableRelayService(), libp2p.EnableNATService(), libp2p.ForceReachabilityPublic())
	}
	if o.HolePunching {
		out = append(out, libp2p.EnableHolePunching())
	}
	if len(o.Relays) > 0 {
		out = append(out, libp2p.EnableAutoRelayWithStaticRelays(o.Relays))
	}
	if o.NATPortMap {
		out = append(out, libp2p.NATPortMap())
	}
	if len(o.Announce)+len(o.NoAnnounce) > 0 {
		out = append(out, libp2p.AddrsFactory(o.announced))
	}
	return out
}

// announced are the addresses that others are told. Without a listener there is none to tell.
func (o Options) announced(listening []ma.Multiaddr) []ma.Multiaddr {
	addrs := listening
	if len(o.Announce) > 0 && len(listening) > 0 {
		addrs = o.Announce
	}
	return slices.DeleteFunc(slices.Clone(addrs), func(a ma.Multiaddr) bool {
		return slices.ContainsFunc(o.NoAnnounce, a.Equal)
	})
}

// Bandwidth counts the bytes of all streams since the start, by peer and by protocol. Of an
// offline host it counts nothing.
func (h *Host) Bandwidth() *Bandwidth { return h.bandwidth }

// Offline tells whether this is the host of a node without a network.
func (h *Host) Offline() bool { return h.offline }

// Reachability is what peers have told, since Run, of whether they can dial this node.
func (h *Host) Reachability() network.Reachability {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reachability
}

// followReachability listens to libp2p's verdicts until the context ends.
func (h *Host) followReachability(ctx context.Context) error {
	sub, err := h.EventBus().Subscribe(new(event.EvtLocalReachabilityChanged), eventbus.Name("lode/host"))
	if err != nil {
		return fmt.Errorf("subscribe to reachability: %w", err)
	}
	defer sub.Close() // only ever reports a second Close
	events := sub.Out()
	for {
		select {
		case e, ok := <-events:
			if !ok {
				events = nil // the host was closed; the context will end
				continue
			}
			if r, is := e.(event.EvtLocalReachabilityChanged); is {
				h.mu.Lock()
				h.reachability = r.Reachability
				h.mu.Unlock()
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// Ping measures one round trip to a peer, connecting first if need be.
func (h *Host) Ping(ctx context.Context, id peer.ID) (time.Duration, error) {
	if id == h.ID() {
		return 0, fmt.Errorf("ping %s: that is this node", id)
	}
	ctx, cancel := context.WithCancel(ctx) // ends the library's goroutine
	defer cancel()
	select {
	case r, ok := <-ping.Ping(ctx, h.Host, id):
		switch {
		case !ok && ctx.Err() == nil:
			return 0, fmt.Errorf("ping %s: %w", id, errors.New("the peer hung up"))
		case ctx.Err() != nil:
			return 0, fmt.Errorf("ping %s: %w", id, context.Cause(ctx))
		case r.Error != nil:
			return 0, fmt.Errorf("ping %s: %w", id, r.Error)
		}
		return r.RTT, nil
	case <-ctx.Done():
		return 0, fmt.Errorf("ping %s: %w", id, context.Cause(ctx))
	}
}
