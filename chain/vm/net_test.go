package vm

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/cbor"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/filecoin-project/go-state-types/network"
	"github.com/filecoin-project/go-state-types/proof"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/account"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/cron"
	init_ "github.com/filecoin-project/specs-actors/v8/actors/builtin/init"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/power"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/reward"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/system"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/verifreg"
	"github.com/filecoin-project/specs-actors/v8/actors/states"
	"github.com/filecoin-project/specs-actors/v8/actors/util/adt"
	"github.com/ipfs/go-cid"
	cbornode "github.com/ipfs/go-ipld-cbor"
	"github.com/minio/blake2b-simd"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/chain/state"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/types/sigs"
)

// testNetwork has long deadlines, so that the fixed minimum life of a sector, 518 400
// epochs, is but eight proving periods; they divide the step of vesting, 1440 epochs, as
// the invariants checker asks. Policy is the process's: all tests here share it.
func testNetwork() types.Network {
	n := types.Devnet()
	n.Name = "vmtest"
	n.Policy.SectorSize = 2 << 10
	n.Policy.MinPower = 2 << 10
	n.Policy.ChallengeWindow = 1440
	n.Policy.ProvingPeriod = 48 * 1440
	n.Policy.DisputeWindow = 1800
	n.Policy.FaultMaxAge = 2 * 48 * 1440
	return n
}

// yesVerifier holds every proof true, or none.
type yesVerifier struct{ no bool }

func (y *yesVerifier) Name() string { return "yes" }

func (y *yesVerifier) VerifySeal(context.Context, proof.SealVerifyInfo) (bool, error) {
	return !y.no, nil
}

func (y *yesVerifier) VerifySeals(_ context.Context, s []proof.SealVerifyInfo) ([]bool, error) {
	out := make([]bool, len(s))
	for i := range out {
		out[i] = !y.no
	}
	return out, nil
}

func (y *yesVerifier) VerifyWindowPoSt(context.Context, proof.WindowPoStVerifyInfo) (bool, error) {
	return !y.no, nil
}

func (y *yesVerifier) VerifyWinningPoSt(context.Context, proof.WinningPoStVerifyInfo) (bool, error) {
	return !y.no, nil
}

// testRand draws from the arguments alone.
type testRand struct{}

func (testRand) FromTickets(_ context.Context, tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) ([]byte, error) {
	return testDraw('t', tag, epoch, entropy), nil
}

func (testRand) FromBeacon(_ context.Context, tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) ([]byte, error) {
	return testDraw('b', tag, epoch, entropy), nil
}

func testDraw(kind byte, tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) []byte {
	b := binary.BigEndian.AppendUint64([]byte{kind}, uint64(tag))
	b = binary.BigEndian.AppendUint64(b, uint64(epoch))
	h := blake2b.Sum256(append(b, entropy...))
	return h[:]
}

// testNet is a network with actors v8 made by hand: the singletons and two rich accounts.
type testNet struct {
	t        testing.TB
	bs       *types.MemBlocks
	env      Env
	verifier *yesVerifier
	root     cid.Cid
	epoch    abi.ChainEpoch
	// alice signs with BLS and bob with secp256k1.
	alice, bob       address.Address
	aliceKey, bobKey []byte
	nonces           map[address.Address]uint64
	minerAddr        address.Address // alice's, once made
}

func fil(n int64) abi.TokenAmount { return big.Mul(big.NewInt(n), types.FilecoinPrecision) }

func id(n uint64) address.Address {
	a, err := address.NewIDAddress(n)
	if err != nil {
		panic(err)
	}
	return a
}

func newTestNet(t testing.TB) *testNet {
	require.NoError(t, SetNetwork(testNetwork()))
	ctx := t.Context()
	n := &testNet{t: t, bs: new(types.MemBlocks), verifier: new(yesVerifier), nonces: make(map[address.Address]uint64)}
	n.aliceKey = sigs.KeyFromSeed([]byte("alice"))
	n.alice = mustAddress(t, crypto.SigTypeBLS, n.aliceKey)
	n.bobKey = bytes.Repeat([]byte{7}, 32)
	n.bob = mustAddress(t, crypto.SigTypeSecp256k1, n.bobKey)
	store := adt.WrapStore(ctx, cbornode.NewCborStore(n.bs))
	tree, err := state.New(ctx, n.bs, types.StateTreeVersion4)
	require.NoError(t, err)
	put := func(a address.Address, code cid.Cid, balance abi.TokenAmount, st cbor.Marshaler, err error) {
		t.Helper()
		require.NoError(t, err)
		head, err := store.Put(ctx, st)
		require.NoError(t, err)
		require.NoError(t, tree.SetActor(a, types.Actor{Code: code, Head: head, Balance: balance}))
	}
	sys, err := system.ConstructState(store)
	put(builtin.SystemActorAddr, builtin.SystemActorCodeID, big.Zero(), sys, err)
	initState, err := init_.ConstructState(store, "vmtest")
	put(builtin.InitActorAddr, builtin.InitActorCodeID, big.Zero(), initState, err)
	put(builtin.RewardActorAddr, builtin.RewardActorCodeID, fil(1_100_000_000), reward.ConstructState(big.Zero()), nil)
	put(builtin.CronActorAddr, builtin.CronActorCodeID, big.Zero(), cron.ConstructState(cron.BuiltInEntries()), nil)
	pow, err := power.ConstructState(store)
	put(builtin.StoragePowerActorAddr, builtin.StoragePowerActorCodeID, big.Zero(), pow, err)
	mkt, err := market.ConstructState(store)
	put(builtin.StorageMarketActorAddr, builtin.StorageMarketActorCodeID, big.Zero(), mkt, err)
	ver, err := verifreg.ConstructState(store, id(101))
	put(builtin.VerifiedRegistryActorAddr, builtin.VerifiedRegistryActorCodeID, big.Zero(), ver, err)
	put(builtin.BurntFundsActorAddr, builtin.AccountActorCodeID, big.Zero(), &account.State{Address: builtin.BurntFundsActorAddr}, nil)
	for _, a := range []address.Address{n.alice, n.bob} {
		key, err := tree.RegisterAddress(ctx, a)
		require.NoError(t, err)
		put(key, builtin.AccountActorCodeID, fil(450_000_000), &account.State{Address: a}, nil)
	}
	n.root, err = tree.Flush(ctx)
	require.NoError(t, err)
	n.env = Env{
		Blocks: n.bs, Verifier: n.verifier, Rand: testRand{}, NetworkVersion: network.Version16,
		CirculatingAtGenesis: fil(900_000_000),
	}
	return n
}

