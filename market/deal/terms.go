package deal

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/lodenet/lode/chain/state/view"
)

// ReadTerms reads what a proposal is to be measured against.
func ReadTerms(ctx context.Context, chain Chain, miner address.Address, ask Ask, p *market.DealProposal) (Terms, error) {
	t := Terms{Ask: ask, ClientEscrow: big.Zero(), ClientLocked: big.Zero(), ClientDataCap: big.Zero()}
	t.DefaultBounds()
	var err error
	wrap := func(err error) (Terms, error) { return Terms{}, fmt.Errorf("read the chain: %w", err) }
	if t.Height, err = chain.Height(ctx); err != nil {
		return wrap(err)
	}
	if t.Miner, err = chain.LookupID(ctx, miner); err != nil {
		return wrap(err)
	}
	if p.Provider != address.Undef {
		id, err := chain.LookupID(ctx, p.Provider)
		if err != nil && !errors.Is(err, view.ErrNotFound) {
			return wrap(err)
		}
		t.SameProvider = err == nil && id == t.Miner
	}
	if p.PieceSize.Validate() == nil {
		if t.LeastCollat, _, err = chain.CollateralBounds(ctx, p.PieceSize, p.VerifiedDeal); err != nil {
			return wrap(err)
		}
	}
	if p.Client == address.Undef {
		return t, nil
	}
	t.ClientKey, err = chain.KeyAddress(ctx, p.Client)
	if errors.Is(err, view.ErrNotFound) {
		t.ClientKey = address.Undef
		return t, nil
	}
	if err != nil {
		return wrap(err)
	}
	if t.ClientEscrow, t.ClientLocked, err = chain.MarketBalance(ctx, p.Client); err != nil {
		return wrap(err)
	}
	if p.VerifiedDeal {
		if t.ClientDataCap, err = chain.DataCap(ctx, p.Client); err != nil {
			return wrap(err)
		}
	}
	return t, nil
}
