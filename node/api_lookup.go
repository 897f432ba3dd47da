package node

import (
	"context"
	"errors"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/index"
	"github.com/lodenet/lode/chain/types"
)

// stateAPI answers about what actors hold.
type stateAPI struct{ n *Node }

func (a stateAPI) StateSearchMsg(ctx context.Context, from types.TipSetKey, msg cid.Cid, lookback abi.ChainEpoch, allowReplaced bool) (*api.MsgLookup, error) {
	if !msg.Defined() {
		return nil, badParam("message: no CID given")
	}
	ts, err := a.n.tipset(ctx, from)
	if err != nil {
		return nil, err
	}
	l, err := a.n.index.FindMessage(ctx, msg, ts, lookback, allowReplaced)
	if errors.Is(err, index.ErrNotFound) {
		return nil, nil
	}
	return lookup(l), err
}

func (a stateAPI) StateWaitMsg(ctx context.Context, msg cid.Cid, confidence uint64, lookback abi.ChainEpoch, allowReplaced bool) (*api.MsgLookup, error) {
	if !msg.Defined() {
		return nil, badParam("message: no CID given")
	}
	depth, err := epochs(confidence)
	if err != nil {
		return nil, err
	}
	l, err := a.n.index.Wait(ctx, msg, depth, lookback, allowReplaced)
	return lookup(l), err
}

func lookup(l *index.Lookup) *api.MsgLookup {
	if l == nil {
		return nil
	}
	return &api.MsgLookup{Message: l.Message, Receipt: l.Receipt, TipSet: l.TipSet, Height: l.Height}
}
