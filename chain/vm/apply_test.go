package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	init_ "github.com/filecoin-project/specs-actors/v8/actors/builtin/init"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/multisig"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/types/sigs"
)

func TestRefusedMessages(t *testing.T) {
	n := newTestNet(t)
	stranger := mustAddress(t, crypto.SigTypeBLS, sigs.KeyFromSeed([]byte("stranger")))
	for _, c := range []struct {
		name string
		edit func(*types.Message)
		want exitcode.ExitCode
	}{
		{"limit below the message", func(m *types.Message) { m.GasLimit = 10 }, exitcode.SysErrOutOfGas},
		{"unknown sender", func(m *types.Message) { m.From = stranger }, exitcode.SysErrSenderInvalid},
		{"unknown ID", func(m *types.Message) { m.From = id(7777) }, exitcode.SysErrSenderInvalid},
		{"not an account", func(m *types.Message) { m.From = builtin.RewardActorAddr }, exitcode.SysErrSenderInvalid},
		{"nonce ahead", func(m *types.Message) { m.Nonce = 1 }, exitcode.SysErrSenderStateInvalid},
		{"too poor", func(m *types.Message) { m.GasFeeCap = fil(1) }, exitcode.SysErrSenderStateInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := n.message(n.alice, n.bob, big.Zero(), builtin.MethodSend, nil)
			m.Nonce = 0
			c.edit(m)
			v := n.vm()
			r, err := v.Apply(t.Context(), m)
			require.NoError(t, err)
			require.Equal(t, c.want, r.Code(), r.Err)
			require.NotEmpty(t, r.Err)
			require.Zero(t, r.Receipt.GasUsed)
			gas := m.GasLimit
			if c.want == exitcode.SysErrOutOfGas {
				gas = MessageGas(m.ChainLength(), 16)
			}
			require.Equal(t, big.Mul(baseFee, big.NewInt(gas)), r.Penalty)
			require.True(t, r.MinerTip.IsZero())
			root, err := v.Flush(t.Context())
			require.NoError(t, err)
			require.Equal(t, n.root, root, "nothing moved")
		})
	}
	for name, edit := range map[string]func(*types.Message){
		"no gas":       func(m *types.Message) { m.GasLimit = 0 },
		"to nobody":    func(m *types.Message) { m.To = address.Undef },
		"from nobody":  func(m *types.Message) { m.From = address.Undef },
		"giant":        func(m *types.Message) { m.Params = make([]byte, 3<<20) },
		"no value":     func(m *types.Message) { m.Value = abi.TokenAmount{} },
		"no fee cap":   func(m *types.Message) { m.GasFeeCap = abi.TokenAmount{} },
		"negative tip": func(m *types.Message) { m.GasPremium = big.NewInt(-1) },
	} {
		t.Run(name, func(t *testing.T) {
			m := n.message(n.alice, n.bob, big.Zero(), builtin.MethodSend, nil)
			edit(m)
			_, err := n.vm().Apply(t.Context(), m)
			require.ErrorIs(t, err, ErrMalformed)
		})
	}
}

func TestSendAtVersion16(t *testing.T) {
	n := newTestNet(t)
	n.tick()
	zeroBLS, err := address.NewBLSAddress(append([]byte{0xc0}, make([]byte, 47)...))
	require.NoError(t, err)
	newKey, err := address.NewSecp256k1Address([]byte("new"))
	require.NoError(t, err)
	robust, err := address.NewActorAddress([]byte("nobody"))
	require.NoError(t, err)
	for _, c := range []struct {
		name  string
		to    address.Address
		value abi.TokenAmount
		want  exitcode.ExitCode
	}{
		{"to a friend", n.bob, fil(1), exitcode.Ok},
		{"to a new key", newKey, fil(1), exitcode.Ok},
		{"to oneself", n.alice, fil(1), exitcode.Ok},
		{"to oneself, more than there is", n.alice, fil(1_000_000_000), exitcode.SysErrInsufficientFunds},
		{"more than there is", n.bob, fil(1_000_000_000), exitcode.SysErrInsufficientFunds},
		{"a negative amount", n.bob, fil(-1), exitcode.SysErrForbidden},
		{"to the zero BLS address", zeroBLS, fil(1), exitcode.ErrIllegalArgument},
		{"to an unknown ID", id(5555), fil(1), exitcode.SysErrInvalidReceiver},
		{"to an unknown actor", robust, fil(1), exitcode.SysErrInvalidReceiver},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := n.send(n.alice, c.to, c.value, builtin.MethodSend, nil)
			require.Equal(t, c.want, r.Code(), r.Err)
			require.Equal(t, c.want == exitcode.Ok, r.Err == "")
			require.Positive(t, r.Receipt.GasUsed)
		})
	}
	require.Equal(t, fil(1), n.balance(newKey))
	next, err := n.view().LookupID(t.Context(), newKey)
	require.NoError(t, err)
	require.Equal(t, id(102), next)
	n.checkInvariants()

	t.Run("no such method", func(t *testing.T) {
		require.Equal(t, exitcode.SysErrInvalidMethod, n.send(n.alice, n.bob, big.Zero(), 99, nil).Code())
		require.Equal(t, exitcode.SysErrInvalidMethod, n.send(n.alice, n.bob, big.Zero(), 1<<63, nil).Code())
	})
	t.Run("bad parameters", func(t *testing.T) {
		r := n.send(n.alice, builtin.StoragePowerActorAddr, big.Zero(), builtin.MethodsPower.CreateMiner, nil)
		require.Equal(t, exitcode.ErrSerialization, r.Code(), r.Err)
	})
	t.Run("out of gas inside", func(t *testing.T) {
		m := n.message(n.alice, n.bob, fil(1), builtin.MethodSend, nil)
		m.GasLimit = MessageGas(m.ChainLength(), 16) + 1
		v := n.vm()
		r, err := v.Apply(t.Context(), m)
		require.NoError(t, err)
		require.Equal(t, exitcode.SysErrOutOfGas, r.Code())
		require.Equal(t, m.GasLimit, r.Receipt.GasUsed)
		n.flush(v)
	})
	n.checkInvariants()
}

