package view

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/util/adt"
	cbg "github.com/whyrusleeping/cbor-gen"
)

// RobustAddress translates an ID address to one that means the same actor after a reorg: the
// key of an account, or the address an actor got when it was made. Other addresses are
// returned as they are. ErrNotFound: the actor does not exist, or has its ID address only, as
// the system's actors. It reads the whole address table unless the actor is an account.
func (v *View) RobustAddress(ctx context.Context, id address.Address) (address.Address, error) {
	if id.Protocol() != address.ID {
		return id, nil
	}
	act, err := v.Actor(ctx, id)
	if err != nil {
		return address.Undef, err
	}
	if act.Code == builtin.AccountActorCodeID {
		return v.KeyAddress(ctx, id)
	}
	want, err := address.IDFromAddress(id)
	if err != nil {
		return address.Undef, err
	}
	st, err := v.Init(ctx)
	if err != nil {
		return address.Undef, err
	}
	table, err := adt.AsMap(v.Store(ctx), st.AddressMap, builtin.DefaultHamtBitwidth)
	if err != nil {
		return address.Undef, fmt.Errorf("address table: %w", err)
	}
	found := address.Undef
	var got cbg.CborInt
	err = table.ForEach(&got, func(key string) error {
		if uint64(got) != want {
			return nil
		}
		if found, err = address.NewFromBytes([]byte(key)); err != nil {
			return err
		}
		return errFound
	})
	if err != nil && !errors.Is(err, errFound) {
		return address.Undef, fmt.Errorf("address table: %w", err)
	}
	if found == address.Undef {
		return address.Undef, fmt.Errorf("%w: %s has no other address", ErrNotFound, id)
	}
	return found, nil
}

// errFound ends a walk over a table.
var errFound = errors.New("found")
