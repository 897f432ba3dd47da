package vm

import (
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/network"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The table of spec chain.md d.3, as totals.
func TestPrices(t *testing.T) {
	v0, calico := pricesFor(network.Version6), pricesFor(network.Version7)
	require.Equal(t, calico.ipldGet, pricesFor(network.Version16).ipldGet)
	require.Equal(t, v0.ipldGet, pricesFor(network.Version0).ipldGet)
	sig := func(p prices, s crypto.SigType) int64 {
		c, ok := p.signature(s)
		require.True(t, ok)
		return c.total()
	}
	const (
		p512 = abi.RegisteredPoStProof_StackedDrgWindow512MiBV1
		p32  = abi.RegisteredPoStProof_StackedDrgWindow32GiBV1
		p64  = abi.RegisteredPoStProof_StackedDrgWindow64GiBV1
		p2k  = abi.RegisteredPoStProof_StackedDrgWindow2KiBV1
		s32  = abi.RegisteredSealProof_StackedDrg32GiBV1_1
		s64  = abi.RegisteredSealProof_StackedDrg64GiBV1_1
		s2k  = abi.RegisteredSealProof_StackedDrg2KiBV1_1
	)
	for _, c := range []struct {
		name         string
		price        func(prices) int64
		v0, calicoed int64
	}{
		{"message of 100", func(p prices) int64 { return p.message(100).total() }, 38_863 + 136_000, 38_863 + 136*1300},
		{"return of 10", func(p prices) int64 { return p.returnValue(10).total() }, 10_000, 13_000},
		{"send nothing", func(p prices) int64 { return p.invocation(false, 0).total() }, 29_233, 29_233},
		{"send value", func(p prices) int64 { return p.invocation(true, 0).total() }, 216_405, 216_405},
		{"call", func(p prices) int64 { return p.invocation(false, 2).total() }, 23_856, 23_856},
		{"call with value", func(p prices) int64 { return p.invocation(true, 2).total() }, 51_356, 51_356},
		{"get", func(p prices) int64 { return p.get().total() }, 75_242, 114_617},
		{"put of 100", func(p prices) int64 { return p.put(100).total() }, 184_070, 353_640 + 130_000},
		{"create", func(p prices) int64 { return p.createActor().total() }, 1_184_454, 1_207_254},
		{"delete", func(p prices) int64 { return p.deleteActor().total() }, -76_000, -98_800},
		{"BLS", func(p prices) int64 { return sig(p, crypto.SigTypeBLS) }, 16_598_605, 16_598_605},
		{"secp256k1", func(p prices) int64 { return sig(p, crypto.SigTypeSecp256k1) }, 1_637_292, 1_637_292},
		{"PoSt of 10, 512 MiB", func(p prices) int64 { return p.post(p512, 10).total() }, (123_861_062 + 92_269_810) / 2, 118_118_721},
		{"PoSt of 10, 2 KiB", func(p prices) int64 { return p.post(p2k, 10).total() }, (123_861_062 + 92_269_810) / 2, 118_118_721},
		{"PoSt of 10, 32 GiB", func(p prices) int64 { return p.post(p32, 10).total() }, (748_593_537 + 856_390) / 2, 118_118_721},
		{"PoSt of 10, 64 GiB", func(p prices) int64 { return p.post(p64, 10).total() }, (748_593_537 + 856_390) / 2, 118_118_721},
		{"aggregate of 3", func(p prices) int64 { return p.aggregate(s32, 3).total() }, 0, 3 * 449_900},
		{"aggregate of 4", func(p prices) int64 { return p.aggregate(s2k, 4).total() }, 0, 4*449_900 + 103_994_170},
		{"aggregate of 6", func(p prices) int64 { return p.aggregate(s32, 6).total() }, 0, 6*449_900 + 103_994_170},
		{"aggregate of 7, 64 GiB", func(p prices) int64 { return p.aggregate(s64, 7).total() }, 0, 7*359_272 + 110_803_030},
		{"aggregate of 819", func(p prices) int64 { return p.aggregate(s32, 819).total() }, 0, 819*449_900 + 528_274_980},
		{"replica update", func(p prices) int64 { return p.replicaUpdate }, 0, 36_316_136},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.v0, c.price(v0), "v0")
			require.Equal(t, c.calicoed, c.price(calico), "calico")
		})
	}
	_, ok := calico.signature(crypto.SigTypeDelegated)
	require.False(t, ok)
	require.EqualValues(t, 38_863+136*1300, MessageGas(100, network.Version16))
	require.EqualValues(t, 38_863+136_000, MessageGas(100, network.Version5))
}

// Worked examples of spec chain.md c.6.
func TestCosts(t *testing.T) {
	for _, c := range []struct {
		name                                      string
		used, limit, base, feeCap, premium        int64
		burn, overBurn, penalty, minerTip, refund int64
	}{
		{"exact", 1000, 1000, 100, 200, 10, 100_000, 0, 0, 10_000, 90_000},
		{"within a tenth", 1000, 1100, 100, 100, 0, 100_000, 0, 0, 0, 10_000},
		{"a fifth over", 1000, 1200, 100, 100, 0, 100_000, 200 * 100 / 1000 * 100, 0, 0, 18_000},
		{"far over", 1000, 10_000, 100, 100, 0, 100_000, 900_000, 0, 0, 0},
		{"nothing used", 0, 1000, 100, 100, 0, 0, 100_000, 0, 0, 0},
		{"cap below the base fee", 1000, 1000, 100, 60, 60, 60_000, 0, 40_000, 0, 0},
		{"cap squeezes the tip", 1000, 1000, 100, 105, 50, 100_000, 0, 0, 5_000, 0},
		{"penalty for over-estimation too", 1000, 10_000, 100, 60, 0, 60_000, 540_000, 400_000, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := costs(c.used, c.limit, big.NewInt(c.base), big.NewInt(c.feeCap), big.NewInt(c.premium))
			require.Equal(t, []string{big.NewInt(c.burn).String(), big.NewInt(c.overBurn).String(), big.NewInt(c.penalty).String(), big.NewInt(c.minerTip).String(), big.NewInt(c.refund).String()},
				[]string{g.BaseFeeBurn.String(), g.OverEstimationBurn.String(), g.MinerPenalty.String(), g.MinerTip.String(), g.Refund.String()})
		})
	}
}

// The deposit is divided without rest, and no part of it is negative.
func TestCostsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(1, 10_000_000_000).Draw(t, "limit")
		used := rapid.Int64Range(0, limit).Draw(t, "used")
		feeCap := rapid.Int64Range(0, 1<<60).Draw(t, "feeCap")
		premium := rapid.Int64Range(0, feeCap).Draw(t, "premium")
		base := rapid.Int64Range(0, 1<<60).Draw(t, "base")
		g := costs(used, limit, big.NewInt(base), big.NewInt(feeCap), big.NewInt(premium))
		for _, x := range []abi.TokenAmount{g.BaseFeeBurn, g.OverEstimationBurn, g.MinerPenalty, g.MinerTip, g.Refund} {
			require.GreaterOrEqual(t, x.Sign(), 0)
		}
		deposit := big.Mul(big.NewInt(limit), big.NewInt(feeCap))
		require.True(t, big.Sum(g.BaseFeeBurn, g.OverEstimationBurn, g.MinerTip, g.Refund).Equals(deposit))
	})
}
