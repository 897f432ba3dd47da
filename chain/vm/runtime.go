package vm

import (
	"bytes"
	"context"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/cbor"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/filecoin-project/go-state-types/network"
	"github.com/filecoin-project/go-state-types/rt"
	runtime8 "github.com/filecoin-project/specs-actors/v8/actors/runtime"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/types"
)

// The newest interface is a superset of all older ones (spec chain.md d.6).
var _ runtime8.Runtime = (*frame)(nil)

// Caller is the ID address of who called.
func (f *frame) Caller() address.Address { return f.caller }

// Receiver is the ID address of the actor that runs.
func (f *frame) Receiver() address.Address { return f.receiver }

// ValueReceived is the value of the call, which the receiver already has.
func (f *frame) ValueReceived() abi.TokenAmount { return f.value }

// NetworkVersion is the VM's.
func (f *frame) NetworkVersion() network.Version { return f.vm.env.NetworkVersion }

// CurrEpoch is the VM's.
func (f *frame) CurrEpoch() abi.ChainEpoch { return f.vm.epoch }

// BaseFee is the VM's, in attoFIL per gas unit.
func (f *frame) BaseFee() abi.TokenAmount { return f.vm.baseFee }

// Context ends with the execution; actors pass it to their collections.
func (f *frame) Context() context.Context { return f.ctx }

// StartSpan does nothing.
func (f *frame) StartSpan(string) func() { return func() {} }

// Log drops what actors say: it is no part of the chain.
func (f *frame) Log(rt.LogLevel, string, ...any) {}

// ValidateImmediateCallerAcceptAny marks the caller as checked.
func (f *frame) ValidateImmediateCallerAcceptAny() {
	f.validateOnce()
	f.trace.mark("OnActorExec")
}

// ValidateImmediateCallerIs lets only the given ID addresses pass.
func (f *frame) ValidateImmediateCallerIs(addrs ...address.Address) {
	f.validateOnce()
	for _, a := range addrs {
		if a == f.caller {
			f.trace.mark("OnActorExec")
			return
		}
	}
	abortf(exitcode.SysErrForbidden, "caller %s is not one of %v", f.caller, addrs)
}

// ValidateImmediateCallerType lets only actors with the given code pass.
func (f *frame) ValidateImmediateCallerType(codes ...cid.Cid) {
	f.validateOnce()
	caller := f.mustActor(f.caller)
	for _, c := range codes {
		if c == caller.Code {
			f.trace.mark("OnActorExec")
			return
		}
	}
	abortf(exitcode.SysErrForbidden, "caller %s has none of the allowed kinds of actor", f.caller)
}

func (f *frame) validateOnce() {
	if f.validated {
		abortf(exitcode.SysErrorIllegalActor, "the method checks its caller twice")
	}
	f.validated = true
}

// CurrentBalance is the receiver's balance now; 0 when it deleted itself.
func (f *frame) CurrentBalance() abi.TokenAmount {
	if a, ok := f.actor(f.receiver); ok {
		return a.Balance
	}
	return big.Zero()
}

// ResolveAddress gives the ID address, which need not exist if it was one already.
func (f *frame) ResolveAddress(a address.Address) (address.Address, bool) {
	id, ok, err := f.vm.tree.LookupID(f.ctx, a)
	if err != nil {
		panic(fatal{err})
	}
	return id, ok
}

// GetActorCodeCID gives the code of an actor.
func (f *frame) GetActorCodeCID(a address.Address) (cid.Cid, bool) {
	actor, ok := f.actor(a)
	if !ok {
		return cid.Undef, false
	}
	return actor.Code, true
}

// GetRandomnessFromBeacon draws from the beacon.
func (f *frame) GetRandomnessFromBeacon(tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) abi.Randomness {
	if f.vm.env.Rand == nil {
		fatalf("no source of randomness")
	}
	r, err := f.vm.env.Rand.FromBeacon(f.ctx, tag, epoch, entropy)
	if err != nil {
		fatalf("beacon randomness of epoch %d: %w", epoch, err)
	}
	return r
}

// GetRandomnessFromTickets draws from the chain's tickets.
func (f *frame) GetRandomnessFromTickets(tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) abi.Randomness {
	if f.vm.env.Rand == nil {
		fatalf("no source of randomness")
	}
	r, err := f.vm.env.Rand.FromTickets(f.ctx, tag, epoch, entropy)
	if err != nil {
		fatalf("ticket randomness of epoch %d: %w", epoch, err)
	}
	return r
}

