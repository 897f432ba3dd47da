package node

import (
	"context"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/index"
	"github.com/lodenet/lode/chain/types"
)

// chainAPI answers about blocks, messages and receipts.
type chainAPI struct{ n *Node }

func (a chainAPI) ChainHead(context.Context) (*types.TipSet, error) { return a.n.store.Head(), nil }

func (a chainAPI) ChainGetGenesis(context.Context) (*types.TipSet, error) {
	return a.n.store.Genesis(), nil
}

func (a chainAPI) ChainGetTipSet(ctx context.Context, tsk types.TipSetKey) (*types.TipSet, error) {
	return a.n.tipset(ctx, tsk)
}

func (a chainAPI) ChainGetTipSetByHeight(ctx context.Context, epoch abi.ChainEpoch, tsk types.TipSetKey) (*types.TipSet, error) {
	ts, err := a.below(ctx, epoch, tsk)
	if err != nil {
		return nil, err
	}
	return a.n.store.TipSetAt(ctx, epoch, ts)
}

func (a chainAPI) ChainGetTipSetAfterHeight(ctx context.Context, epoch abi.ChainEpoch, tsk types.TipSetKey) (*types.TipSet, error) {
	ts, err := a.below(ctx, epoch, tsk)
	if err != nil {
		return nil, err
	}
	return a.n.store.TipSetAfter(ctx, epoch, ts)
}

// below finds a tipset on whose chain an epoch is.
func (a chainAPI) below(ctx context.Context, epoch abi.ChainEpoch, tsk types.TipSetKey) (*types.TipSet, error) {
	ts, err := a.n.tipset(ctx, tsk)
	if err != nil {
		return nil, err
	}
	if epoch < 0 || epoch > ts.Height() {
		return nil, fmt.Errorf("epoch %d is not on the chain of %s, which has 0 to %d", epoch, ts, ts.Height())
	}
	return ts, nil
}

func (a chainAPI) ChainGetBlock(ctx context.Context, block cid.Cid) (*types.BlockHeader, error) {
	if !block.Defined() {
		return nil, badParam("block: no CID given")
	}
	h, err := a.n.store.Header(ctx, block)
	if ipld.IsNotFound(err) {
		return nil, fmt.Errorf("block %s is not on this node: %w", block, err)
	}
	return h, err
}

func (a chainAPI) ChainGetBlockMessages(ctx context.Context, block cid.Cid) (*api.BlockMessages, error) {
	h, err := a.ChainGetBlock(ctx, block)
	if err != nil {
		return nil, err
	}
	out := &api.BlockMessages{}
	if out.BlsMessages, out.SecpkMessages, err = a.n.store.BlockMessages(ctx, h); err != nil {
		return nil, err
	}
	for _, m := range out.BlsMessages {
		out.Cids = append(out.Cids, m.Cid())
	}
	for _, m := range out.SecpkMessages {
		out.Cids = append(out.Cids, m.Cid())
	}
	return out, nil
}

func (a chainAPI) ChainGetParentMessages(ctx context.Context, block cid.Cid) ([]api.ParentMessage, error) {
	h, err := a.ChainGetBlock(ctx, block)
	if err != nil || h.Height == 0 {
		return nil, err
	}
	return a.ChainGetMessagesInTipset(ctx, types.NewTipSetKey(h.Parents...))
}

func (a chainAPI) ChainGetMessagesInTipset(ctx context.Context, tsk types.TipSetKey) ([]api.ParentMessage, error) {
	ts, err := a.n.tipset(ctx, tsk)
	if err != nil {
		return nil, err
	}
	msgs, err := index.Executed(ctx, a.n.store, ts)
	if err != nil {
		return nil, err
	}
	out := make([]api.ParentMessage, len(msgs))
	for i, m := range msgs {
		out[i] = api.ParentMessage{Cid: m.Cid(), Message: m.VMMessage()}
	}
	return out, nil
}

func (a chainAPI) ChainGetParentReceipts(ctx context.Context, block cid.Cid) ([]*types.MessageReceipt, error) {
	h, err := a.ChainGetBlock(ctx, block)
	if err != nil || h.Height == 0 {
		return nil, err
	}
	receipts, err := a.n.store.Receipts(ctx, h.ParentMessageReceipts)
	if err != nil {
		return nil, fmt.Errorf("receipts in block %s: %w", block, err)
	}
	out := make([]*types.MessageReceipt, len(receipts))
	for i := range receipts {
		out[i] = &receipts[i]
	}
	return out, nil
}

func (a chainAPI) ChainGetMessage(ctx context.Context, msg cid.Cid) (*types.Message, error) {
	if !msg.Defined() {
		return nil, badParam("message: no CID given")
	}
	if m, ok := a.n.pool.Message(msg); ok {
		return &m.Message, nil
	}
	m, err := a.n.store.Message(ctx, msg)
	if ipld.IsNotFound(err) {
		return nil, fmt.Errorf("message %s is not on this node: %w", msg, err)
	}
	if err != nil {
		return nil, err
	}
	return m.VMMessage(), nil
}

func (a chainAPI) ChainTipSetWeight(ctx context.Context, tsk types.TipSetKey) (big.Int, error) {
	ts, err := a.n.tipset(ctx, tsk)
	if err != nil {
		return big.Int{}, err
	}
	return a.n.engine.Weight(ctx, ts)
}
