package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p"
	libp2phost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// ErrOffline: the node takes no part in any network, so no peer can be reached.
var ErrOffline = errors.New("this node is offline: start it without --offline to reach peers")

// NewOffline builds the host of a node without a network (spec network.md L-18). It has the
// node's identity, takes handlers and answers every question about peers with none; what
// would need a connection fails with ErrOffline. It never listens.
func NewOffline(o Options) (*Host, error) {
	if o.Key == nil {
		return nil, errors.New("libp2p host: no identity key")
	}
	h, err := libp2p.New(
		libp2p.Identity(o.Key),
		libp2p.UserAgent(agent(o.Version)),
		libp2p.NoListenAddrs,
		libp2p.NoTransports,
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.ResourceManager(&network.NullResourceManager{}),
	)
	if err != nil {
		return nil, fmt.Errorf("libp2p host, offline: %w", err)
	}
	return &Host{Host: offline{h}, bandwidth: newBandwidth(), offline: true}, nil
}

// offline is a host that connects to nobody.
type offline struct{ libp2phost.Host }

// Connect implements host.Host.
func (offline) Connect(_ context.Context, to peer.AddrInfo) error {
	return fmt.Errorf("connect to %s: %w", to.ID, ErrOffline)
}

// NewStream implements host.Host.
func (offline) NewStream(_ context.Context, p peer.ID, _ ...protocol.ID) (network.Stream, error) {
	return nil, fmt.Errorf("stream to %s: %w", p, ErrOffline)
}

// Network implements host.Host.
func (o offline) Network() network.Network { return offlineNet{o.Host.Network()} }

// offlineNet is a network without transports; only dialling needs another error.
type offlineNet struct{ network.Network }

// DialPeer implements network.Dialer.
func (offlineNet) DialPeer(_ context.Context, p peer.ID) (network.Conn, error) {
	return nil, fmt.Errorf("dial %s: %w", p, ErrOffline)
}

// NewStream implements network.Network.
func (offlineNet) NewStream(_ context.Context, p peer.ID) (network.Stream, error) {
	return nil, fmt.Errorf("stream to %s: %w", p, ErrOffline)
}
