package deal

import (
	"errors"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// ErrNoPeer: the chain does not say where the provider is.
var ErrNoPeer = errors.New("the miner has no peer id on chain: give the provider's address with its peer id, for example /ip4/1.2.3.4/tcp/4001/p2p/12D3…")

// PeerOf reads where a miner is from its info on chain.
func PeerOf(id []byte, addrs []abi.Multiaddrs) (peer.AddrInfo, error) {
	if len(id) == 0 {
		return peer.AddrInfo{}, ErrNoPeer
	}
	p, err := peer.IDFromBytes(id)
	if err != nil {
		return peer.AddrInfo{}, fmt.Errorf("peer id on chain: %w", err)
	}
	ai := peer.AddrInfo{ID: p}
	for _, b := range addrs {
		a, err := multiaddr.NewMultiaddrBytes(b)
		if err == nil { // one bad address does not spoil the others
			ai.Addrs = append(ai.Addrs, a)
		}
	}
	return ai, nil
}
