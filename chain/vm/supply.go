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

// Supply is where the money of a network is, in attoFIL.
type Supply struct {
	// AtGenesis is what accounts were given when the network was made.
	AtGenesis abi.TokenAmount
	Mined     abi.TokenAmount // paid for blocks
	Burnt     abi.TokenAmount
	Locked    abi.TokenAmount // in deals and pledges
}

// Circulating is max(0, atGenesis + mined − burnt − locked).
func (s Supply) Circulating() abi.TokenAmount {
	out := big.Sub(big.Add(s.AtGenesis, s.Mined), big.Add(s.Burnt, s.Locked))
	return big.Max(out, big.Zero())
}

// SupplyAt reads the supply at a state of actors v8. An atGenesis without a value counts as 0.
func SupplyAt(ctx context.Context, blocks types.Blocks, root cid.Cid, atGenesis abi.TokenAmount) (Supply, error) {
	fail := func(err error) (Supply, error) { return Supply{}, fmt.Errorf("supply: %w", err) }
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
	out := Supply{AtGenesis: atGenesis, Mined: reward.TotalStoragePowerReward, Burnt: big.Zero()}
	switch a, err := s.Actor(ctx, builtin.BurntFundsActorAddr); {
	case err == nil:
		out.Burnt = a.Balance
	case !errors.Is(err, view.ErrNotFound):
		return fail(err)
	}
	if out.AtGenesis.Int == nil {
		out.AtGenesis = big.Zero()
	}
	out.Locked = big.Sum(market.TotalClientLockedCollateral, market.TotalProviderLockedCollateral,
		market.TotalClientStorageFee, power.TotalPledgeCollateral)
	return out, nil
}

// CirculatingSupply is what circulates at a state of actors v8, in attoFIL. Formulas for
// pledge and collateral depend on it, so it is consensus; which definition it has is a
// private network's own choice (spec chain.md d.12), and Supply.Circulating is lode's.
func CirculatingSupply(ctx context.Context, blocks types.Blocks, root cid.Cid, atGenesis abi.TokenAmount) (abi.TokenAmount, error) {
	s, err := SupplyAt(ctx, blocks, root, atGenesis)
	if err != nil {
		return big.Zero(), err
	}
	return s.Circulating(), nil
}