func mustAddress(t testing.TB, typ crypto.SigType, key []byte) address.Address {
	a, err := sigs.Address(typ, key)
	require.NoError(t, err)
	return a
}

// baseFee of all test epochs, in attoFIL per gas unit.
var baseFee = big.NewInt(100)

func (n *testNet) vm() *VM {
	v, err := New(n.t.Context(), n.env, n.root, n.epoch, baseFee)
	require.NoError(n.t, err)
	return v
}

// flush keeps what a VM did.
func (n *testNet) flush(v *VM) {
	root, err := v.Flush(n.t.Context())
	require.NoError(n.t, err)
	n.root = root
}

// message makes the next message of a sender, with plenty of gas.
func (n *testNet) message(from, to address.Address, value abi.TokenAmount, method abi.MethodNum, params cbor.Marshaler) *types.Message {
	m := &types.Message{
		To: to, From: from, Nonce: n.nonces[from], Value: value, GasLimit: types.BlockGasLimit,
		GasFeeCap: big.NewInt(200), GasPremium: big.NewInt(1), Method: method,
	}
	if params != nil {
		var b bytes.Buffer
		require.NoError(n.t, params.MarshalCBOR(&b))
		m.Params = b.Bytes()
	}
	n.nonces[from]++
	return m
}

// send applies one message at the present epoch and keeps the state.
func (n *testNet) send(from, to address.Address, value abi.TokenAmount, method abi.MethodNum, params cbor.Marshaler) *Result {
	n.t.Helper()
	v := n.vm()
	r, err := v.Apply(n.t.Context(), n.message(from, to, value, method, params))
	require.NoError(n.t, err)
	n.flush(v)
	return r
}

// must is send of a message that has to succeed.
func (n *testNet) must(from, to address.Address, value abi.TokenAmount, method abi.MethodNum, params cbor.Marshaler) []byte {
	n.t.Helper()
	r := n.send(from, to, value, method, params)
	require.Equal(n.t, exitcode.Ok, r.Code(), "method %d of %s: %s", method, to, r.Err)
	return r.Receipt.Return
}

// tick runs the cron of the present epoch and goes to the next one.
func (n *testNet) tick() {
	n.t.Helper()
	v := n.vm()
	require.NoError(n.t, v.cron(n.t.Context()))
	n.flush(v)
	n.epoch++
}

// skipTo goes to a later epoch without the crons between: no test relies on what they
// would have done, and the next cron makes up for it, since power and market remember the
// last epoch they handled.
func (n *testNet) skipTo(epoch abi.ChainEpoch) {
	n.t.Helper()
	require.GreaterOrEqual(n.t, epoch, n.epoch)
	n.epoch = epoch
}

func (n *testNet) view() *view.View { return view.At(n.bs, n.root) }

func (n *testNet) balance(a address.Address) abi.TokenAmount {
	n.t.Helper()
	act, err := n.view().Actor(n.t.Context(), a)
	require.NoError(n.t, err)
	return act.Balance
}

// checkInvariants has the actors library check the whole state, and that no attoFIL came
// or went. The state is the one at the end of the epoch before the present one.
func (n *testNet) checkInvariants() {
	n.t.Helper()
	ctx := n.t.Context()
	store := adt.WrapStore(ctx, cbornode.NewCborStore(n.bs))
	var root types.StateRoot
	require.NoError(n.t, store.Get(ctx, n.root, &root))
	tree, err := states.LoadTree(store, root.Actors)
	require.NoError(n.t, err)
	acc, err := states.CheckStateInvariants(tree, types.TotalFilecoin, n.epoch-1)
	require.NoError(n.t, err)
	require.Empty(n.t, acc.Messages())
}
