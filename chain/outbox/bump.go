package outbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/lodenet/lode/chain/mpool"
	"github.com/lodenet/lode/chain/types"
)

// bumpRatio is the premium of a raised message in percent of the one before (spec chain.md
// g.1).
const bumpRatio = 125

// errCeiling: the fee cannot be raised any more.
var errCeiling = errors.New("gas fee is at its ceiling; raise it with a replacement, or wait for the base fee to fall")

// bump puts a message with a higher fee in the place of one that is next in line and is not
// taken. It has the same nonce, so only one of them can be on chain.
func (o *Outbox) bump(ctx context.Context, r *row, head *types.TipSet) error {
	old := &r.last().Message
	fresh := *old
	fresh.GasFeeCap, fresh.GasPremium = big.Zero(), big.Zero()
	est, err := o.pool.EstimateGas(ctx, &fresh, r.intent.ceiling())
	if err != nil {
		return err
	}
	m, err := raise(old, est, r.intent.ceiling())
	if err != nil {
		return err
	}
	sm, err := o.sign(ctx, m)
	if err != nil {
		return err
	}
	if err := o.addForm(ctx, r, sm, head.Height()); err != nil {
		return err
	}
	o.log.Info("message is stuck: its fee is raised", "intent", r.id, "key", r.intent.Key, "message", sm.Cid(), "premium", m.GasPremium, "fee_cap", m.GasFeeCap)
	if err := o.pool.Add(ctx, sm, true); err != nil && !errors.Is(err, mpool.ErrPresent) {
		return err
	}
	return o.set(ctx, r, StageSent, nil, "")
}

// raise is the old message with a premium that replaces it, going by an estimate of what is
// paid now, and within the ceiling (zero: the pool's default).
func raise(old, est *types.Message, ceiling abi.TokenAmount) (*types.Message, error) {
	if ceiling.Sign() == 0 {
		ceiling = mpool.DefaultMaxFee
	}
	most := big.Div(ceiling, big.NewInt(max(1, old.GasLimit)))
	least := mpool.ReplacementPremium(old.GasPremium)
	premium := big.Max(big.Max(est.GasPremium, least), big.Div(big.Mul(old.GasPremium, big.NewInt(bumpRatio)), big.NewInt(100)))
	feeCap := big.Max(big.Max(est.GasFeeCap, old.GasFeeCap), premium)
	feeCap = big.Min(feeCap, most)
	premium = big.Min(premium, feeCap)
	if premium.LessThan(least) {
		return nil, fmt.Errorf("%w: %s attoFIL", errCeiling, ceiling)
	}
	m := *old
	m.GasFeeCap, m.GasPremium = feeCap, premium
	return &m, nil
}
