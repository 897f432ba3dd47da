package vm

import (
	"context"
	"errors"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/cbor"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/exported"
	runtime8 "github.com/filecoin-project/specs-actors/v8/actors/runtime"
	proof8 "github.com/filecoin-project/specs-actors/v8/actors/runtime/proof"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	"github.com/stretchr/testify/require"
	cbg "github.com/whyrusleeping/cbor-gen"

	"github.com/lodenet/lode/chain/state"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/types/sigs"
)

// probe is an actor whose method 2 is a test's own function. Method 3 checks no caller.
type probe struct {
	fn func(runtime8.Runtime)
}

var probeAddress = id(90)

func (*probe) Code() cid.Cid {
	c, err := cid.V1Builder{Codec: cid.Raw, MhType: multihash.IDENTITY}.Sum([]byte("test/probe"))
	if err != nil {
		panic(err)
	}
	return c
}

func (*probe) State() cbor.Er { return new(cbg.CborInt) }

func (p *probe) Exports() []any {
	return []any{nil, nil, p.run, p.unchecked}
}

func (p *probe) run(rt runtime8.Runtime, _ *abi.EmptyValue) *abi.EmptyValue {
	rt.ValidateImmediateCallerAcceptAny()
	p.fn(rt)
	return nil
}

func (p *probe) unchecked(rt runtime8.Runtime, _ *abi.EmptyValue) *abi.EmptyValue {
	p.fn(rt)
	return nil
}

// newProbeNet is a test network with a probe at f090 that owns 100 FIL.
func newProbeNet(t testing.TB) (*testNet, *probe) {
	n := newTestNet(t)
	p := new(probe)
	n.env.Actors = new(Registry)
	require.NoError(t, n.env.Actors.Register(8, exported.BuiltinActors()...))
	require.NoError(t, n.env.Actors.Register(AnyVersion, p))
	tree, err := state.Load(t.Context(), n.bs, n.root)
	require.NoError(t, err)
	require.NoError(t, tree.SetActor(probeAddress, types.Actor{Code: p.Code(), Head: types.EmptyArrayCid, Balance: fil(100)}))
	n.root, err = tree.Flush(t.Context())
	require.NoError(t, err)
	return n, p
}

type raw []byte