// A multisig made by message gets the address that its maker, nonce and count prescribe;
// its calls nest; the trace shows them and adds up.
func TestMultisigAndTrace(t *testing.T) {
	n := newTestNet(t)
	n.tick()
	n.env.Trace = true
	var ctor bytes.Buffer
	require.NoError(t, (&multisig.ConstructorParams{Signers: []address.Address{n.alice}, NumApprovalsThreshold: 1}).MarshalCBOR(&ctor))
	ret := n.must(n.alice, builtin.InitActorAddr, fil(5), builtin.MethodsInit.Exec, &init_.ExecParams{
		CodeCID: builtin.MultisigActorCodeID, ConstructorParams: ctor.Bytes(),
	})
	var made init_.ExecReturn
	require.NoError(t, made.UnmarshalCBOR(bytes.NewReader(ret)))
	require.Equal(t, id(102), made.IDAddress)
	var pre bytes.Buffer
	require.NoError(t, n.alice.MarshalCBOR(&pre))
	want, err := address.NewActorAddress(append(pre.Bytes(), make([]byte, 16)...)) // nonce 0, the first actor
	require.NoError(t, err)
	require.Equal(t, want, made.RobustAddress)
	require.Equal(t, fil(5), n.balance(want))

	r := n.send(n.alice, want, big.Zero(), builtin.MethodsMultisig.Propose, &multisig.ProposeParams{
		To: n.bob, Value: fil(2), Method: builtin.MethodSend,
	})
	require.Equal(t, exitcode.Ok, r.Code(), r.Err)
	require.Equal(t, fil(450_000_002), n.balance(n.bob))
	n.checkInvariants()

	require.NotNil(t, r.Trace)
	require.Len(t, r.Trace.Subcalls, 1)
	require.Equal(t, n.bob, r.Trace.Subcalls[0].Msg.To)
	require.Equal(t, r.Receipt.Return, r.Trace.MsgRct.Return)
	require.EqualValues(t, 0x51, r.Trace.MsgRct.ReturnCodec)
	var total func(*Trace) int64
	total = func(tr *Trace) (sum int64) {
		for _, c := range tr.GasCharges {
			sum += c.Total
		}
		for _, s := range tr.Subcalls {
			sum += total(s)
		}
		return sum
	}
	require.Equal(t, r.Receipt.GasUsed, total(r.Trace))
	js, err := json.Marshal(r.Trace)
	require.NoError(t, err)
	require.Contains(t, string(js), `{"Name":"OnGetActor","tg":0,"cg":0,"sg":0,"tt":0}`)
	n.env.Trace = false
	require.Nil(t, n.send(n.alice, n.bob, big.Zero(), builtin.MethodSend, nil).Trace)
}

// blockless hides one block of a store.
type blockless struct {
	types.Blocks
	hidden cid.Cid
	err    error
}

func (b blockless) Get(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	if c == b.hidden {
		return nil, b.err
	}
	return b.Blocks.Get(ctx, c)
}

