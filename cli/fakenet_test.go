package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/lodenet/lode/api"
)

var fakeGuest = must(peer.Decode("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"))

func fakeInfo() peer.AddrInfo {
	return peer.AddrInfo{ID: fakePeer, Addrs: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/4001")}}
}

func fakeNet(c *api.Calls) {
	c.NetSessions = func(context.Context) ([]api.PeerSession, error) {
		return []api.PeerSession{
			{ID: fakePeer, State: "ready", Bootstrap: true, Addrs: []string{"/ip4/127.0.0.1/tcp/4001"}, Agent: "lode/1.2.3", Protocols: []string{"/fil/hello/1.0.0"}, Latency: 12345678, Score: 3.25, Since: fakeTime},
			{ID: fakeGuest, State: "guest", Inbound: true, Addrs: []string{"/ip4/127.0.0.1/tcp/4002"}, Agent: "kubo/0.41.0", Protocols: []string{"/ipfs/bitswap/1.2.0"}, Score: -20, Since: fakeTime},
		}, nil
	}
	c.NetFindPeer = func(_ context.Context, id peer.ID) (peer.AddrInfo, error) {
		if id != fakePeer {
			return peer.AddrInfo{}, errors.New("find peer: no peer of the network's DHT is known: connect to one first")
		}
		return fakeInfo(), nil
	}
	c.NetPing = func(_ context.Context, id peer.ID) (time.Duration, error) {
		if id != fakePeer {
			return 0, errFaraway
		}
		return 1500 * time.Microsecond, nil
	}
	c.NetAutoNatStatus = func(context.Context) (api.NatInfo, error) {
		return api.NatInfo{Reachability: api.ReachPublic, PublicAddrs: []string{"/ip4/1.2.3.4/tcp/4001"}}, nil
	}
	stats := metrics.Stats{TotalIn: 3 << 20, TotalOut: 5000, RateIn: 2048, RateOut: 1}
	c.NetBandwidthStats = func(context.Context) (metrics.Stats, error) { return stats, nil }
	c.NetBandwidthStatsByPeer = func(context.Context) (map[string]metrics.Stats, error) {
		return map[string]metrics.Stats{fakePeer.String(): stats}, nil
	}
	c.NetBandwidthStatsByProtocol = func(context.Context) (map[protocol.ID]metrics.Stats, error) {
		return map[protocol.ID]metrics.Stats{"/fil/hello/1.0.0": {TotalIn: 300}, "/fil/chain/xchg/0.0.1": stats}, nil
	}
	c.NetBans = func(context.Context) ([]api.NetBan, error) {
		return []api.NetBan{{Net: "192.0.2.0/24", Until: fakeTime, Reason: "requested"}, {Peer: &fakeGuest, Until: fakeTime, Reason: "genesis"}}, nil
	}
	c.NetBan = func(_ context.Context, b api.NetBan) error {
		if b.Peer == nil && b.Net == "x" {
			return fmt.Errorf("%q is neither an address nor a range", b.Net)
		}
		return nil
	}
	c.NetUnban = c.NetBan
	c.NetProtectAdd = func(context.Context, []peer.ID) error { return nil }
	c.NetProtectRemove = c.NetProtectAdd
	c.NetProtectList = func(context.Context) ([]peer.ID, error) { return []peer.ID{fakePeer}, nil }
	c.NetBootstrapList = func(context.Context) ([]peer.AddrInfo, error) { return []peer.AddrInfo{fakeInfo()}, nil }
	c.NetBootstrapAdd = func(context.Context, peer.AddrInfo) error { return nil }
	c.NetBootstrapRemove = func(_ context.Context, id peer.ID) error {
		if id != fakePeer {
			return fmt.Errorf("%s: not a bootstrap peer", id)
		}
		return nil
	}
	c.DhtFindProviders = func(_ context.Context, x cid.Cid, _ int) ([]peer.AddrInfo, error) {
		if x != fakeRoot {
			return nil, nil
		}
		return []peer.AddrInfo{fakeInfo(), {ID: fakeGuest}}, nil
	}
	c.DhtProvide = func(context.Context, cid.Cid) error { return nil }
	c.DhtQuery = func(context.Context, peer.ID) ([]peer.ID, error) { return []peer.ID{fakePeer, fakeGuest}, nil }
	c.BitswapStat = func(context.Context) ([]api.BitswapStat, error) {
		return []api.BitswapStat{
			{Protocol: "/chain/ipfs/bitswap/1.2.0", Peers: []string{fakePeer.String()}, Wantlist: []cid.Cid{}, BlocksReceived: 3, DataReceived: 4096},
			{Protocol: "/ipfs/bitswap/1.2.0", Peers: []string{}, Wantlist: []cid.Cid{fakeRoot}, BlocksSent: 7, DataSent: 7 << 20},
		}, nil
	}
}