func TestRuntimeAtVersion16(t *testing.T) {
	var one cbg.CborInt = 1
	var none abi.EmptyValue
	for _, c := range []struct {
		name   string
		method abi.MethodNum
		fn     func(runtime8.Runtime)
		want   exitcode.ExitCode
	}{
		{"nothing", 2, func(runtime8.Runtime) {}, 0},
		{"caller not checked", 3, func(runtime8.Runtime) {}, exitcode.SysErrorIllegalActor},
		{"caller checked twice", 2, func(rt runtime8.Runtime) { rt.ValidateImmediateCallerAcceptAny() }, exitcode.SysErrorIllegalActor},
		{"wrong caller", 3, func(rt runtime8.Runtime) { rt.ValidateImmediateCallerIs(id(101)) }, exitcode.SysErrForbidden},
		{"right caller", 3, func(rt runtime8.Runtime) { rt.ValidateImmediateCallerIs(id(101), id(100)) }, 0},
		{"no caller will do", 3, func(rt runtime8.Runtime) { rt.ValidateImmediateCallerIs() }, exitcode.SysErrForbidden},
		{"wrong kind of caller", 3, func(rt runtime8.Runtime) { rt.ValidateImmediateCallerType(builtin.MultisigActorCodeID) }, exitcode.SysErrForbidden},
		{"right kind of caller", 3, func(rt runtime8.Runtime) { rt.ValidateImmediateCallerType(builtin.CallerTypesSignable...) }, 0},
		{"abort", 2, func(rt runtime8.Runtime) { rt.Abortf(42, "with %d", 42) }, 42},
		{"reserved abort code", 2, func(rt runtime8.Runtime) { rt.Abortf(7, "as it is") }, 7},
		{"panic", 2, func(runtime8.Runtime) { panic("plain") }, exitcode.SysErrIllegalInstruction},
		{"nil map", 2, func(runtime8.Runtime) { writeTo(nil) }, exitcode.SysErrIllegalInstruction},
		{"state", 2, func(rt runtime8.Runtime) {
			rt.StateCreate(&one)
			var got cbg.CborInt
			rt.StateTransaction(&got, func() { got++ })
			rt.StateReadonly(&got)
			if got != 2 {
				rt.Abortf(99, "got %d", got)
			}
		}, 0},
		{"state made twice", 2, func(rt runtime8.Runtime) { rt.StateCreate(&one); rt.StateCreate(&one) }, exitcode.SysErrIllegalInstruction},
		{"nested transactions", 2, func(rt runtime8.Runtime) {
			rt.StateCreate(&one)
			var a, b cbg.CborInt
			rt.StateTransaction(&a, func() { rt.StateTransaction(&b, func() { b = 7 }) })
		}, exitcode.SysErrIllegalInstruction},
		{"no transaction", 2, func(rt runtime8.Runtime) { rt.StateTransaction(nil, func() {}) }, exitcode.SysErrorIllegalActor},
		{"send in a transaction", 2, func(rt runtime8.Runtime) {
			rt.StateCreate(&one)
			var st cbg.CborInt
			rt.StateTransaction(&st, func() { rt.Send(id(100), 0, nil, big.Zero(), &none) })
		}, exitcode.SysErrorIllegalActor},
		{"send", 2, func(rt runtime8.Runtime) {
			if code := rt.Send(id(100), 0, nil, fil(1), &none); code != 0 {
				rt.Abortf(99, "send: %d", code)
			}
			if b := rt.CurrentBalance(); !b.Equals(fil(99)) {
				rt.Abortf(99, "balance %s", b)
			}
		}, 0},
		{"failed send", 2, func(rt runtime8.Runtime) {
			if code := rt.Send(id(100), 0, nil, fil(1000), &none); code != exitcode.SysErrInsufficientFunds {
				rt.Abortf(99, "send: %d", code)
			}
		}, 0},
		{"send without an amount", 2, func(rt runtime8.Runtime) { rt.Send(id(100), 0, nil, abi.TokenAmount{}, &none) }, exitcode.SysErrIllegalInstruction},
		{"return value that is not there", 2, func(rt runtime8.Runtime) {
			var out cbg.CborInt
			rt.Send(id(100), 0, nil, big.Zero(), &out)
		}, exitcode.ErrSerialization},
		{"parameters that cannot be written", 2, func(rt runtime8.Runtime) {
			rt.Send(id(100), 0, &chaosState{Unreachable: 1}, big.Zero(), &none)
		}, exitcode.ErrSerialization},
		{"object that cannot be written", 2, func(rt runtime8.Runtime) { rt.StorePut(&chaosState{Unreachable: 1}) }, exitcode.ErrSerialization},
		{"missing object", 2, func(rt runtime8.Runtime) {
			if rt.StoreGet(types.EmptyAMTCid, &one) {
				rt.Abortf(99, "found")
			}
		}, 0},
		{"create without address", 2, func(rt runtime8.Runtime) { rt.CreateActor(builtin.AccountActorCodeID, address.Undef) }, exitcode.SysErrorIllegalArgument},
		{"create unknown code", 2, func(rt runtime8.Runtime) { rt.CreateActor(types.EmptyArrayCid, id(500)) }, exitcode.SysErrorIllegalArgument},
		{"create where one is", 2, func(rt runtime8.Runtime) { rt.CreateActor(builtin.AccountActorCodeID, id(100)) }, exitcode.SysErrorIllegalArgument},
		{"create", 2, func(rt runtime8.Runtime) { rt.CreateActor(builtin.AccountActorCodeID, id(500)) }, 0},
		{"delete to nobody", 2, func(rt runtime8.Runtime) { rt.DeleteActor(mustActorAddress("nobody")) }, exitcode.SysErrorIllegalArgument},
		{"delete to oneself", 2, func(rt runtime8.Runtime) { rt.DeleteActor(rt.Receiver()) }, exitcode.SysErrorIllegalArgument},
		{"delete", 2, func(rt runtime8.Runtime) {
			rt.DeleteActor(id(100))
			if b := rt.CurrentBalance(); !b.IsZero() {
				rt.Abortf(99, "balance %s", b)
			}
			if _, ok := rt.GetActorCodeCID(rt.Receiver()); ok {
				rt.Abortf(99, "still there")
			}
		}, 0},
		{"delete twice", 2, func(rt runtime8.Runtime) { rt.DeleteActor(id(100)); rt.DeleteActor(id(100)) }, exitcode.SysErrorIllegalActor},
		{"state of the deleted", 2, func(rt runtime8.Runtime) { rt.DeleteActor(id(100)); rt.StateReadonly(&one) }, exitcode.SysErrorIllegalArgument},
		{"new addresses", 2, func(rt runtime8.Runtime) {
			if first, second := rt.NewActorAddress(), rt.NewActorAddress(); first == second {
				rt.Abortf(99, "the same twice")
			}
		}, 0},
		{"resolve", 2, func(rt runtime8.Runtime) {
			if _, ok := rt.ResolveAddress(mustActorAddress("nobody")); ok {
				rt.Abortf(99, "found nobody")
			}
			if a, ok := rt.ResolveAddress(id(12345)); !ok || a != id(12345) {
				rt.Abortf(99, "ID changed")
			}
		}, 0},
		{"too much gas", 2, func(rt runtime8.Runtime) { rt.ChargeGas("all", types.BlockGasLimit, 0) }, exitcode.SysErrOutOfGas},
		{"free gas", 2, func(rt runtime8.Runtime) { rt.ChargeGas("none", 0, types.BlockGasLimit) }, 0},
		{"no aggregated seals", 2, func(rt runtime8.Runtime) {
			if err := rt.VerifyAggregateSeals(proof8.AggregateSealVerifyProofAndInfos{}); err == nil {
				rt.Abortf(99, "verified")
			}
		}, 0},
		{"no replica updates", 2, func(rt runtime8.Runtime) {
			if err := rt.VerifyReplicaUpdate(proof8.ReplicaUpdateInfo{}); err == nil {
				rt.Abortf(99, "verified")
			}
		}, 0},
		{"seals of two miners", 2, func(rt runtime8.Runtime) {
			got, err := rt.BatchVerifySeals(map[address.Address][]proof8.SealVerifyInfo{id(1): make([]proof8.SealVerifyInfo, 2), id(2): make([]proof8.SealVerifyInfo, 1)})
			if err != nil || len(got[id(1)]) != 2 || len(got[id(2)]) != 1 || !got[id(1)][1] || !got[id(2)][0] {
				rt.Abortf(99, "%v %v", got, err)
			}
		}, 0},
		{"unsealed CID of nonsense", 2, func(rt runtime8.Runtime) {
			if _, err := rt.ComputeUnsealedSectorCID(sealType, []abi.PieceInfo{{Size: 3, PieceCID: types.EmptyArrayCid}}); err == nil {
				rt.Abortf(99, "computed")
			}
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, p := newProbeNet(t)
			p.fn = c.fn
			one = 1
			n.tick()
			r := n.send(n.alice, probeAddress, big.Zero(), c.method, nil)
			require.Equal(t, c.want, r.Code(), r.Err)
		})
	}
}

