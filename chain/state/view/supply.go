package view

import (
	"context"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/multisig"

	"github.com/lodenet/lode/chain/types"
)

// remainder holds what the genesis gave to nobody.
var remainder = mustID(90)

func mustID(id uint64) address.Address {
	a, err := address.NewIDAddress(id)
	if err != nil {
		panic(err)
	}
	return a
}

// Spendable is the sum of what all actors could spend at an epoch, in attoFIL: balances less
// what is locked in deals, pledges and vesting, and without those of the system, of the
// burnt funds and of the genesis remainder. It reads every actor.
func (v *View) Spendable(ctx context.Context, epoch abi.ChainEpoch) (abi.TokenAmount, error) {
	sum := big.Zero()
	err := v.ForEachActor(ctx, func(a address.Address, act *types.Actor) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		free, err := v.free(ctx, a, act, epoch)
		if err != nil {
			return fmt.Errorf("balance of %s: %w", a, err)
		}
		sum = big.Add(sum, free)
		return nil
	})
	return sum, err
}

func (v *View) free(ctx context.Context, a address.Address, act *types.Actor, epoch abi.ChainEpoch) (abi.TokenAmount, error) {
	none := big.Zero()
	if act.Balance.IsZero() || a == builtin.BurntFundsActorAddr || a == remainder {
		return none, nil
	}
	store := v.Store(ctx)
	switch act.Code {
	case builtin.AccountActorCodeID, builtin.PaymentChannelActorCodeID:
		return act.Balance, nil
	case builtin.StorageMarketActorCodeID:
		var st market.State
		if err := store.Get(ctx, act.Head, &st); err != nil {
			return none, err
		}
		locked := big.Sum(st.TotalClientLockedCollateral, st.TotalProviderLockedCollateral, st.TotalClientStorageFee)
		return big.Max(none, big.Sub(act.Balance, locked)), nil
	case builtin.StorageMinerActorCodeID:
		var st miner.State
		if err := store.Get(ctx, act.Head, &st); err != nil {
			return none, err
		}
		locked := big.Sum(st.LockedFunds, st.PreCommitDeposits, st.InitialPledge, st.FeeDebt)
		return big.Max(none, big.Sub(act.Balance, locked)), nil // a miner in debt has none
	case builtin.MultisigActorCodeID:
		var st multisig.State
		if err := store.Get(ctx, act.Head, &st); err != nil {
			return none, err
		}
		return big.Max(none, big.Sub(act.Balance, st.AmountLocked(epoch-st.StartEpoch))), nil
	}
	return none, nil
}
