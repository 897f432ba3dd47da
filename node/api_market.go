package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
)

// collateralMargin is how much of the least collateral is asked for, in percent: power may
// have fallen when the deal is published (spec markets.md A.5).
const collateralMargin = 110

func (a stateAPI) StateMarketBalance(ctx context.Context, addr address.Address, tsk types.TipSetKey) (api.MarketBalance, error) {
	v, _, err := a.before(ctx, addr, tsk)
	if err != nil {
		return api.MarketBalance{}, err
	}
	escrow, locked, err := v.MarketBalance(ctx, addr)
	return api.MarketBalance{Escrow: escrow, Locked: locked}, coded(err)
}

func (a stateAPI) StateMarketStorageDeal(ctx context.Context, id abi.DealID, tsk types.TipSetKey) (*api.MarketDeal, error) {
	v, _, err := a.n.before(ctx, tsk)
	if err != nil {
		return nil, err
	}
	proposal, state, err := v.Deal(ctx, id)
	if errors.Is(err, view.ErrNotFound) {
		// It is no actor that is missing.
		return nil, fmt.Errorf("deal %d not found: it was not published, or has ended", id)
	}
	if err != nil {
		return nil, err
	}
	return marketDeal(proposal, state), nil
}

func (a stateAPI) StateDealProviderCollateralBounds(ctx context.Context, size abi.PaddedPieceSize, verified bool, tsk types.TipSetKey) (api.CollateralBounds, error) {
	if err := size.Validate(); err != nil {
		return api.CollateralBounds{}, badParam("piece of %d bytes: %v", size, err)
	}
	v, ts, err := a.n.before(ctx, tsk)
	if err != nil {
		return api.CollateralBounds{}, err
	}
	power, _, err := v.Power(ctx)
	if err != nil {
		return api.CollateralBounds{}, err
	}
	reward, err := v.Reward(ctx)
	if err != nil {
		return api.CollateralBounds{}, err
	}
	supply, err := a.supply(ctx, ts)
	if err != nil {
		return api.CollateralBounds{}, err
	}
	least, most := market.DealProviderCollateralBounds(size, verified, power.ThisEpochRawBytePower,
		power.ThisEpochQualityAdjPower, reward.ThisEpochBaselinePower, supply.Circulating())
	return api.CollateralBounds{Min: big.Div(big.Mul(least, big.NewInt(collateralMargin)), big.NewInt(100)), Max: most}, nil
}

func (a stateAPI) StateVerifiedClientStatus(ctx context.Context, addr address.Address, tsk types.TipSetKey) (*abi.StoragePower, error) {
	v, _, err := a.before(ctx, addr, tsk)
	if err != nil {
		return nil, err
	}
	left, ok, err := v.DataCap(ctx, addr)
	if err != nil || !ok {
		return nil, err
	}
	return &left, nil
}
