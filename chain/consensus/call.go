package consensus

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/big"

	"github.com/lodenet/lode/chain/state/view"
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
	res, err := m.ApplyImplicit(ctx, callable(msg))
	if err != nil {
		return nil, fmt.Errorf("call %s method %d on %s: %w", msg.To, msg.Method, ts, err)
	}
	return res, nil
}

// CallBefore runs a message on the state that a tipset builds on, after the tipset's own
// messages of the same sender, with the tipset's epoch and base fee, and forgets the changes.
// Otherwise it is like Call, and the result has a trace.
func (e *Engine) CallBefore(ctx context.Context, ts *types.TipSet, msg *types.Message) (*vm.Result, error) {
	fail := func(err error) (*vm.Result, error) {
		return nil, fmt.Errorf("call %s method %d below %s: %w", msg.To, msg.Method, ts, err)
	}
	env, err := e.env(ts)
	if err != nil {
		return fail(err)
	}
	prior, err := e.sentBy(ctx, env, ts, msg.From)
	if err != nil {
		return fail(err)
	}
	env.Trace = true
	m, err := vm.New(ctx, env, ts.ParentState(), ts.Height(), ts.BaseFee())
	if err != nil {
		return fail(err)
	}
	for _, p := range prior {
		if _, err := m.Apply(ctx, p); err != nil {
			return fail(err)
		}
	}
	res, err := m.ApplyImplicit(ctx, callable(msg))
	if err != nil {
		return fail(err)
	}
	return res, nil
}

// sentBy are the messages of a tipset that one sender, by any of its addresses, has sent, as
// they run.
func (e *Engine) sentBy(ctx context.Context, env vm.Env, ts *types.TipSet, sender address.Address) ([]types.ChainMsg, error) {
	if ts.Height() == 0 {
		return nil, nil
	}
	state := view.At(e.chain, ts.ParentState())
	want, err := state.LookupID(ctx, sender)
	if errors.Is(err, view.ErrNotFound) {
		return nil, nil // it cannot have sent any
	}
	if err != nil {
		return nil, err
	}
	blocks, err := e.chain.TipSetMessages(ctx, ts)
	if err != nil {
		return nil, err
	}
	if blocks, err = vm.SelectMessages(ctx, env, ts.ParentState(), blocks); err != nil {
		return nil, err
	}
	var out []types.ChainMsg
	for _, b := range blocks {
		for _, m := range append(slices.Clone(b.BlsMessages), b.SecpkMessages...) {
			id, err := state.LookupID(ctx, m.VMMessage().From)
			if err != nil && !errors.Is(err, view.ErrNotFound) {
				return nil, err
			}
			if err == nil && id == want {
				out = append(out, m)
			}
		}
	}
	return out, nil
}

// callable is a message with what a call may leave out filled in; it gets a block's gas at
// most.
func callable(msg *types.Message) *types.Message {
	call := *msg
	if call.GasLimit <= 0 || call.GasLimit > types.BlockGasLimit {
		call.GasLimit = types.BlockGasLimit
	}
	for _, v := range []*big.Int{&call.Value, &call.GasFeeCap, &call.GasPremium} {
		if v.Int == nil {
			*v = big.Zero()
		}
	}
	return &call
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