func mustActorAddress(s string) address.Address {
	a, err := address.NewActorAddress([]byte(s))
	if err != nil {
		panic(err)
	}
	return a
}

func TestRuntimeSignatures(t *testing.T) {
	n, p := newProbeNet(t)
	msg := []byte("message")
	good := func(typ crypto.SigType, key []byte) crypto.Signature {
		s, err := sigs.Sign(typ, key, msg)
		require.NoError(t, err)
		return *s
	}
	for _, c := range []struct {
		name   string
		sig    crypto.Signature
		signer address.Address
		ok     bool
		gas    int64 // more than the signature's own
	}{
		{"BLS key", good(crypto.SigTypeBLS, n.aliceKey), n.alice, true, 0},
		{"BLS account", good(crypto.SigTypeBLS, n.aliceKey), id(100), true, 114_617},
		{"secp256k1 key", good(crypto.SigTypeSecp256k1, n.bobKey), n.bob, true, 0},
		{"secp256k1 account", good(crypto.SigTypeSecp256k1, n.bobKey), id(101), true, 114_617},
		{"another's", good(crypto.SigTypeBLS, n.aliceKey), id(101), false, 114_617},
		{"of no account", good(crypto.SigTypeBLS, n.aliceKey), builtin.RewardActorAddr, false, 0},
		{"of nobody", good(crypto.SigTypeBLS, n.aliceKey), id(999), false, 0},
		{"unknown type", crypto.Signature{Type: 9, Data: []byte{1}}, n.alice, false, 0},
		{"no bytes", crypto.Signature{Type: crypto.SigTypeBLS}, n.alice, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var err error
			p.fn = func(runtime8.Runtime) {}
			bare := n.send(n.alice, probeAddress, big.Zero(), 2, nil).Receipt.GasUsed
			p.fn = func(rt runtime8.Runtime) { err = rt.VerifySignature(c.sig, c.signer, msg) }
			r := n.send(n.alice, probeAddress, big.Zero(), 2, nil)
			require.Equal(t, exitcode.Ok, r.Code(), r.Err)
			require.Equal(t, c.ok, err == nil, "%v", err)
			price, _ := pricesFor(16).signature(c.sig.Type)
			require.Equal(t, bare+price.total()+c.gas, r.Receipt.GasUsed)
		})
	}
}

