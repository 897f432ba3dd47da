package view

import (
	"context"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/filecoin-project/specs-actors/v8/actors/util/adt"
	"github.com/ipfs/go-cid"
)

// Market reads the market actor.
func (v *View) Market(ctx context.Context) (*market.State, adt.Store, error) {
	var st market.State
	if err := v.state(ctx, builtin.StorageMarketActorAddr, builtin.StorageMarketActorCodeID, &st); err != nil {
		return nil, nil, err
	}
	return &st, v.Store(ctx), nil
}

// Deal reads a published deal. Its state is nil until the sector that holds it is proven.
// ErrNotFound: there is no such deal, or it has ended.
func (v *View) Deal(ctx context.Context, id abi.DealID) (*market.DealProposal, *market.DealState, error) {
	st, store, err := v.Market(ctx)
	if err != nil {
		return nil, nil, err
	}
	proposals, err := market.AsDealProposalArray(store, st.Proposals)
	if err != nil {
		return nil, nil, fmt.Errorf("deal %d: %w", id, err)
	}
	p, found, err := proposals.Get(id)
	if err != nil {
		return nil, nil, fmt.Errorf("deal %d: %w", id, err)
	}
	if !found {
		return nil, nil, fmt.Errorf("%w: deal %d is not on chain", ErrNotFound, id)
	}
	states, err := market.AsDealStateArray(store, st.States)
	if err != nil {
		return nil, nil, fmt.Errorf("deal %d: %w", id, err)
	}
	s, found, err := states.Get(id)
	if err != nil {
		return nil, nil, fmt.Errorf("deal %d: %w", id, err)
	}
	if !found {
		return p, nil, nil
	}
	return p, s, nil
}

// ForEachDeal calls f for every deal on chain, by id; the state is nil until activation.
func (v *View) ForEachDeal(ctx context.Context, f func(abi.DealID, *market.DealProposal, *market.DealState) error) error {
	st, store, err := v.Market(ctx)
	if err != nil {
		return err
	}
	proposals, err := market.AsDealProposalArray(store, st.Proposals)
	if err != nil {
		return fmt.Errorf("deals: %w", err)
	}
	states, err := market.AsDealStateArray(store, st.States)
	if err != nil {
		return fmt.Errorf("deals: %w", err)
	}
	var p market.DealProposal
	return proposals.ForEach(&p, func(i int64) error {
		s, found, err := states.Get(abi.DealID(i))
		if err != nil {
			return fmt.Errorf("deal %d: %w", i, err)
		}
		if !found {
			s = nil
		}
		one := p
		return f(abi.DealID(i), &one, s)
	})
}

// MarketBalance reads what an address has in the market's escrow and how much of that is
// locked by deals, in attoFIL.
func (v *View) MarketBalance(ctx context.Context, a address.Address) (escrow, locked abi.TokenAmount, err error) {
	id, err := v.LookupID(ctx, a)
	if err != nil {
		return big.Zero(), big.Zero(), err
	}
	st, store, err := v.Market(ctx)
	if err != nil {
		return big.Zero(), big.Zero(), err
	}
	read := func(root cid.Cid) (abi.TokenAmount, error) {
		t, err := adt.AsBalanceTable(store, root)
		if err != nil {
			return big.Zero(), fmt.Errorf("market balance of %s: %w", a, err)
		}
		return t.Get(id)
	}
	if escrow, err = read(st.EscrowTable); err != nil {
		return big.Zero(), big.Zero(), err
	}
	if locked, err = read(st.LockedTable); err != nil {
		return big.Zero(), big.Zero(), err
	}
	return escrow, locked, nil
}
