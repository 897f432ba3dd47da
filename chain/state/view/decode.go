package view

import (
	"context"
	"fmt"
	"reflect"
	"sync"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/cbor"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/exported"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/types"
)

// stateTypes are the Go types of the actors' states by the actors' code.
var stateTypes = sync.OnceValue(func() map[cid.Cid]reflect.Type {
	out := map[cid.Cid]reflect.Type{}
	for _, a := range exported.BuiltinActors() {
		out[a.Code()] = reflect.TypeOf(a.State()).Elem()
	}
	return out
})

// Decoded reads an actor with its state as the Go type of specs-actors, by pointer.
// ErrWrongActor: its code is not one of actors v8.
func (v *View) Decoded(ctx context.Context, a address.Address) (*types.Actor, any, error) {
	act, err := v.Actor(ctx, a)
	if err != nil {
		return nil, nil, err
	}
	t, ok := stateTypes()[act.Code]
	if !ok {
		return nil, nil, fmt.Errorf("%w: %s has the unknown code %s", ErrWrongActor, a, act.Code)
	}
	st, ok := reflect.New(t).Interface().(cbor.Unmarshaler)
	if !ok {
		return nil, nil, fmt.Errorf("state of actor %s: %s cannot be decoded", a, t)
	}
	if err := v.Store(ctx).Get(ctx, act.Head, st); err != nil {
		return nil, nil, fmt.Errorf("state of actor %s: %w", a, err)
	}
	return act, st, nil
}
