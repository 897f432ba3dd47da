package consensus

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
)

// ErrNoPower: the whole network has no power in a state, so no chain can go on from it.
var ErrNoPower = errors.New("network has no power")

const (
	expectedLeaders = 5 // an epoch, on average
	// The weight of a win relative to that of power is weightNum/weightDen (spec e.8).
	weightNum, weightDen = 1, 2
)

// Weight is how much of the network's power stands behind a tipset and its ancestors (spec
// chain.md e.8).
func (e *Engine) Weight(ctx context.Context, ts *types.TipSet) (big.Int, error) {
	if w, ok := e.weights.Get(ts.Key()); ok {
		return w, nil
	}
	power, _, err := view.At(e.chain, ts.ParentState()).Power(ctx)
	if err != nil {
		return big.Zero(), fmt.Errorf("weight of %s: %w", ts, err)
	}
	if power.TotalQualityAdjPower.Sign() <= 0 {
		return big.Zero(), fmt.Errorf("weight of %s: %w", ts, ErrNoPower)
	}
	w := weight(ts.ParentWeight(), power.TotalQualityAdjPower, ts.WinCount())
	e.weights.Add(ts.Key(), w)
	return w, nil
}

// weight adds one tipset: power > 0 in bytes, wins > 0.
func weight(parent, power big.Int, wins int64) big.Int {
	log2P := big.NewInt(int64(power.BitLen() - 1))
	byPower := big.Lsh(log2P, 8)
	byWins := big.Mul(big.Lsh(big.Mul(log2P, big.NewInt(weightNum)), 8), big.NewInt(wins))
	byWins = big.Div(byWins, big.NewInt(expectedLeaders*weightDen))
	return big.Sum(parent, byPower, byWins)
}

// BaseFee is what the messages of a tipset's child pay, in attoFIL per gas unit (spec
// chain.md c.5).
func (e *Engine) BaseFee(ctx context.Context, ts *types.TipSet) (abi.TokenAmount, error) {
	if f, ok := e.baseFees.Get(ts.Key()); ok {
		return f, nil
	}
	msgs, err := e.chain.TipSetMessages(ctx, ts)
	if err != nil {
		return big.Zero(), fmt.Errorf("base fee after %s: %w", ts, err)
	}
	var gas int64
	seen := map[cid.Cid]struct{}{}
	for _, b := range msgs {
		for _, list := range [][]types.ChainMsg{b.BlsMessages, b.SecpkMessages} {
			for _, m := range list {
				c := m.Cid()
				if _, twice := seen[c]; twice {
					continue
				}
				seen[c] = struct{}{}
				gas += m.VMMessage().GasLimit
			}
		}
	}
	f := nextBaseFee(ts.BaseFee(), gas, len(ts.Blocks()))
	e.baseFees.Add(ts.Key(), f)
	return f, nil
}

// baseFeeDenominator bounds the change of the base fee from one tipset to the next: 1/8.
const baseFeeDenominator = 8

// nextBaseFee moves the fee by how far the gas limits of the distinct messages, per block,
// are from the target. big.Div rounds towards minus infinity, which is part of the rule.
func nextBaseFee(fee abi.TokenAmount, gas int64, blocks int) abi.TokenAmount {
	delta := gas/int64(blocks) - types.BlockGasTarget
	delta = max(-types.BlockGasTarget, min(delta, types.BlockGasTarget))
	change := big.Mul(fee, big.NewInt(delta))
	change = big.Div(change, big.NewInt(types.BlockGasTarget))
	change = big.Div(change, big.NewInt(baseFeeDenominator))
	return big.Max(big.Add(fee, change), types.MinimumBaseFee)
}
