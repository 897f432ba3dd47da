package state_test

import (
	"fmt"
	"maps"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/big"
	states2 "github.com/filecoin-project/specs-actors/v2/actors/states"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	init_ "github.com/filecoin-project/specs-actors/v8/actors/builtin/init"
	states8 "github.com/filecoin-project/specs-actors/v8/actors/states"
	"github.com/filecoin-project/specs-actors/v8/actors/util/adt"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	cbornode "github.com/ipfs/go-ipld-cbor"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/lodenet/lode/chain/state"
	"github.com/lodenet/lode/chain/types"
)

func idAddr(n uint64) address.Address {
	a, err := address.NewIDAddress(n)
	if err != nil {
		panic(err)
	}
	return a
}

func actor(n int64) types.Actor {
	return types.Actor{Code: builtin.AccountActorCodeID, Head: types.EmptyArrayCid, Nonce: uint64(n), Balance: big.NewInt(n)}
}

var versions = []types.StateTreeVersion{types.StateTreeVersion0, types.StateTreeVersion1, types.StateTreeVersion4}

// The tree of the actors library is the model: the same actors give the same root, in both
// node formats.
func TestRootEqualsActorsLibrary(t *testing.T) {
	ctx := t.Context()
	for _, v := range versions {
		t.Run(fmt.Sprint(v), func(t *testing.T) {
			var bs types.MemBlocks
			tree, err := state.New(ctx, &bs, v)
			require.NoError(t, err)
			store := adt.WrapStore(ctx, cbornode.NewCborStore(&bs))
			var set func(address.Address, *states8.Actor) error
			var flush func() (cid.Cid, error)
			if v == types.StateTreeVersion4 {
				m, err := states8.NewTree(store)
				require.NoError(t, err)
				set, flush = m.SetActor, m.Flush
			} else {
				m, err := states2.NewTree(store)
				require.NoError(t, err)
				set, flush = m.SetActor, m.Flush
			}
			for i := range int64(300) {
				a := actor(i)
				require.NoError(t, tree.SetActor(idAddr(uint64(i)), a))
				require.NoError(t, set(idAddr(uint64(i)), &states8.Actor{Code: a.Code, Head: a.Head, CallSeqNum: a.Nonce, Balance: a.Balance}))
			}
			want, err := flush()
			require.NoError(t, err)
			got, err := tree.Flush(ctx)
			require.NoError(t, err)
			if v != types.StateTreeVersion0 {
				var r types.StateRoot
				require.NoError(t, store.Get(ctx, got, &r))
				require.Equal(t, types.StateRoot{Version: v, Actors: want, Info: types.EmptyArrayCid}, r)
			} else {
				require.Equal(t, want, got)
			}
			again, err := state.Load(ctx, &bs, got)
			require.NoError(t, err)
			require.Equal(t, v, again.Version())
			n := 0
			require.NoError(t, again.ForEach(ctx, func(_ address.Address, _ types.Actor) error { n++; return nil }))
			require.Equal(t, 300, n)
		})
	}
}

func TestLoadRefusesOtherVersions(t *testing.T) {
	ctx := t.Context()
	var bs types.MemBlocks
	store := cbornode.NewCborStore(&bs)
	c, err := store.Put(ctx, &types.StateRoot{Version: 5, Actors: types.EmptyArrayCid, Info: types.EmptyArrayCid})
	require.NoError(t, err)
	_, err = state.Load(ctx, &bs, c)
	require.ErrorIs(t, err, state.ErrVersion)
	_, err = state.Load(ctx, &bs, types.EmptyAMTCid)
	require.Error(t, err, "an absent root")
}

// Random writes, deletions, snapshots, reverts and flushes against maps that are copied.
func TestTreeModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ctx := t.Context()
		var bs types.MemBlocks
		tree, err := state.New(ctx, &bs, rapid.SampledFrom(versions).Draw(rt, "version"))
		require.NoError(rt, err)
		model := map[uint64]int64{}
		var stack []map[uint64]int64
		check := func() {
			for i := range uint64(12) {
				got, ok, err := tree.Actor(ctx, idAddr(i))
				require.NoError(rt, err)
				want, has := model[i]
				require.Equal(rt, has, ok, "actor %d", i)
				if has {
					require.Equal(rt, uint64(want), got.Nonce, "actor %d", i)
				}
			}
		}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			n := rapid.Uint64Range(0, 11).Draw(rt, "id")
			switch rapid.IntRange(0, 6).Draw(rt, "step") {
			case 0, 1:
				v := rapid.Int64Range(0, 99).Draw(rt, "value")
				require.NoError(rt, tree.SetActor(idAddr(n), actor(v)))
				model[n] = v
			case 2:
				require.NoError(rt, tree.DeleteActor(idAddr(n)))
				delete(model, n)
			case 3:
				tree.Snapshot()
				stack = append(stack, maps.Clone(model))
			case 4:
				if len(stack) > 0 {
					tree.Revert()
					model = maps.Clone(stack[len(stack)-1])
				}
			case 5:
				if len(stack) > 0 {
					tree.Clear()
					stack = stack[:len(stack)-1]
				}
			case 6:
				root, err := tree.Flush(ctx)
				if len(stack) > 0 {
					require.Error(rt, err)
					continue
				}
				require.NoError(rt, err)
				if rapid.Bool().Draw(rt, "reload") {
					tree, err = state.Load(ctx, &bs, root)
					require.NoError(rt, err)
				}
			}
			check()
		}
	})
}

