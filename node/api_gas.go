package node

import (
	"context"
	"errors"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/exitcode"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/mpool"
	"github.com/lodenet/lode/chain/types"
)

// gasAPI estimates what messages cost.
type gasAPI struct{ n *Node }

func (a gasAPI) GasEstimateMessageGas(ctx context.Context, msg *types.Message, spec *api.MessageSendSpec, tsk types.TipSetKey) (*types.Message, error) {
	m, err := callOf(msg)
	if err != nil {
		return nil, err
	}
	ts, err := a.n.tipset(ctx, tsk)
	if err != nil {
		return nil, err
	}
	return a.n.estimate(ctx, m, spec, ts)
}

// estimate fills in gas as the sender wants it.
func (n *Node) estimate(ctx context.Context, msg *types.Message, spec *api.MessageSendSpec, ts *types.TipSet) (*types.Message, error) {
	most := n.feeLimit(spec)
	m, err := n.pool.EstimateGasAt(ctx, msg, most, ts)
	if err != nil {
		return nil, callError(err)
	}
	if spec != nil && spec.MaximizeFeeCap && msg.GasFeeCap.Sign() == 0 && m.GasLimit > 0 {
		m.GasFeeCap = big.Div(most, big.NewInt(m.GasLimit))
	}
	return m, nil
}

// feeLimit is the most that a message's gas may cost, in attoFIL.
func (n *Node) feeLimit(spec *api.MessageSendSpec) abi.TokenAmount {
	if spec != nil && !spec.MaxFee.Nil() && spec.MaxFee.Sign() > 0 {
		return spec.MaxFee
	}
	if most := n.maxFee(); !most.Nil() && most.Sign() > 0 {
		return most
	}
	return mpool.DefaultMaxFee
}

func (a gasAPI) GasEstimateFeeCap(ctx context.Context, msg *types.Message, maxQueueBlocks int64, tsk types.TipSetKey) (abi.TokenAmount, error) {
	m, err := callOf(msg)
	if err != nil {
		return big.Zero(), err
	}
	ts, err := a.n.tipset(ctx, tsk)
	if err != nil {
		return big.Zero(), err
	}
	return mpool.EstimateFeeCap(m, maxQueueBlocks, ts), nil
}

// GasEstimateGasPremium goes by what others pay; who sends and how much does not matter.
func (a gasAPI) GasEstimateGasPremium(ctx context.Context, blocks uint64, _ address.Address, _ int64, tsk types.TipSetKey) (abi.TokenAmount, error) {
	ts, err := a.n.tipset(ctx, tsk)
	if err != nil {
		return big.Zero(), err
	}
	return a.n.pool.EstimateGasPremium(ctx, blocks, ts)
}

func (a gasAPI) GasEstimateGasLimit(ctx context.Context, msg *types.Message, tsk types.TipSetKey) (int64, error) {
	m, err := callOf(msg)
	if err != nil {
		return 0, err
	}
	ts, err := a.n.tipset(ctx, tsk)
	if err != nil {
		return 0, err
	}
	limit, err := a.n.pool.EstimateGasLimit(ctx, m, ts)
	return limit, callError(err)
}

// callError gives the failure of a trial run the code under which clients know it.
func callError(err error) error {
	var c *mpool.CallError
	switch {
	case errors.Is(err, mpool.ErrNoSender):
		return api.ErrActorNotFound.With("%v", err)
	case !errors.As(err, &c):
		return coded(err)
	case c.Code == exitcode.SysErrOutOfGas:
		return api.ErrOutOfGas.With("%v", err)
	}
	return api.ErrReverted.With("%v", err)
}
