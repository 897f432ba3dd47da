package node

import (
	"context"
	"errors"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/index"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/vm"
)

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

func (a stateAPI) StateCall(ctx context.Context, msg *types.Message, tsk types.TipSetKey) (*api.InvocResult, error) {
	m, err := callOf(msg)
	if err != nil {
		return nil, err
	}
	ts, err := a.n.tipset(ctx, tsk)
	if err != nil {
		return nil, err
	}
	start := a.n.clk.Now()
	res, err := a.n.engine.CallBefore(ctx, ts, m)
	if err != nil {
		return nil, err
	}
	return &api.InvocResult{
		MsgCid: m.Cid(), Msg: m, MsgRct: &res.Receipt, GasCost: gasCost(m.Cid(), res),
		ExecutionTrace: res.Trace, Error: res.Err, Duration: int64(a.n.clk.Now().Sub(start)),
	}, nil
}

// callOf is a caller's message with amounts that were left out set to zero. It is refused
// when it could not be encoded.
func callOf(msg *types.Message) (*types.Message, error) {
	if msg == nil || msg.From == address.Undef || msg.To == address.Undef {
		return nil, badParam("message: it needs a sender and a recipient")
	}
	m := *msg
	for _, v := range []*abi.TokenAmount{&m.Value, &m.GasFeeCap, &m.GasPremium} {
		if v.Nil() {
			*v = big.Zero()
		}
	}
	if _, err := m.Serialize(); err != nil {
		return nil, badParam("message: %v", err)
	}
	return &m, nil
}

// gasCost tells where the gas of a message went.
func gasCost(c cid.Cid, res *vm.Result) api.MsgGasCost {
	g := res.GasCosts
	for _, v := range []*abi.TokenAmount{&g.BaseFeeBurn, &g.OverEstimationBurn, &g.MinerPenalty, &g.MinerTip, &g.Refund} {
		if v.Nil() {
			*v = big.Zero()
		}
	}
	return api.MsgGasCost{
		Message: c, GasUsed: big.NewInt(res.Receipt.GasUsed), BaseFeeBurn: g.BaseFeeBurn, OverEstimationBurn: g.OverEstimationBurn,
		MinerPenalty: g.MinerPenalty, MinerTip: g.MinerTip, Refund: g.Refund,
		TotalCost: big.Sum(g.BaseFeeBurn, g.OverEstimationBurn, g.MinerTip),
	}
}
