package view

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/verifreg"
	"github.com/filecoin-project/specs-actors/v8/actors/util/adt"
)

// DataCap is how many bytes of verified deals a client may still make; false when it is not
// a verified client.
func (v *View) DataCap(ctx context.Context, a address.Address) (abi.StoragePower, bool, error) {
	id, err := v.LookupID(ctx, a)
	if errors.Is(err, ErrNotFound) {
		return big.Zero(), false, nil
	}
	if err != nil {
		return big.Zero(), false, err
	}
	var st verifreg.State
	if err := v.state(ctx, builtin.VerifiedRegistryActorAddr, builtin.VerifiedRegistryActorCodeID, &st); err != nil {
		return big.Zero(), false, err
	}
	clients, err := adt.AsMap(v.Store(ctx), st.VerifiedClients, builtin.DefaultHamtBitwidth)
	if err != nil {
		return big.Zero(), false, fmt.Errorf("verified clients: %w", err)
	}
	var left abi.StoragePower
	found, err := clients.Get(abi.AddrKey(id), &left)
	if err != nil {
		return big.Zero(), false, fmt.Errorf("data cap of %s: %w", a, err)
	}
	return left, found, nil
}