// Calls nest 4096 deep and no deeper; the call that goes too deep ends with exit code 8.
func TestCallDepth(t *testing.T) {
	n, p := newProbeNet(t)
	depth := 0
	var none abi.EmptyValue
	var deepest exitcode.ExitCode
	p.fn = func(rt runtime8.Runtime) {
		depth++
		if code := rt.Send(probeAddress, 2, nil, big.Zero(), &none); code != 0 && deepest == 0 {
			deepest = code
		}
	}
	r := n.send(n.alice, probeAddress, big.Zero(), 2, nil)
	require.Equal(t, exitcode.Ok, r.Code(), r.Err)
	require.Equal(t, maxDepth+1, depth)
	require.Equal(t, exitcode.SysErrForbidden, deepest)
}

// brokenRand has no randomness to give.
type brokenRand struct{ err error }

func (b brokenRand) FromTickets(context.Context, crypto.DomainSeparationTag, abi.ChainEpoch, []byte) ([]byte, error) {
	return nil, b.err
}

func (b brokenRand) FromBeacon(context.Context, crypto.DomainSeparationTag, abi.ChainEpoch, []byte) ([]byte, error) {
	return nil, b.err
}

func TestFatalInActor(t *testing.T) {
	broken := errors.New("no randomness")
	for name, fn := range map[string]func(runtime8.Runtime){
		"tickets": func(rt runtime8.Runtime) { rt.GetRandomnessFromTickets(1, 1, nil) },
		"beacon":  func(rt runtime8.Runtime) { rt.GetRandomnessFromBeacon(1, 1, nil) },
		"abort with 0": func(rt runtime8.Runtime) {
			rt.Abortf(0, "all is well")
		},
		"object of another kind": func(rt runtime8.Runtime) {
			var n cbg.CborInt
			rt.StoreGet(types.EmptyArrayCid, &n)
		},
		"actor without an ID": func(rt runtime8.Runtime) { rt.CreateActor(builtin.AccountActorCodeID, mustActorAddress("x")) },
	} {
		t.Run(name, func(t *testing.T) {
			n, p := newProbeNet(t)
			n.env.Rand = brokenRand{broken}
			p.fn = fn
			v := n.vm()
			_, err := v.Apply(t.Context(), n.message(n.alice, probeAddress, big.Zero(), 2, nil))
			require.Error(t, err)
			_, err = v.Flush(t.Context())
			require.Error(t, err)
			// The same from a nested call: no caller can catch it.
			p.fn = func(rt runtime8.Runtime) {
				p.fn = fn
				var none abi.EmptyValue
				rt.Send(probeAddress, 2, nil, big.Zero(), &none)
			}
			v = n.vm()
			m := n.message(n.alice, probeAddress, big.Zero(), 2, nil)
			m.Nonce = 0
			_, err = v.Apply(t.Context(), m)
			require.Error(t, err)
			require.NotErrorIs(t, err, ErrMalformed)
		})
	}
}

func TestRegisterRefusesForeignMethods(t *testing.T) {
	for name, fn := range map[string]any{
		"no function": 5,
		"no runtime":  func(int, *abi.EmptyValue) *abi.EmptyValue { return nil },
		"other runtime": func(interface{ Sing() }, *abi.EmptyValue) *abi.EmptyValue {
			return nil
		},
		"no pointer": func(runtime8.Runtime, abi.EmptyValue) *abi.EmptyValue { return nil },
		"no CBOR":    func(runtime8.Runtime, *raw) *abi.EmptyValue { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newMethod(fn)
			require.Error(t, err)
		})
	}
}

// writeTo panics in the runtime of Go when the map is nil.
func writeTo(m map[int]int) { m[1] = 1 }
