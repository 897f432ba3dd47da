package node

import (
	"context"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/sync/syncer"
	"github.com/lodenet/lode/chain/types"
)

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

// syncAPI tells how the node follows the chain.
type syncAPI struct{ n *Node }

// stages translates the syncer's words.
var stages = map[syncer.Stage]api.SyncStage{
	syncer.StageIdle:     api.StageIdle,
	syncer.StageHeaders:  api.StageHeaders,
	syncer.StageMessages: api.StageMessages,
	syncer.StageComplete: api.StageComplete,
	syncer.StageWaiting:  api.StageError,
	syncer.StageRefused:  api.StageError,
}

func (a syncAPI) SyncState(ctx context.Context) (*api.SyncState, error) {
	s := a.n.syncer.Status()
	work := api.ActiveSync{
		WorkerID: 1, Stage: stages[s.Stage], Height: s.Height, Start: s.Started, End: s.Ended, Message: s.Error,
	}
	if !s.Target.IsEmpty() {
		var err error
		if work.Base, work.Target, err = a.ends(ctx, s.Base, s.Target); err != nil {
			return nil, err
		}
	}
	return &api.SyncState{ActiveSyncs: []api.ActiveSync{work}, VMApplied: a.n.engine.Executed()}, nil
}

// ends finds the tipsets at both ends of a sync, as far as they are here.
func (a syncAPI) ends(ctx context.Context, height abi.ChainEpoch, key types.TipSetKey) (base, target *types.TipSet, err error) {
	if target, err = a.n.store.TipSet(ctx, key); err != nil && !ipld.IsNotFound(err) {
		return nil, nil, err
	}
	base, err = a.n.store.TipSetAt(ctx, height, nil)
	return base, target, err
}
