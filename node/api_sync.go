package node

import (
	"context"

	"github.com/filecoin-project/go-state-types/abi"
	ipld "github.com/ipfs/go-ipld-format"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/sync/syncer"
	"github.com/lodenet/lode/chain/types"
)

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
