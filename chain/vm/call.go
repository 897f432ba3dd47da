package vm

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"runtime/debug"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/cbor"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/filecoin-project/go-state-types/network"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/types"
)

const (
	// maxDepth is how deep calls may nest, from network version 6 on.
	maxDepth = 4096
	// maxOldDepth bounds the native stack where the rules do not. Only test vectors run there.
	maxOldDepth = 16384
)

// call is what one actor, or a message's sender, asks of another.
type call struct {
	from, to address.Address
	value    abi.TokenAmount
	method   abi.MethodNum
	params   []byte
	carry    *charge // charged first, for a message
}

// outcome is how a call ended: with a return value, or with an exit code and its reason.
type outcome struct {
	ret    []byte
	code   exitcode.ExitCode
	reason string
}

// frame is one call in progress. It is the runtime that the actor sees (runtime.go), for
// actors of all versions. It lives as long as the call.
type frame struct {
	vm    *VM
	ctx   context.Context // of the message; actors cannot hand it on
	depth int

	// From the message, for addresses of new actors; created counts those made so far.
	origin  address.Address
	nonce   uint64
	created uint64

	caller   address.Address // ID
	receiver address.Address // ID, once the receiver exists
	value    abi.TokenAmount

	gasAvailable, gasUsed int64

	validated     bool // the actor has checked its caller
	inTransaction bool // sends are forbidden
	inActor       bool // actor code runs
	trace         *Trace
}

// execute runs the call of a frame (spec chain.md d.5). The caller of execute reverts the
// state when the exit code is not 0. Fatal panics pass through.
func (f *frame) execute(c call) (out outcome) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case abort:
			out = outcome{code: p.code, reason: p.reason}
		case fatal:
			panic(p)
		default:
			if !f.inActor {
				fatalf("%w: %v\n%s", errBroken, p, debug.Stack())
			}
			// Actor code that trips is the message's fault, alike on every machine.
			out = outcome{code: exitcode.SysErrIllegalInstruction}
			if f.vm.env.NetworkVersion <= network.Version3 {
				out.code = 1
			}
			out.reason = fmt.Sprintf("actor panicked: %v", p)
		}
	}()
	if err := f.ctx.Err(); err != nil {
		panic(fatal{err})
	}
	f.value = c.value
	f.caller = f.mustResolve(c.from)
	if c.carry != nil {
		f.charge(*c.carry)
	}
	f.trace.mark("OnGetActor")
	actor := f.loadReceiver(c.to)
	f.charge(f.vm.prices.invocation(!c.value.IsZero(), c.method))
	defer f.trace.mark("OnMethodInvocationDone")
	if !c.value.IsZero() {
		f.transfer(f.caller, f.receiver, c.value)
	}
	if c.method != methodSend {
		out.ret = f.invoke(actor.Code, c.method, c.params)
	}
	return out
}

// mustResolve gives the ID of the sender of a call.
func (f *frame) mustResolve(a address.Address) address.Address {
	id, ok, err := f.vm.tree.LookupID(f.ctx, a)
	if err != nil {
		panic(fatal{err})
	}
	if !ok {
		abortf(exitcode.SysErrInvalidReceiver, "sender %s of a call does not exist", a)
	}
	return id
}

// loadReceiver finds the receiver, or makes an account for its address.
func (f *frame) loadReceiver(to address.Address) types.Actor {
	id, known, err := f.vm.tree.LookupID(f.ctx, to)
	if err != nil {
		panic(fatal{err})
	}
	if known {
		actor, exists, err := f.vm.tree.Actor(f.ctx, id)
		if err != nil {
			panic(fatal{err})
		}
		if exists {
			f.receiver = id
			return actor
		}
	}
	return f.createAccount(to)
}

// invoke runs a method of an actor's code.
func (f *frame) invoke(code cid.Cid, num abi.MethodNum, params []byte) []byte {
	nv := f.vm.env.NetworkVersion
	actor, ok := f.vm.env.Actors.lookup(code, f.vm.version)
	if !ok {
		abortf(exitcode.SysErrorIllegalActor, "no code for actor %s at network version %d", f.receiver, nv)
	}
	m, ok := actor.method(num)
	if !ok {
		abortf(exitcode.SysErrInvalidMethod, "actor %s has no method %d", f.receiver, num)
	}
	p, err := m.decode(params)
	if err != nil {
		code := exitcode.ErrSerialization
		if nv < network.Version7 {
			code = 1
		}
		abortf(code, "parameters of method %d: %v", num, err)
	}
	f.trace.mark("OnActorExec")
	f.inActor = true
	ret := m.fn.Call([]reflect.Value{reflect.ValueOf(f), p})[0].Interface()
	f.inActor = false
	if !f.validated {
		abortf(exitcode.SysErrorIllegalActor, "method %d did not check its caller", num)
	}
	switch ret := ret.(type) {
	case nil, *abi.EmptyValue:
		return nil
	case cbor.Marshaler:
		var buf bytes.Buffer
		if err := ret.MarshalCBOR(&buf); err != nil {
			abortf(exitcode.ErrSerialization, "return value of method %d: %v", num, err)
		}
		return buf.Bytes()
	}
	abortf(exitcode.ErrSerialization, "return value of method %d is no CBOR object", num)
	return nil
}

