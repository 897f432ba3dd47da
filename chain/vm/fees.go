package vm

import (
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
)

// GasCosts says where the gas fees of a message went, in attoFIL (spec chain.md c.6). The
// penalty is the miner's, all else the sender's.
type GasCosts struct {
	BaseFeeBurn, OverEstimationBurn, MinerPenalty, MinerTip, Refund abi.TokenAmount
}

func zeroCosts() GasCosts {
	return GasCosts{big.Zero(), big.Zero(), big.Zero(), big.Zero(), big.Zero()}
}

// costs divides the deposit of limit·feeCap.
func costs(used, limit int64, baseFee, feeCap, premium abi.TokenAmount) GasCosts {
	g := zeroCosts()
	pay := big.Min(baseFee, feeCap)
	g.BaseFeeBurn = big.Mul(pay, big.NewInt(used))

	tip := premium
	if big.Add(pay, premium).GreaterThan(feeCap) {
		tip = big.Sub(feeCap, pay)
	}
	g.MinerTip = big.Mul(tip, big.NewInt(limit))

	burned := big.NewInt(overEstimation(used, limit))
	g.OverEstimationBurn = big.Mul(pay, burned)

	if short := big.Sub(baseFee, pay); short.Sign() > 0 {
		g.MinerPenalty = big.Mul(short, big.Add(big.NewInt(used), burned))
	}
	g.Refund = big.Sub(big.Mul(feeCap, big.NewInt(limit)), big.Sum(g.BaseFeeBurn, g.MinerTip, g.OverEstimationBurn))
	return g
}

// overEstimation is the unused gas that is burned: the more, the further the limit is above
// 1.1 times the use.
func overEstimation(used, limit int64) int64 {
	if used == 0 {
		return limit
	}
	// In big numbers: 11·used may leave 64 bits.
	over := big.Sub(big.NewInt(limit), big.Div(big.Mul(big.NewInt(11), big.NewInt(used)), big.NewInt(10)))
	if over.Sign() < 0 {
		return 0
	}
	over = big.Min(over, big.NewInt(used))
	return big.Div(big.Mul(big.NewInt(limit-used), over), big.NewInt(used)).Int64()
}