// What this node cannot compute is an error, never a receipt, and the VM says so from then
// on: the result would differ from the other nodes'.
func TestFatalErrors(t *testing.T) {
	n := newTestNet(t)
	act, err := n.view().Actor(t.Context(), builtin.StoragePowerActorAddr)
	require.NoError(t, err)
	broken := errors.New("disk is broken")
	env := n.env
	env.Blocks = blockless{n.bs, act.Head, broken}
	v, err := New(t.Context(), env, n.root, 1, baseFee)
	require.NoError(t, err)
	m := n.message(n.alice, builtin.StoragePowerActorAddr, big.Zero(), builtin.MethodsPower.CurrentTotalPower, nil)
	_, err = v.Apply(t.Context(), m)
	require.ErrorIs(t, err, broken)
	_, err = v.Apply(t.Context(), m)
	require.ErrorIs(t, err, broken)
	_, err = v.ApplyImplicit(t.Context(), m)
	require.ErrorIs(t, err, broken)
	_, err = v.Flush(t.Context())
	require.ErrorIs(t, err, broken)
	_, err = v.View(t.Context())
	require.ErrorIs(t, err, broken)

	ctx, cancel := context.WithCancel(t.Context())
	v = n.vm()
	cancel()
	_, err = v.Apply(ctx, m)
	require.ErrorIs(t, err, context.Canceled)

	_, err = New(t.Context(), n.env, types.EmptyAMTCid, 1, baseFee)
	require.Error(t, err, "no such state")
	env = n.env
	env.NetworkVersion = 15
	_, err = New(t.Context(), env, n.root, 1, baseFee)
	require.ErrorIs(t, err, ErrNoActors)
	_, err = New(t.Context(), n.env, n.root, 1, abi.TokenAmount{})
	require.Error(t, err)
}

// Before anything is flushed, View and Actor already show it.
func TestViewBeforeFlush(t *testing.T) {
	n := newTestNet(t)
	v := n.vm()
	before := n.bs.Len()
	r, err := v.Apply(t.Context(), n.message(n.alice, n.bob, fil(3), builtin.MethodSend, nil))
	require.NoError(t, err)
	require.Equal(t, exitcode.Ok, r.Code())
	s, err := v.View(t.Context())
	require.NoError(t, err)
	a, err := s.Actor(t.Context(), n.bob)
	require.NoError(t, err)
	require.Equal(t, fil(450_000_003), a.Balance)
	got, ok, err := v.Actor(t.Context(), n.bob)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, a.Balance, got.Balance)
	require.Equal(t, before, n.bs.Len(), "nothing is stored")
}

func TestCirculatingSupply(t *testing.T) {
	n := newTestNet(t)
	supply := func(start abi.TokenAmount) abi.TokenAmount {
		s, err := CirculatingSupply(t.Context(), n.bs, n.root, start)
		require.NoError(t, err)
		return s
	}
	require.Equal(t, fil(900_000_000), supply(fil(900_000_000)))
	require.Equal(t, big.Zero(), supply(abi.TokenAmount{}))
	n.tick()
	n.must(n.alice, builtin.BurntFundsActorAddr, fil(7), builtin.MethodSend, nil)
	n.must(n.alice, builtin.StorageMarketActorAddr, fil(5), builtin.MethodsMarket.AddBalance, &n.bob)
	burnt := n.balance(builtin.BurntFundsActorAddr)
	require.Equal(t, big.Sub(fil(900_000_000), burnt), supply(fil(900_000_000)), "escrow is free until a deal locks it")
	require.Equal(t, big.Zero(), supply(fil(1)), "never negative")
}

func TestSetNetwork(t *testing.T) {
	n := testNetwork()
	require.NoError(t, SetNetwork(n))
	require.NoError(t, SetNetwork(n), "the same again")
	require.Equal(t, n.Policy.ChallengeWindow, miner.WPoStChallengeWindow)
	require.Equal(t, n.Policy.ProvingPeriod, miner.WPoStProvingPeriod)
	require.Equal(t, n.Policy.DisputeWindow, miner.WPoStDisputeWindow)
	require.Equal(t, n.Policy.FaultMaxAge, miner.FaultMaxAge)
	require.Equal(t, n.Policy.PreCommitChallengeDelay, miner.PreCommitChallengeDelay)
	require.Equal(t, n.Policy.MaxProveCommitDuration, miner.MaxProveCommitDuration[sealType])
	require.Equal(t, n.Policy.DepositProjection, miner.PreCommitDepositProjectionPeriod)
	require.True(t, miner.CanPreCommitSealProof(sealType))
	require.False(t, miner.CanPreCommitSealProof(abi.RegisteredSealProof_StackedDrg32GiBV1_1))
	require.True(t, miner.CanWindowPoStProof(postType))
	least, err := builtin.ConsensusMinerMinPower(postType)
	require.NoError(t, err)
	require.Equal(t, n.Policy.MinPower, least.Uint64())
	other := n
	other.Policy.MinPower *= 2
	require.ErrorIs(t, SetNetwork(other), ErrOtherNetwork)
	other = n
	other.Policy.SectorSize = 3
	require.Error(t, SetNetwork(other))
}
