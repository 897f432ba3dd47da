package consensus

import (
	"context"
	"fmt"

	"github.com/filecoin-project/go-state-types/big"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/vm"
)

// Call runs a message on the state after a tipset, as in the next epoch, and forgets the
// changes. The sender pays nothing and need not be an account; a gas limit of 0 is a
// block's. The result's gas is 0 (spec chain.md c.7); ask CallAfter for that.
func (e *Engine) Call(ctx context.Context, ts *types.TipSet, msg *types.Message) (*vm.Result, error) {
	m, err := e.scratch(ctx, ts)
	if err != nil {
		return nil, err
	}
	call := *msg
	if call.GasLimit == 0 {
		call.GasLimit = types.BlockGasLimit
	}
	for _, v := range []*big.Int{&call.Value, &call.GasFeeCap, &call.GasPremium} {
		if v.Int == nil {
			*v = big.Zero()
		}
	}
	res, err := m.ApplyImplicit(ctx, &call)
	if err != nil {
		return nil, fmt.Errorf("call %s method %d on %s: %w", msg.To, msg.Method, ts, err)
	}
	return res, nil
}

// CallAfter applies messages on the state after a tipset, as in the next epoch at a base fee
// of 0, and then one more, whose result it returns (spec chain.md g.4). What the earlier ones
// return does not matter. All are applied as in a block: nonces, funds and signatures' sizes
// count.
func (e *Engine) CallAfter(ctx context.Context, ts *types.TipSet, prior []types.ChainMsg, msg types.ChainMsg) (*vm.Result, error) {
	m, err := e.scratch(ctx, ts)
	if err != nil {
		return nil, err
	}
	for _, p := range prior {
		if _, err := m.Apply(ctx, p); err != nil {
			return nil, fmt.Errorf("apply message %s on %s: %w", p.Cid(), ts, err)
		}
	}
	res, err := m.Apply(ctx, msg)
	if err != nil {
		return nil, fmt.Errorf("apply message %s on %s: %w", msg.Cid(), ts, err)
	}
	return res, nil
}

// scratch is a VM in the epoch after a tipset that is never flushed.
func (e *Engine) scratch(ctx context.Context, ts *types.TipSet) (*vm.VM, error) {
	root, _, err := e.State(ctx, ts)
	if err != nil {
		return nil, err
	}
	env, err := e.env(ts)
	if err != nil {
		return nil, err
	}
	return vm.New(ctx, env, root, ts.Height()+1, big.Zero())
}
