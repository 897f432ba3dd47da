package dht

import (
	"context"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Offline is the router of a node without a network: it finds nothing and says why.
type Offline struct{}

var _ Router = Offline{}

// FindPeer implements Router.
func (Offline) FindPeer(_ context.Context, id peer.ID) (peer.AddrInfo, error) {
	return peer.AddrInfo{}, fmt.Errorf("find peer %s: %w", id, ErrOffline)
}

// FindProvidersAsync implements Router.
func (Offline) FindProvidersAsync(context.Context, cid.Cid, int) <-chan peer.AddrInfo {
	none := make(chan peer.AddrInfo)
	close(none)
	return none
}

// FindProviders implements Router.
func (Offline) FindProviders(_ context.Context, c cid.Cid, _ int) ([]peer.AddrInfo, error) {
	return nil, fmt.Errorf("find providers of %s: %w", c, ErrOffline)
}

// Provide implements Router.
func (Offline) Provide(_ context.Context, c cid.Cid) error {
	return fmt.Errorf("announce %s: %w", c, ErrOffline)
}

// Closest implements Router.
func (Offline) Closest(context.Context, string) ([]peer.ID, error) {
	return nil, fmt.Errorf("query the DHT: %w", ErrOffline)
}

// Size implements Router.
func (Offline) Size() int { return 0 }
