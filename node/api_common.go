package node

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/google/uuid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/api/auth"
	"github.com/lodenet/lode/chain/store"
	"github.com/lodenet/lode/chain/sync/syncer"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/network/gossip"
)

// lag is how many epochs a healthy node's head may be behind the clock: null rounds and slow
// blocks are no illness.
const lag abi.ChainEpoch = 5

// commonAPI answers for the program and the node as a whole.
type commonAPI struct {
	*auth.Tokens
	n *Node
}

func (a commonAPI) Version(context.Context) (api.Version, error) {
	n := a.n
	return api.Version{
		Version: n.opt.Version, APIVersion: api.APIVersion, BlockDelay: n.network.EpochSeconds,
		Agent: "lode/" + n.opt.Version, Network: n.network.Name, Proofs: n.network.Proofs,
	}, nil
}

func (a commonAPI) ID(context.Context) (peer.ID, error) { return a.n.host.ID(), nil }

func (a commonAPI) Session(context.Context) (uuid.UUID, error) { return a.n.session, nil }

func (a commonAPI) StartTime(context.Context) (time.Time, error) { return a.n.born, nil }

func (a commonAPI) Shutdown(context.Context) error {
	a.n.shutdown.ask()
	return nil
}

func (a commonAPI) NodeStatus(ctx context.Context, inclChain bool) (api.NodeStatus, error) {
	n := a.n
	head := n.store.Head()
	behind := max(0, n.epochs.At(n.clk.Now())-head.Height())
	s := api.NodeStatus{
		SyncStatus: api.NodeSyncStatus{Epoch: uint64(head.Height()), Behind: uint64(behind)},
		PeerStatus: api.NodePeerStatus{
			PeersToPublishMsgs:   len(n.gossip.Peers(gossip.MessagesTopic(n.network.Name))),
			PeersToPublishBlocks: len(n.gossip.Peers(gossip.BlocksTopic(n.network.Name))),
		},
	}
	ills := n.ills(behind)
	s.Healthy, s.Reason = len(ills) == 0, strings.Join(ills, "; ")
	if !inclChain {
		return s, nil
	}
	var err error
	if s.ChainStatus.BaseFee, err = n.engine.BaseFee(ctx, head); err != nil {
		return s, err
	}
	s.ChainStatus.BlocksPerTipsetLast100, s.ChainStatus.BlocksPerTipsetLastFinality, err = a.density(ctx, head)
	return s, err
}

// ills says why the node does not follow its network; nothing when it does.
func (n *Node) ills(behind abi.ChainEpoch) (out []string) {
	if n.host.Offline() {
		out = append(out, "the node is offline")
	}
	if behind > lag {
		out = append(out, fmt.Sprintf("the head is %d epochs behind the clock", behind))
	}
	// A refusal of long ago was about someone who is gone.
	if s := n.syncer.Status(); s.Stage == syncer.StageRefused && n.clk.Now().Sub(s.Ended) < time.Duration(lag)*n.epoch() {
		out = append(out, fmt.Sprintf("a chain of height %d was refused: %s", s.TargetHeight, s.Error))
	}
	if n.bootstrap > 0 && len(n.peers.ReadyPeers()) == 0 {
		out = append(out, "no peer is connected")
	}
	return out
}

// density is how many blocks the tipsets up to ts have on average: the last 100, and as many as
// a reorg may take back.
func (a commonAPI) density(ctx context.Context, ts *types.TipSet) (last100, lastFinality float64, err error) {
	blocks := 0
	for count := 1; ; count++ {
		blocks += len(ts.Blocks())
		lastFinality = float64(blocks) / float64(count)
		if count <= 100 {
			last100 = lastFinality
		}
		if ts.Height() == 0 || count == store.Finality {
			return last100, lastFinality, nil
		}
		if ts, err = a.n.store.TipSet(ctx, ts.Parents()); err != nil {
			return 0, 0, err
		}
	}
}
