package consensus

import (
	"context"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/power"
	"github.com/filecoin-project/specs-actors/v8/actors/states"
	"github.com/filecoin-project/specs-actors/v8/actors/util/adt"
	"github.com/ipfs/go-cid"
	"github.com/stretchr/testify/require"
	cbg "github.com/whyrusleeping/cbor-gen"
	"go.uber.org/goleak"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/test/livechain"
)

func TestMain(m *testing.M) {
	// A logger that a library of boxo starts when it is loaded.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/ipfs/go-log/writer.(*MirrorWriter).logRoutine"))
}

func one(t testing.TB, h *types.BlockHeader) *types.TipSet {
	t.Helper()
	ts, err := types.NewTipSet([]*types.BlockHeader{h})
	require.NoError(t, err)
	return ts
}

// doctor changes the state object of an actor in a state and returns the new root.
func doctor[S cbg.CBORMarshaler](t testing.TB, c *livechain.Chain, root cid.Cid, actor address.Address, st S, change func(adt.Store, S)) cid.Cid {
	t.Helper()
	ctx := t.Context()
	store := adt.WrapBlockStore(ctx, c.Store)
	var sr types.StateRoot
	require.NoError(t, store.Get(ctx, root, &sr))
	tree, err := states.LoadTree(store, sr.Actors)
	require.NoError(t, err)
	act, found, err := tree.GetActor(actor)
	require.NoError(t, err)
	require.True(t, found)
	require.NoError(t, store.Get(ctx, act.Head, any(st).(cbg.CBORUnmarshaler)))
	change(store, st)
	act.Head, err = store.Put(ctx, st)
	require.NoError(t, err)
	require.NoError(t, tree.SetActor(actor, act))
	sr.Actors, err = tree.Flush()
	require.NoError(t, err)
	out, err := store.Put(ctx, &sr)
	require.NoError(t, err)
	return out
}

// onState puts a copy of a tipset that names another parent state, and returns it. It would
// not pass validation, but a block on it is validated against that state.
func onState(t testing.TB, c *livechain.Chain, ts *types.TipSet, root cid.Cid) *types.TipSet {
	t.Helper()
	h := *ts.Blocks()[0]
	h.ParentStateRoot = root
	out := one(t, &h)
	require.NoError(t, c.Store.PutTipSet(t.Context(), out))
	return out
}

func withoutClaim(t testing.TB, c *livechain.Chain, root cid.Cid, who address.Address) cid.Cid {
	return doctor(t, c, root, builtin.StoragePowerActorAddr, &power.State{}, func(s adt.Store, st *power.State) {
		claims, err := adt.AsMap(s, st.Claims, builtin.DefaultHamtBitwidth)
		require.NoError(t, err)
		require.NoError(t, claims.Delete(abi.AddrKey(who)))
		st.Claims, err = claims.Root()
		require.NoError(t, err)
	})
}

func withoutPower(t testing.TB, c *livechain.Chain, root cid.Cid) cid.Cid {
	return doctor(t, c, root, builtin.StoragePowerActorAddr, &power.State{}, func(_ adt.Store, st *power.State) {
		st.TotalQualityAdjPower = abi.NewStoragePower(0)
	})
}

func withFeeDebt(t testing.TB, c *livechain.Chain, root cid.Cid, who address.Address) cid.Cid {
	return doctor(t, c, root, who, &miner.State{}, func(_ adt.Store, st *miner.State) { st.FeeDebt = abi.NewTokenAmount(1) })
}

func canceled(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
