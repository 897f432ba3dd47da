package porcelain

import (
	"context"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/types"
)

// Miners is what looking up a miner's peer needs.
type Miners interface {
	StateMinerInfo(ctx context.Context, miner address.Address, tsk types.TipSetKey) (*api.MinerInfo, error)
}

// MinerPeer finds on chain who works for a miner, and where. Addresses that no program can
// read are left out: the chain takes any bytes.
func MinerPeer(ctx context.Context, node Miners, miner address.Address) (peer.AddrInfo, error) {
	info, err := node.StateMinerInfo(ctx, miner, types.TipSetKey{})
	if err != nil {
		return peer.AddrInfo{}, err
	}
	if info.PeerId == nil {
		return peer.AddrInfo{}, fmt.Errorf("miner %s has no peer id on chain", miner)
	}
	out := peer.AddrInfo{ID: *info.PeerId}
	for _, raw := range info.Multiaddrs {
		if a, err := ma.NewMultiaddrBytes(raw); err == nil {
			out.Addrs = append(out.Addrs, a)
		}
	}
	return out, nil
}
