package vm

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"

	"github.com/lodenet/lode/chain/types"
)

// Result is what one message did.
type Result struct {
	Receipt types.MessageReceipt
	// Err is why the message failed, for people; empty when it succeeded.
	Err string
	// Penalty is what the miner that included the message is fined, MinerTip what it earns,
	// in attoFIL.
	Penalty, MinerTip abi.TokenAmount
	GasCosts          GasCosts
	// Trace is nil unless Env.Trace is set, and for messages that did not start.
	Trace *Trace
}

// Code is the exit code of the receipt.
func (r *Result) Code() exitcode.ExitCode { return exitcode.ExitCode(r.Receipt.ExitCode) }

// ErrMalformed: the message lacks a field without which it has no meaning, or has no gas.
// A block with it is invalid (b.1); the VM's state is unchanged.
var ErrMalformed = errors.New("message cannot be applied")

// Apply applies an explicit message: checks of the sender, fees and nonce included (d.2).
// A message that fails, however, gives a Result. An error other than ErrMalformed means
// that execution stopped, and that the VM must be dropped.
func (v *VM) Apply(ctx context.Context, msg types.ChainMsg) (*Result, error) {
	m := msg.VMMessage()
	switch {
	case m.GasLimit <= 0:
		return nil, fmt.Errorf("%w: gas limit %d", ErrMalformed, m.GasLimit)
	case m.Value.Int == nil || m.GasFeeCap.Int == nil || m.GasPremium.Int == nil:
		return nil, fmt.Errorf("%w: an amount is missing", ErrMalformed)
	case m.GasFeeCap.Sign() < 0 || m.GasPremium.Sign() < 0:
		return nil, fmt.Errorf("%w: a gas fee is negative", ErrMalformed)
	}
	length, err := chainLength(msg)
	if err != nil {
		return nil, err
	}
	r, err := v.explicit(ctx, m, v.prices.message(length))
	if err != nil {
		v.broken = err
		return nil, fmt.Errorf("message from %s nonce %d at epoch %d: %w", m.From, m.Nonce, v.epoch, err)
	}
	return r, nil
}

// chainLength also finds messages that have no encoding: without an address, or with fields
// longer than any decoder takes. Such never come from a block.
func chainLength(msg types.ChainMsg) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrMalformed, p)
		}
	}()
	return msg.ChainLength(), nil
}

