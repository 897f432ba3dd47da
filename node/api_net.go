package node

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/lodenet/lode/api"
)

// protectTag marks the peers whose connections the operator wants kept.
const protectTag = "operator"

// netAPI answers about connections.
type netAPI struct{ n *Node }

func (a netAPI) NetPeers(context.Context) ([]peer.AddrInfo, error) {
	net := a.n.host.Network()
	out := []peer.AddrInfo{}
	for _, id := range net.Peers() {
		info := peer.AddrInfo{ID: id}
		for _, c := range net.ConnsToPeer(id) {
			info.Addrs = append(info.Addrs, c.RemoteMultiaddr())
		}
		out = append(out, info)
	}
	return out, nil
}

func (a netAPI) NetAddrsListen(context.Context) (peer.AddrInfo, error) {
	return peer.AddrInfo{ID: a.n.host.ID(), Addrs: a.n.host.Addrs()}, nil
}

func (a netAPI) NetConnect(ctx context.Context, to peer.AddrInfo) error {
	return a.n.peers.Connect(ctx, to)
}

func (a netAPI) NetDisconnect(_ context.Context, id peer.ID) error {
	if err := a.connected(id); err != nil {
		return err
	}
	a.n.peers.Disconnect(id)
	return a.n.host.Network().ClosePeer(id)
}

func (a netAPI) NetAgentVersion(_ context.Context, id peer.ID) (string, error) {
	if err := a.connected(id); err != nil {
		return "", err
	}
	v, err := a.n.host.Peerstore().Get(id, "AgentVersion")
	if err != nil {
		return "", fmt.Errorf("peer %s has not told its program: %w", id, err)
	}
	agent, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("peer %s told something else than its program: %T", id, v)
	}
	return agent, nil
}

func (a netAPI) connected(id peer.ID) error {
	if a.n.host.Network().Connectedness(id) != network.Connected {
		return fmt.Errorf("peer %s is not connected", id)
	}
	return nil
}

func (a netAPI) NetSessions(context.Context) ([]api.PeerSession, error) {
	out := []api.PeerSession{}
	for _, p := range a.n.peers.Peers() {
		s := api.PeerSession{
			ID: p.ID, State: p.State.String(), Inbound: p.Inbound, Bootstrap: p.Bootstrap, Addrs: p.Addrs, Agent: p.Agent,
			Protocols: texts(p.Protocols), Latency: p.Latency, Offset: p.Offset, Score: p.Score, Since: p.Since,
		}
		if i := p.Intro; i != nil {
			s.Intro = &api.PeerIntro{
				Network: i.Network, Agent: i.Agent, OldestState: i.OldestState, NewestState: i.NewestState,
				Capabilities: i.Capabilities.Names(), Finalised: i.Finalised,
			}
		}
		out = append(out, s)
	}
	return out, nil
}

func texts(list []protocol.ID) []string {
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = string(p)
	}
	return out
}

func (a netAPI) NetPeerInfo(ctx context.Context, id peer.ID) (*api.ExtendedPeerInfo, error) {
	if err := a.connected(id); err != nil {
		return nil, err
	}
	out := &api.ExtendedPeerInfo{ID: id, Addrs: []string{}, Protocols: []string{}}
	out.Agent, _ = a.NetAgentVersion(ctx, id) // not every peer says
	for _, c := range a.n.host.Network().ConnsToPeer(id) {
		out.Addrs = append(out.Addrs, c.RemoteMultiaddr().String())
	}
	protocols, err := a.n.host.Peerstore().GetProtocols(id)
	if err != nil {
		return nil, fmt.Errorf("peer %s: protocols: %w", id, err)
	}
	out.Protocols = texts(protocols)
	if tags := a.n.host.ConnManager().GetTagInfo(id); tags != nil {
		out.ConnMgrMeta = &api.ConnMgrInfo{FirstSeen: tags.FirstSeen, Value: tags.Value, Tags: tags.Tags, Conns: tags.Conns}
	}
	return out, nil
}

func (a netAPI) NetConnectedness(_ context.Context, id peer.ID) (api.Connectedness, error) {
	return api.Connectedness(a.n.host.Network().Connectedness(id)), nil
}

func (a netAPI) NetPing(ctx context.Context, id peer.ID) (time.Duration, error) {
	return a.n.host.Ping(ctx, id)
}

func (a netAPI) NetFindPeer(ctx context.Context, id peer.ID) (peer.AddrInfo, error) {
	if a.connected(id) == nil {
		return a.n.host.Peerstore().PeerInfo(id), nil
	}
	return a.n.router.FindPeer(ctx, id)
}

func (a netAPI) NetAutoNatStatus(context.Context) (api.NatInfo, error) {
	info := api.NatInfo{Reachability: api.Reachability(a.n.host.Reachability()), PublicAddrs: []string{}}
	for _, m := range a.n.host.Addrs() {
		if manet.IsPublicAddr(m) {
			info.PublicAddrs = append(info.PublicAddrs, m.String())
		}
	}
	return info, nil
}