// send makes a call from the actor of this frame, inside a snapshot.
func (f *frame) send(c call) outcome {
	nv := f.vm.env.NetworkVersion
	if f.depth >= maxDepth && nv >= network.Version6 {
		abortf(exitcode.SysErrForbidden, "calls nest deeper than %d", maxDepth)
	}
	if f.depth >= maxOldDepth {
		fatalf("calls nest deeper than the %d that this VM can hold", maxOldDepth)
	}
	sub := &frame{
		vm: f.vm, ctx: f.ctx, depth: f.depth + 1,
		origin: f.origin, nonce: f.nonce, created: f.created,
		gasAvailable: f.gasAvailable, gasUsed: f.gasUsed,
	}
	if f.trace != nil {
		sub.trace = newTrace(c)
		f.trace.Subcalls = append(f.trace.Subcalls, sub.trace)
	}
	f.vm.tree.Snapshot()
	defer f.vm.tree.Clear()
	out := sub.execute(c)
	f.gasUsed, f.created = sub.gasUsed, sub.created
	if out.code != exitcode.Ok {
		f.vm.tree.Revert()
	}
	sub.trace.finish(out.ret, out.code)
	return out
}

// transfer moves funds between two existing actors, or ends the call.
func (f *frame) transfer(from, to address.Address, amount abi.TokenAmount) {
	if code, reason := f.move(from, to, amount); code != exitcode.Ok {
		abortf(code, "%s", reason)
	}
}

// move moves funds between two existing actors (spec chain.md d.9).
func (f *frame) move(from, to address.Address, amount abi.TokenAmount) (exitcode.ExitCode, string) {
	same := from == to
	if same && f.vm.env.NetworkVersion < network.Version15 {
		return exitcode.Ok, ""
	}
	if amount.Sign() < 0 {
		return exitcode.SysErrForbidden, fmt.Sprintf("transfer of %s, a negative amount", amount)
	}
	sender := f.mustActor(from)
	if sender.Balance.LessThan(amount) {
		return exitcode.SysErrInsufficientFunds, fmt.Sprintf("balance %s of %s does not cover %s", types.FIL(sender.Balance), from, types.FIL(amount))
	}
	if same {
		return exitcode.Ok, ""
	}
	receiver := f.mustActor(to)
	sender.Balance = big.Sub(sender.Balance, amount)
	receiver.Balance = big.Add(receiver.Balance, amount)
	f.setActor(from, sender)
	f.setActor(to, receiver)
	return exitcode.Ok, ""
}

// actor reads an actor; failing to is fatal.
func (f *frame) actor(a address.Address) (types.Actor, bool) {
	actor, ok, err := f.vm.tree.Actor(f.ctx, a)
	if err != nil {
		panic(fatal{err})
	}
	return actor, ok
}

func (f *frame) mustActor(id address.Address) types.Actor {
	actor, ok := f.actor(id)
	if !ok {
		fatalf("actor %s does not exist", id)
	}
	return actor
}

func (f *frame) setActor(id address.Address, a types.Actor) {
	if err := f.vm.tree.SetActor(id, a); err != nil {
		panic(fatal{err})
	}
}

// charge uses up gas, or ends the call.
func (f *frame) charge(c charge) {
	if !f.tryCharge(c) {
		abortf(exitcode.SysErrOutOfGas, "not enough gas: %s costs %d, used %d of %d", c.name, c.total(), f.gasUsed, f.gasAvailable)
	}
}

// tryCharge uses up gas; false leaves none.
func (f *frame) tryCharge(c charge) bool {
	f.trace.add(c)
	if f.gasUsed > f.gasAvailable-c.total() {
		f.gasUsed = f.gasAvailable
		return false
	}
	f.gasUsed += c.total()
	return true
}