// Send calls another actor. The exit code of a failed call is returned.
func (f *frame) Send(to address.Address, method abi.MethodNum, params cbor.Marshaler, value abi.TokenAmount, out cbor.Er) exitcode.ExitCode {
	if f.inTransaction {
		abortf(exitcode.SysErrorIllegalActor, "send inside a state transaction")
	}
	if value.Int == nil {
		panic("send without an amount") // exit code 4, as for any panic of an actor
	}
	c := call{from: f.receiver, to: to, value: value, method: method}
	if params != nil {
		var buf bytes.Buffer
		if err := params.MarshalCBOR(&buf); err != nil {
			abortf(exitcode.ErrSerialization, "parameters of a send: %v", err)
		}
		c.params = buf.Bytes()
	}
	o := f.send(c)
	if o.code != exitcode.Ok {
		return o.code
	}
	f.trace.mark("OnActorExec")
	if err := out.UnmarshalCBOR(bytes.NewReader(o.ret)); err != nil {
		abortf(exitcode.ErrSerialization, "return value of a send: %v", err)
	}
	return exitcode.Ok
}

// Abortf ends the call.
func (f *frame) Abortf(code exitcode.ExitCode, format string, args ...any) {
	if code == exitcode.Ok {
		fatalf("actor aborts with exit code 0: "+format, args...)
	}
	abortf(code, format, args...)
}

// CreateActor makes an actor with empty state (spec chain.md d.6).
func (f *frame) CreateActor(code cid.Cid, a address.Address) {
	if a == address.Undef && f.vm.env.NetworkVersion >= network.Version7 {
		abortf(exitcode.SysErrorIllegalArgument, "new actor without an address")
	}
	if _, ok := f.vm.env.Actors.lookup(code, f.vm.version); !ok {
		abortf(exitcode.SysErrorIllegalArgument, "new actor with unknown code")
	}
	id, known := f.ResolveAddress(a)
	if !known {
		fatalf("new actor at %s, which has no ID", a)
	}
	if _, exists := f.actor(id); exists {
		abortf(exitcode.SysErrorIllegalArgument, "actor %s exists already", a)
	}
	f.charge(f.vm.prices.createActor())
	f.setActor(id, types.Actor{Code: code, Head: types.EmptyArrayCid, Balance: big.Zero()})
	f.trace.mark("OnActorExec")
}

// DeleteActor removes the receiver and gives its balance to another (spec chain.md d.6).
func (f *frame) DeleteActor(beneficiary address.Address) {
	f.charge(f.vm.prices.deleteActor())
	a, ok := f.actor(f.receiver)
	if !ok {
		abortf(exitcode.SysErrorIllegalActor, "actor %s deletes itself twice", f.receiver)
	}
	if !a.Balance.IsZero() {
		f.bequeath(beneficiary, a.Balance)
	}
	if err := f.vm.tree.DeleteActor(f.receiver); err != nil {
		panic(fatal{err})
	}
	f.trace.mark("OnActorExec")
}

func (f *frame) bequeath(beneficiary address.Address, amount abi.TokenAmount) {
	id, known := f.ResolveAddress(beneficiary)
	if f.vm.env.NetworkVersion >= network.Version7 {
		if !known {
			abortf(exitcode.SysErrorIllegalArgument, "beneficiary %s does not exist", beneficiary)
		}
		if id == f.receiver {
			abortf(exitcode.SysErrorIllegalArgument, "actor %s deletes itself to its own benefit", f.receiver)
		}
	}
	if !known {
		fatalf("beneficiary %s does not exist", beneficiary)
	}
	if code, reason := f.move(f.receiver, id, amount); code != exitcode.Ok {
		fatalf("balance of deleted actor %s: %s", f.receiver, reason)
	}
}

// TotalFilCircSupply is the circulating supply at the start of the epoch, in attoFIL.
func (f *frame) TotalFilCircSupply() abi.TokenAmount {
	s, err := f.vm.supply(f.ctx)
	if err != nil {
		panic(fatal{err})
	}
	return s
}

// ChargeGas charges what an actor prices itself; the virtual part does not count.
func (f *frame) ChargeGas(name string, gas, _ int64) { f.charge(charge{name: name, compute: gas}) }
