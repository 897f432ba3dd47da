package vm

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
)

// CirculatingSupply is max(0, atGenesis + mined − burnt − locked) at a state of actors v8,
// in attoFIL. Formulas for pledge and collateral depend on it, so it is consensus; which
// definition it has is a private network's own choice (spec chain.md d.12), and this is
// lode's. An atGenesis without a value counts as 0.
func CirculatingSupply(ctx context.Context, blocks types.Blocks, root cid.Cid, atGenesis abi.TokenAmount) (abi.TokenAmount, error) {
	fail := func(err error) (abi.TokenAmount, error) {
		return big.Zero(), fmt.Errorf("circulating supply: %w", err)
	}
	s := view.At(blocks, root)
	reward, err := s.Reward(ctx)
	if err != nil {
		return fail(err)
	}
	market, _, err := s.Market(ctx)
	if err != nil {
		return fail(err)
	}
	power, _, err := s.Power(ctx)
	if err != nil {
		return fail(err)
	}
	burnt := big.Zero()
	switch a, err := s.Actor(ctx, builtin.BurntFundsActorAddr); {
	case err == nil:
		burnt = a.Balance
	case !errors.Is(err, view.ErrNotFound):
		return fail(err)
	}
	if atGenesis.Int == nil {
		atGenesis = big.Zero()
	}
	locked := big.Sum(market.TotalClientLockedCollateral, market.TotalProviderLockedCollateral,
		market.TotalClientStorageFee, power.TotalPledgeCollateral)
	out := big.Sub(big.Add(atGenesis, reward.TotalStoragePowerReward), big.Add(burnt, locked))
	return big.Max(out, big.Zero()), nil
}