func (v *VM) explicit(ctx context.Context, m *types.Message, carry charge) (*Result, error) {
	if err := v.ready(ctx); err != nil {
		return nil, err
	}
	if carry.total() > m.GasLimit {
		return v.refuse(exitcode.SysErrOutOfGas, carry.total(),
			fmt.Sprintf("gas limit %d is below the %d that carrying the message costs", m.GasLimit, carry.total())), nil
	}
	refuse := func(code exitcode.ExitCode, format string, args ...any) (*Result, error) {
		return v.refuse(code, m.GasLimit, fmt.Sprintf(format, args...)), nil
	}
	sender, known, err := v.tree.LookupID(ctx, m.From)
	if err != nil {
		return nil, err
	}
	if !known {
		return refuse(exitcode.SysErrSenderInvalid, "sender %s does not exist", m.From)
	}
	actor, exists, err := v.tree.Actor(ctx, sender)
	switch deposit := m.RequiredFunds(); {
	case err != nil:
		return nil, err
	case !exists:
		return refuse(exitcode.SysErrSenderInvalid, "sender %s does not exist", m.From)
	case !isAccount(actor.Code):
		return refuse(exitcode.SysErrSenderInvalid, "sender %s is not an account", m.From)
	case m.Nonce != actor.Nonce:
		return refuse(exitcode.SysErrSenderStateInvalid, "nonce %d, the sender is at %d", m.Nonce, actor.Nonce)
	case actor.Balance.LessThan(deposit):
		return refuse(exitcode.SysErrSenderStateInvalid, "balance %s does not cover the gas deposit of %s", actor.Balance, deposit)
	default:
		actor.Balance = big.Sub(actor.Balance, deposit)
		actor.Nonce++
		if err := v.tree.SetActor(sender, actor); err != nil {
			return nil, err
		}
	}

	r, f, err := v.run(ctx, m, &carry)
	if err != nil {
		return nil, err
	}
	used := max(0, f.gasUsed)
	r.Receipt.GasUsed = used
	r.GasCosts = costs(used, m.GasLimit, v.baseFee, m.GasFeeCap, m.GasPremium)
	r.Penalty, r.MinerTip = r.GasCosts.MinerPenalty, r.GasCosts.MinerTip
	if r.GasCosts.Refund.Sign() < 0 {
		return nil, fmt.Errorf("gas fees are more than the deposit by %s", r.GasCosts.Refund.Neg())
	}
	for _, part := range []struct {
		to     address.Address
		amount abi.TokenAmount
	}{
		{builtin.BurntFundsActorAddr, big.Add(r.GasCosts.BaseFeeBurn, r.GasCosts.OverEstimationBurn)},
		{builtin.RewardActorAddr, r.GasCosts.MinerTip},
		{sender, r.GasCosts.Refund},
	} {
		if err := v.credit(ctx, part.to, part.amount); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// ApplyImplicit applies a message of the system itself: no checks of the sender, no fees,
// no change of a nonce, and the reported gas is 0 (c.7).
func (v *VM) ApplyImplicit(ctx context.Context, msg *types.Message) (*Result, error) {
	if msg.Value.Int == nil {
		return nil, fmt.Errorf("%w: the value is missing", ErrMalformed)
	}
	err := v.ready(ctx)
	if err == nil {
		var r *Result
		if r, _, err = v.run(ctx, msg, nil); err == nil {
			return r, nil
		}
	}
	v.broken = err
	return nil, fmt.Errorf("implicit message to %s method %d at epoch %d: %w", msg.To, msg.Method, v.epoch, err)
}

func (v *VM) ready(ctx context.Context) error {
	if v.broken != nil {
		return fmt.Errorf("an earlier message could not be executed: %w", v.broken)
	}
	return ctx.Err()
}

// refuse is the result of a message that does not start: the miner that included it pays.
func (v *VM) refuse(code exitcode.ExitCode, gas int64, reason string) *Result {
	g := zeroCosts()
	g.MinerPenalty = big.Mul(v.baseFee, big.NewInt(gas))
	return &Result{
		Receipt: types.MessageReceipt{ExitCode: int64(code)}, Err: reason,
		Penalty: g.MinerPenalty, MinerTip: big.Zero(), GasCosts: g,
	}
}

// run makes the top call of a message inside a snapshot. carry, if any, is charged before
// the call, and the return value after it.
func (v *VM) run(ctx context.Context, m *types.Message, carry *charge) (r *Result, f *frame, err error) {
	v.tree.Snapshot()
	defer v.tree.Clear()
	defer func() {
		switch p := recover().(type) {
		case nil:
		case fatal:
			err = p.err
		default:
			// A mistake in this package: calls stop all other panics.
			err = fmt.Errorf("%w: %v\n%s", errBroken, p, debug.Stack())
		}
	}()
	c := call{from: m.From, to: m.To, value: m.Value, method: m.Method, params: m.Params, carry: carry}
	f = &frame{
		vm: v, ctx: ctx, origin: m.From, nonce: m.Nonce, gasAvailable: m.GasLimit,
	}
	if v.env.Trace {
		f.trace = newTrace(c)
	}
	out := f.execute(c)
	if out.code == exitcode.Ok && len(out.ret) > 0 && carry != nil {
		if !f.tryCharge(v.prices.returnValue(len(out.ret))) {
			out = outcome{code: exitcode.SysErrOutOfGas, reason: "not enough gas for the return value"}
		}
	}
	if out.code != exitcode.Ok {
		v.tree.Revert()
	}
	f.trace.finish(out.ret, out.code)
	return &Result{
		Receipt: types.MessageReceipt{ExitCode: int64(out.code), Return: out.ret}, Err: out.reason,
		Penalty: big.Zero(), MinerTip: big.Zero(), GasCosts: zeroCosts(), Trace: f.trace,
	}, f, nil
}

// credit adds fees to an actor that must exist.
func (v *VM) credit(ctx context.Context, id address.Address, amount abi.TokenAmount) error {
	if amount.IsZero() {
		return nil
	}
	a, ok, err := v.tree.Actor(ctx, id)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("actor %s, due %s of gas fees, does not exist", id, amount)
	}
	a.Balance = big.Add(a.Balance, amount)
	return v.tree.SetActor(id, a)
}
