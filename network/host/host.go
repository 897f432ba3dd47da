package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	libp2phost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	basicconnmgr "github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"
)

// Connection watermarks and dial timeout when Options does not say (spec chain.md f.5).
const (
	DefaultLow     = 150
	DefaultHigh    = 180
	DefaultGrace   = 20 * time.Second
	defaultDial    = 15 * time.Second
	userAgent      = "lode"
	unknownVersion = "dev"
)

// Options say how to build a host. Key is needed, all else has a default.
type Options struct {
	Key crypto.PrivKey // identity
	// Listen are the addresses that Run opens, such as /ip4/127.0.0.1/tcp/0; none means a
	// host that only dials.
	Listen  []ma.Multiaddr
	Version string // the user agent is lode/<Version>
	// Gater may refuse connections; peers.Bans is one. Nil lets all pass.
	Gater connmgr.ConnectionGater
	// Low, High and Grace steer the pruning of connections.
	Low, High int
	Grace     time.Duration
	// Announce are the addresses to tell others instead of those listened on; NoAnnounce are
	// never told.
	Announce, NoAnnounce []ma.Multiaddr
	// NATPortMap asks the router to forward our ports (UPnP, NAT-PMP).
	NATPortMap bool
	// Relay lets peers that nobody can reach be reached through this node, within libp2p's
	// quotas, and helps others to find out whether they can be reached. The node itself
	// counts as reachable.
	Relay bool
	// HolePunching dials through relays, and tries to replace relayed connections by direct
	// ones. Relays are where the node itself can be reached when nobody can reach it directly.
	HolePunching bool
	Relays       []peer.AddrInfo
	// Metrics gets libp2p's own metrics; nil collects none.
	Metrics prometheus.Registerer
	// Extra are further libp2p options, applied last.
	Extra []libp2p.Option
}

// Host is a libp2p host whose listening starts later than the host. Safe from many
// goroutines.
type Host struct {
	libp2phost.Host
	listen    []ma.Multiaddr // immutable
	bandwidth *Bandwidth
	offline   bool // immutable

	mu           sync.Mutex
	open         bool                 // guarded by mu
	closed       bool                 // guarded by mu
	reachability network.Reachability // guarded by mu

	turnedMu sync.Mutex
	turned   map[protocol.ID]uint64 // guarded by turnedMu: streams beyond the places of Serve
}

// ErrClosed: the host was closed before the call.
var ErrClosed = errors.New("libp2p host is closed")

// New builds a host that does not listen yet. Close releases it also when it never ran.
func New(o Options) (*Host, error) {
	if o.Key == nil {
		return nil, errors.New("libp2p host: no identity key")
	}
	low, high, grace := o.Low, o.High, o.Grace
	if low == 0 {
		low = DefaultLow
	}
	if high == 0 {
		high = max(DefaultHigh, low)
	}
	if grace == 0 {
		grace = DefaultGrace
	}
	rm, err := resourceManager(o.Metrics != nil)
	if err != nil {
		return nil, fmt.Errorf("libp2p resource limits: %w", err)
	}
	cm, err := basicconnmgr.NewConnManager(low, high, basicconnmgr.WithGracePeriod(grace))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("libp2p connection manager: %w", err), rm.Close())
	}
	bandwidth := newBandwidth()
	opts := []libp2p.Option{
		libp2p.Identity(o.Key),
		libp2p.UserAgent(agent(o.Version)),
		libp2p.NoListenAddrs,
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Transport(libp2pquic.NewTransport),
		libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.ConnectionManager(cm),
		libp2p.ResourceManager(rm),
		libp2p.WithDialTimeout(defaultDial),
		libp2p.BandwidthReporter(bandwidth),
	}
	opts = append(opts, o.reach()...)
	if o.Gater != nil {
		opts = append(opts, libp2p.ConnectionGater(o.Gater))
	}
	if o.Metrics != nil {
		opts = append(opts, libp2p.PrometheusRegisterer(o.Metrics))
	} else {
		opts = append(opts, libp2p.DisableMetrics())
	}
	h, err := libp2p.New(append(opts, o.Extra...)...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("libp2p host: %w", err), cm.Close(), rm.Close())
	}
	return &Host{Host: h, listen: slices.Clone(o.Listen), bandwidth: bandwidth}, nil
}

// agent is what peers are told that we run.
func agent(version string) string {
	if version == "" {
		version = unknownVersion
	}
	return userAgent + "/" + version
}

// Listen opens the addresses of the options. It can be repeated. When one address cannot be
// opened the others are closed again.
func (h *Host) Listen() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return ErrClosed
	case h.open || len(h.listen) == 0:
		return nil
	}
	// One by one: libp2p is content when any of several can be opened, we are not.
	for _, a := range h.listen {
		if err := h.Network().Listen(a); err != nil {
			h.stopListening()
			return fmt.Errorf("listen on %s: %w (is the port taken? choose another or 0)", a, err)
		}
	}
	h.open = true
	return nil
}

// Run listens until the context ends, then stops accepting connections; those that are
// open stay until Close.
func (h *Host) Run(ctx context.Context) error {
	if err := h.Listen(); err != nil {
		return err
	}
	err := h.followReachability(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open && !h.closed {
		h.stopListening()
		h.open = false
	}
	return err
}

// Close ends all connections and releases the host. It can be repeated.
func (h *Host) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	h.closed = true
	return h.Host.Close()
}

// P2PAddrs are the addresses with the peer id at the end: what others dial.
func (h *Host) P2PAddrs() []ma.Multiaddr {
	addrs, err := peer.AddrInfoToP2pAddrs(&peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()})
	if err != nil {
		return nil // the host's own id is always well formed
	}
	return addrs
}

// closer is what libp2p's swarm has beyond the Network interface.
type closer interface{ ListenClose(...ma.Multiaddr) }

// stopListening closes every address, under the numbers that free ports got.
func (h *Host) stopListening() {
	if s, ok := h.Network().(closer); ok {
		s.ListenClose(h.Network().ListenAddresses()...)
	}
}

// ParseAddrs reads addresses that end in a peer id, as in a bootstrap list. Several
// addresses of one peer are joined.
func ParseAddrs(list []string) ([]peer.AddrInfo, error) {
	addrs := make([]ma.Multiaddr, 0, len(list))
	for _, s := range list {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return nil, fmt.Errorf("peer address %q: %w", s, err)
		}
		addrs = append(addrs, a)
	}
	out, err := peer.AddrInfosFromP2pAddrs(addrs...)
	if err != nil {
		return nil, fmt.Errorf("peer addresses: %w", err)
	}
	return out, nil
}
