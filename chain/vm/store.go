package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-state-types/cbor"
	"github.com/filecoin-project/go-state-types/exitcode"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"

	"github.com/lodenet/lode/chain/types"
)

// The store of an actor: every access costs gas, whether it helps or not.

// StoreGet reads an object; false when there is none.
func (f *frame) StoreGet(c cid.Cid, out cbor.Unmarshaler) bool {
	f.charge(f.vm.prices.get())
	b, err := f.vm.buffer.Get(f.ctx, c)
	f.trace.mark("OnIpldGetEnd")
	if ipld.IsNotFound(err) {
		return false
	}
	if err != nil {
		fatalf("state object %s: %w", c, err)
	}
	if err := out.UnmarshalCBOR(bytes.NewReader(b.RawData())); err != nil {
		fatalf("state object %s as %T: %w", c, out, err)
	}
	f.trace.mark("OnActorExec")
	return true
}

// StorePut writes an object.
func (f *frame) StorePut(v cbor.Marshaler) cid.Cid {
	var buf bytes.Buffer
	if err := v.MarshalCBOR(&buf); err != nil {
		abortf(exitcode.ErrSerialization, "state object %T: %v", v, err)
	}
	f.charge(f.vm.prices.put(buf.Len()))
	c, err := types.CidBuilder.Sum(buf.Bytes())
	if err != nil {
		panic(fatal{err})
	}
	b, err := blocks.NewBlockWithCid(buf.Bytes(), c)
	if err != nil {
		panic(fatal{err})
	}
	if err := f.vm.buffer.Put(f.ctx, b); err != nil {
		fatalf("state object %s: %w", c, err)
	}
	f.trace.mark("OnActorExec")
	return c
}

// StateCreate gives the actor its first state.
func (f *frame) StateCreate(obj cbor.Marshaler) {
	c := f.StorePut(obj)
	if err := f.commit(types.EmptyArrayCid, c); err != nil {
		panic(fmt.Errorf("create state: %w", err)) // exit code 4, as for any panic of an actor
	}
}

// StateReadonly reads the state; what is done to out is not kept.
func (f *frame) StateReadonly(out cbor.Unmarshaler) {
	a, ok := f.actor(f.receiver)
	if !ok {
		abortf(exitcode.SysErrorIllegalArgument, "actor %s is deleted and has no state", f.receiver)
	}
	f.StoreGet(a.Head, out)
}

// StateTransaction reads the state, lets fn change it, and writes it.
func (f *frame) StateTransaction(obj cbor.Er, fn func()) {
	if obj == nil {
		abortf(exitcode.SysErrorIllegalActor, "state transaction on nothing")
	}
	a, ok := f.actor(f.receiver)
	if !ok {
		abortf(exitcode.SysErrorIllegalActor, "actor %s is deleted and has no state", f.receiver)
	}
	f.StoreGet(a.Head, obj)
	f.inTransaction = true
	fn()
	f.inTransaction = false
	c := f.StorePut(obj)
	if err := f.commit(a.Head, c); err != nil {
		panic(fmt.Errorf("state transaction: %w", err)) // exit code 4, as for any panic of an actor
	}
}

var errHeadMoved = errors.New("the state was changed meanwhile")

// commit sets the head of the receiver if it is still the old one.
func (f *frame) commit(old, c cid.Cid) error {
	a, ok := f.actor(f.receiver)
	if !ok || a.Head != old {
		return errHeadMoved
	}
	a.Head = c
	f.setActor(f.receiver, a)
	return nil
}

// charged is the actor's store in the form that collections and typed loaders use.
type charged struct{ f *frame }

func (s charged) Get(_ context.Context, c cid.Cid, out any) error {
	u, ok := out.(cbor.Unmarshaler)
	if !ok {
		return fmt.Errorf("%T cannot be read from CBOR", out)
	}
	if !s.f.StoreGet(c, u) {
		return ipld.ErrNotFound{Cid: c}
	}
	return nil
}

func (s charged) Put(_ context.Context, v any) (cid.Cid, error) {
	m, ok := v.(cbor.Marshaler)
	if !ok {
		return cid.Undef, fmt.Errorf("%T cannot be written as CBOR", v)
	}
	return s.f.StorePut(m), nil
}
