package node

import (
	"context"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/network/bitswap"
)

func (a netAPI) NetBandwidthStats(context.Context) (metrics.Stats, error) {
	return a.n.host.Bandwidth().GetBandwidthTotals(), nil
}

func (a netAPI) NetBandwidthStatsByPeer(context.Context) (map[string]metrics.Stats, error) {
	out := make(map[string]metrics.Stats)
	for p, s := range a.n.host.Bandwidth().GetBandwidthByPeer() {
		out[p.String()] = s
	}
	return out, nil
}

func (a netAPI) NetBandwidthStatsByProtocol(context.Context) (map[protocol.ID]metrics.Stats, error) {
	return a.n.host.Bandwidth().GetBandwidthByProtocol(), nil
}

func (a netAPI) NetBootstrapList(context.Context) ([]peer.AddrInfo, error) {
	return append([]peer.AddrInfo{}, a.n.peers.Bootstrap()...), nil
}

func (a netAPI) NetBootstrapAdd(_ context.Context, info peer.AddrInfo) error {
	return a.n.peers.AddBootstrap(info)
}

func (a netAPI) NetBootstrapRemove(_ context.Context, id peer.ID) error {
	return a.n.peers.RemoveBootstrap(id)
}

func (a netAPI) DhtFindProviders(ctx context.Context, c cid.Cid, n int) ([]peer.AddrInfo, error) {
	if err := defined(c); err != nil {
		return nil, err
	}
	list, err := a.n.router.FindProviders(ctx, c, max(0, n))
	return append([]peer.AddrInfo{}, list...), err
}

func (a netAPI) DhtProvide(ctx context.Context, c cid.Cid) error {
	if err := defined(c); err != nil {
		return err
	}
	has, err := a.n.gateway.blocks.Has(ctx, c)
	if err != nil {
		return err
	}
	if !has {
		return fmt.Errorf("announce %s: this node does not have it; import the file first", c)
	}
	return a.n.router.Provide(ctx, c)
}

func defined(c cid.Cid) error {
	if !c.Defined() {
		return fmt.Errorf("no CID was given")
	}
	return nil
}

func (a netAPI) DhtQuery(ctx context.Context, id peer.ID) ([]peer.ID, error) {
	if err := id.Validate(); err != nil {
		return nil, err
	}
	list, err := a.n.router.Closest(ctx, string(id))
	return append([]peer.ID{}, list...), err
}

func (a netAPI) BitswapStat(context.Context) ([]api.BitswapStat, error) {
	out := []api.BitswapStat{}
	for _, x := range []struct {
		name protocol.ID
		swap *bitswap.Exchange
	}{
		{bitswap.ChainPrefix + bitswap.Protocol, a.n.chainSwap},
		{bitswap.Protocol, a.n.dataSwap},
	} {
		s, err := x.swap.Stats()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", x.name, err)
		}
		out = append(out, api.BitswapStat{
			Protocol: x.name, Peers: append([]string{}, s.Peers...), Wantlist: append([]cid.Cid{}, s.Wantlist...),
			BlocksReceived: s.BlocksReceived, DataReceived: s.DataReceived, BlocksSent: s.BlocksSent, DataSent: s.DataSent,
			DupBlksReceived: s.DupBlksReceived, DupDataReceived: s.DupDataReceived, MessagesReceived: s.MessagesReceived,
		})
	}
	return out, nil
}
