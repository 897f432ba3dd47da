package vm

import (
	"bytes"
	"context"
	"encoding/binary"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/filecoin-project/go-state-types/network"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/account"
	cbornode "github.com/ipfs/go-ipld-cbor"

	"github.com/lodenet/lode/chain/types"
)

// createAccount makes an account for a key address that received its first message (spec
// chain.md d.7). The registration is undone with the frame when it fails.
func (f *frame) createAccount(a address.Address) types.Actor {
	f.charge(f.vm.prices.createActor())
	if a.Protocol() == address.BLS && bytes.Equal(a.Payload(), identityKey()) && f.vm.env.NetworkVersion >= network.Version10 {
		abortf(exitcode.ErrIllegalArgument, "the zero BLS address cannot have an account")
	}
	if a.Protocol() != address.SECP256K1 && a.Protocol() != address.BLS {
		abortf(exitcode.SysErrInvalidReceiver, "receiver %s does not exist", a)
	}
	id, err := f.vm.tree.RegisterAddress(f.ctx, a)
	if err != nil {
		panic(fatal{err})
	}
	f.setActor(id, types.Actor{Code: f.vm.account, Head: types.EmptyArrayCid, Balance: big.Zero()})
	var params bytes.Buffer
	if err := a.MarshalCBOR(&params); err != nil {
		panic(fatal{err})
	}
	out := f.send(call{
		from: builtin.SystemActorAddr, to: id, value: big.Zero(),
		method: builtin.MethodConstructor, params: params.Bytes(),
	})
	if out.code != exitcode.Ok {
		abortf(out.code, "make account for %s: %s", a, out.reason)
	}
	f.receiver = id
	return f.mustActor(id)
}

// identityKey is the BLS key of the zero address: the identity point.
func identityKey() []byte {
	key := make([]byte, address.BlsPublicKeyBytes)
	key[0] = 0xc0
	return key
}

// NewActorAddress derives the address of a new actor from the message (spec chain.md d.8).
func (f *frame) NewActorAddress() address.Address {
	key, ok, err := f.vm.keyAddress(f.ctx, f.origin, cbornode.NewCborStore(f.vm.buffer))
	if err != nil {
		panic(fatal{err})
	}
	if !ok {
		fatalf("a message from %s, which has no key, makes an actor", f.origin)
	}
	var b bytes.Buffer
	if err := key.MarshalCBOR(&b); err != nil {
		panic(fatal{err})
	}
	b.Write(binary.BigEndian.AppendUint64(nil, f.nonce))
	b.Write(binary.BigEndian.AppendUint64(nil, f.created))
	a, err := address.NewActorAddress(b.Bytes())
	if err != nil {
		panic(fatal{err})
	}
	f.created++
	return a
}

// keyAddress gives the key address of an account, reading its state through store; false
// when the address is no account.
func (v *VM) keyAddress(ctx context.Context, a address.Address, store cbornode.IpldStore) (address.Address, bool, error) {
	if a.Protocol() == address.SECP256K1 || a.Protocol() == address.BLS {
		return a, true, nil
	}
	actor, ok, err := v.tree.Actor(ctx, a)
	if err != nil || !ok || !isAccount(actor.Code) {
		return address.Undef, false, err
	}
	var st account.State // the same encoding in all actors versions
	if err := store.Get(ctx, actor.Head, &st); err != nil {
		return address.Undef, false, err
	}
	return st.Address, true, nil
}
