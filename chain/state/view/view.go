package view

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/cbor"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/account"
	init8 "github.com/filecoin-project/specs-actors/v8/actors/builtin/init"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/power"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/reward"
	"github.com/filecoin-project/specs-actors/v8/actors/util/adt"
	"github.com/ipfs/go-cid"
	ipldcbor "github.com/ipfs/go-ipld-cbor"
	"github.com/lodenet/lode/chain/types"
)

// ErrNotFound: the state has no actor at that address. The text names it.
var ErrNotFound = errors.New("no such actor")

// ErrWrongActor: the actor exists and is of another kind than the call needs.
var ErrWrongActor = errors.New("actor is of another kind")

// View reads one state. It is immutable.
type View struct {
	blocks types.Blocks
	root   cid.Cid
}

// At makes a view of the state at root. Nothing is read yet.
func At(blocks types.Blocks, root cid.Cid) *View { return &View{blocks, root} }

// Root is the CID of the state.
func (v *View) Root() cid.Cid { return v.root }

// Store reads actors' objects; it must not be used to write.
func (v *View) Store(ctx context.Context) adt.Store { return adt.WrapBlockStore(ctx, v.blocks) }

func (v *View) actors(ctx context.Context) (*adt.Map, error) {
	var root types.StateRoot
	if err := ipldcbor.NewCborStore(v.blocks).Get(ctx, v.root, &root); err != nil {
		return nil, fmt.Errorf("state %s: %w", v.root, err)
	}
	if root.Version != types.StateTreeVersion4 {
		return nil, fmt.Errorf("state %s: tree version %d, want %d", v.root, root.Version, types.StateTreeVersion4)
	}
	m, err := adt.AsMap(v.Store(ctx), root.Actors, builtin.DefaultHamtBitwidth)
	if err != nil {
		return nil, fmt.Errorf("state %s: %w", v.root, err)
	}
	return m, nil
}

// Actor reads the record of an actor, given any of its addresses.
func (v *View) Actor(ctx context.Context, a address.Address) (*types.Actor, error) {
	id, err := v.LookupID(ctx, a)
	if err != nil {
		return nil, err
	}
	m, err := v.actors(ctx)
	if err != nil {
		return nil, err
	}
	var act types.Actor
	found, err := m.Get(abi.AddrKey(id), &act)
	if err != nil {
		return nil, fmt.Errorf("actor %s: %w", a, err)
	}
	if !found {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, a)
	}
	return &act, nil
}

// ForEachActor calls f for every actor by its ID address; the order is the tree's.
func (v *View) ForEachActor(ctx context.Context, f func(address.Address, *types.Actor) error) error {
	m, err := v.actors(ctx)
	if err != nil {
		return err
	}
	var act types.Actor
	return m.ForEach(&act, func(key string) error {
		a, err := address.NewFromBytes([]byte(key))
		if err != nil {
			return err
		}
		one := act
		return f(a, &one)
	})
}

// state reads the state object of an actor of the given kind.
func (v *View) state(ctx context.Context, a address.Address, code cid.Cid, out cbor.Unmarshaler) error {
	act, err := v.Actor(ctx, a)
	if err != nil {
		return err
	}
	if act.Code != code {
		return fmt.Errorf("%w: %s is a %s actor, not a %s one", ErrWrongActor, a, builtin.ActorNameByCode(act.Code), builtin.ActorNameByCode(code))
	}
	if err := v.Store(ctx).Get(ctx, act.Head, out); err != nil {
		return fmt.Errorf("state of actor %s: %w", a, err)
	}
	return nil
}

// Init reads the init actor.
func (v *View) Init(ctx context.Context) (*init8.State, error) {
	var st init8.State
	// The init actor has an ID address, so this does not recurse through LookupID.
	if err := v.state(ctx, builtin.InitActorAddr, builtin.InitActorCodeID, &st); err != nil {
		return nil, err
	}
	return &st, nil
}

// LookupID resolves any address to the ID address. ID addresses are returned as they are,
// whether or not such an actor exists.
func (v *View) LookupID(ctx context.Context, a address.Address) (address.Address, error) {
	if a.Protocol() == address.ID {
		return a, nil
	}
	st, err := v.Init(ctx)
	if err != nil {
		return address.Undef, err
	}
	id, found, err := st.ResolveAddress(v.Store(ctx), a)
	if err != nil {
		return address.Undef, fmt.Errorf("resolve %s: %w", a, err)
	}
	if !found {
		return address.Undef, fmt.Errorf("%w: %s", ErrNotFound, a)
	}
	return id, nil
}

// KeyAddress resolves an account to the address that holds its key. Key addresses are
// returned as they are.
func (v *View) KeyAddress(ctx context.Context, a address.Address) (address.Address, error) {
	if a.Protocol() == address.SECP256K1 || a.Protocol() == address.BLS {
		return a, nil
	}
	var st account.State
	if err := v.state(ctx, a, builtin.AccountActorCodeID, &st); err != nil {
		return address.Undef, err
	}
	return st.Address, nil
}

// NetworkName is the name that the genesis gave the network.
func (v *View) NetworkName(ctx context.Context) (string, error) {
	st, err := v.Init(ctx)
	if err != nil {
		return "", err
	}
	return st.NetworkName, nil
}

// Power reads the power actor.
func (v *View) Power(ctx context.Context) (*power.State, adt.Store, error) {
	var st power.State
	if err := v.state(ctx, builtin.StoragePowerActorAddr, builtin.StoragePowerActorCodeID, &st); err != nil {
		return nil, nil, err
	}
	return &st, v.Store(ctx), nil
}

// Reward reads the reward actor.
func (v *View) Reward(ctx context.Context) (*reward.State, error) {
	var st reward.State
	if err := v.state(ctx, builtin.RewardActorAddr, builtin.RewardActorCodeID, &st); err != nil {
		return nil, err
	}
	return &st, nil
}

// Claim is a miner's entry in the power table; false when it has none.
func (v *View) Claim(ctx context.Context, miner address.Address) (*power.Claim, bool, error) {
	id, err := v.LookupID(ctx, miner)
	if err != nil {
		return nil, false, err
	}
	st, store, err := v.Power(ctx)
	if err != nil {
		return nil, false, err
	}
	c, found, err := st.GetClaim(store, id)
	if err != nil {
		return nil, false, fmt.Errorf("claim of %s: %w", miner, err)
	}
	return c, found, nil
}

// ListMiners lists the miners that have a claim.
func (v *View) ListMiners(ctx context.Context) ([]address.Address, error) {
	st, store, err := v.Power(ctx)
	if err != nil {
		return nil, err
	}
	claims, err := adt.AsMap(store, st.Claims, builtin.DefaultHamtBitwidth)
	if err != nil {
		return nil, fmt.Errorf("power claims: %w", err)
	}
	keys, err := claims.CollectKeys()
	if err != nil {
		return nil, fmt.Errorf("power claims: %w", err)
	}
	out := make([]address.Address, 0, len(keys))
	for _, k := range keys {
		a, err := address.NewFromBytes([]byte(k))
		if err != nil {
			return nil, fmt.Errorf("power claims: %w", err)
		}
		out = append(out, a)
	}
	return out, nil
}