// withInit gives a tree an init actor.
func withInit(t *testing.T, bs types.Blocks) *state.Tree {
	ctx := t.Context()
	tree, err := state.New(ctx, bs, types.StateTreeVersion4)
	require.NoError(t, err)
	store := adt.WrapStore(ctx, cbornode.NewCborStore(bs))
	st, err := init_.ConstructState(store, "test")
	require.NoError(t, err)
	head, err := store.Put(ctx, st)
	require.NoError(t, err)
	require.NoError(t, tree.SetActor(builtin.InitActorAddr, types.Actor{Code: builtin.InitActorCodeID, Head: head, Balance: big.Zero()}))
	return tree
}

func TestRegisterAndLookup(t *testing.T) {
	ctx := t.Context()
	var bs types.MemBlocks
	tree := withInit(t, &bs)
	key := func(b byte) address.Address {
		a, err := address.NewSecp256k1Address([]byte{b})
		require.NoError(t, err)
		return a
	}
	lookup := func(a address.Address) (address.Address, bool) {
		id, ok, err := tree.LookupID(ctx, a)
		require.NoError(t, err)
		return id, ok
	}
	_, ok := lookup(key(1))
	require.False(t, ok)
	_, ok = lookup(address.Undef)
	require.False(t, ok)
	id, err := tree.RegisterAddress(ctx, key(1))
	require.NoError(t, err)
	require.Equal(t, idAddr(100), id)

	tree.Snapshot()
	_, err = tree.RegisterAddress(ctx, key(2))
	require.NoError(t, err)
	id, ok = lookup(key(2))
	require.True(t, ok)
	require.Equal(t, idAddr(101), id)
	tree.Revert()
	tree.Clear()
	_, ok = lookup(key(2))
	require.False(t, ok, "undone with the snapshot")
	id, ok = lookup(key(1))
	require.True(t, ok)
	require.Equal(t, idAddr(100), id)
	id, err = tree.RegisterAddress(ctx, key(3))
	require.NoError(t, err)
	require.Equal(t, idAddr(101), id, "the number is free again")

	root, err := tree.Flush(ctx)
	require.NoError(t, err)
	tree, err = state.Load(ctx, &bs, root)
	require.NoError(t, err)
	id, ok = lookup(key(3))
	require.True(t, ok)
	require.Equal(t, idAddr(101), id)
	id, ok = lookup(idAddr(7))
	require.True(t, ok, "ID addresses pass unseen")
	require.Equal(t, idAddr(7), id)
	require.Error(t, tree.SetActor(key(1), actor(1)))
}

// Flush stores what the root reaches, and nothing else.
func TestBufferFlushesTheReachable(t *testing.T) {
	ctx := t.Context()
	var base types.MemBlocks
	buf := state.NewBuffer(&base)
	tree := withInit(t, buf)
	for i := range uint64(200) {
		require.NoError(t, tree.SetActor(idAddr(i+1000), actor(int64(i))))
	}
	root, err := tree.Flush(ctx)
	require.NoError(t, err)
	garbage, err := cbornode.NewCborStore(buf).Put(ctx, &types.Actor{Code: root, Head: root, Balance: big.NewInt(1)})
	require.NoError(t, err)
	require.Zero(t, base.Len())
	require.NoError(t, buf.Flush(ctx, root))
	ok, err := base.Has(ctx, garbage)
	require.NoError(t, err)
	require.False(t, ok, "garbage is not stored")
	ok, err = buf.Has(ctx, garbage)
	require.NoError(t, err)
	require.True(t, ok, "but is still at hand")

	// All that the root reaches is below now, heads and the info object included.
	again, err := state.Load(ctx, &base, root)
	require.NoError(t, err)
	n := 0
	require.NoError(t, again.ForEach(ctx, func(_ address.Address, a types.Actor) error {
		n++
		ok, err := base.Has(ctx, a.Head)
		require.True(t, ok)
		return err
	}))
	require.Equal(t, 201, n)
	stored := base.Len()
	require.NoError(t, buf.Flush(ctx, root))
	require.Equal(t, stored, base.Len())
	require.NoError(t, buf.Flush(ctx, garbage))
	require.Equal(t, stored+1, base.Len())
}

// A block whose links cannot be read is not stored.
func TestBufferRefusesBrokenBlocks(t *testing.T) {
	ctx := t.Context()
	var base types.MemBlocks
	buf := state.NewBuffer(&base)
	raw := []byte{0x82, 0xd8}
	c, err := types.CidBuilder.Sum(raw)
	require.NoError(t, err)
	b, err := blocks.NewBlockWithCid(raw, c)
	require.NoError(t, err)
	require.NoError(t, buf.Put(ctx, b))
	require.Error(t, buf.Flush(ctx, c))
	require.Zero(t, base.Len())
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte{0x80})
	f.Add([]byte{0x82, 0x40, 0x80})
	f.Add([]byte{0x82, 0x41, 0x01, 0x81, 0x81, 0x82, 0x42, 0x00, 0x01, 0x00})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var bs types.MemBlocks
		c, err := types.CidBuilder.Sum(raw)
		if err != nil {
			t.Fatal(err)
		}
		b, err := blocks.NewBlockWithCid(raw, c)
		if err != nil {
			t.Fatal(err)
		}
		if err := bs.Put(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		store := cbornode.NewCborStore(&bs)
		wrapped, err := store.Put(t.Context(), &types.StateRoot{Version: 4, Actors: c, Info: c})
		if err != nil {
			t.Fatal(err)
		}
		for _, root := range []cid.Cid{c, wrapped} {
			tree, err := state.Load(t.Context(), &bs, root)
			if err != nil {
				continue
			}
			_, _, _ = tree.Actor(t.Context(), idAddr(1))
			_ = tree.ForEach(t.Context(), func(address.Address, types.Actor) error { return nil })
		}
	})
}
