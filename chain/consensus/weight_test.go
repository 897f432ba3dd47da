package consensus

import (
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/lodenet/lode/chain/types"
)

func TestNextBaseFee(t *testing.T) {
	const target = types.BlockGasTarget
	for name, c := range map[string]struct {
		fee    int64
		gas    int64
		blocks int
		want   int64
	}{
		"empty block":           {100_000_000, 0, 1, 87_500_000},
		"full block":            {100_000_000, 2 * target, 1, 112_500_000},
		"over-full is clamped":  {100_000_000, 20 * target, 1, 112_500_000},
		"on target":             {100_000_000, target, 1, 100_000_000},
		"on target, two blocks": {100_000_000, 2 * target, 2, 100_000_000},
		"three quarters":        {100_000_000, target / 2, 1, 93_750_000},
		"never below the floor": {100, 0, 1, 100},
		"lifted to the floor":   {0, 0, 1, 100},
		"floor when full":       {100, 2 * target, 1, 112},
		// −1001/target is rounded to −1, and −1/8 to −1 again.
		"falls are rounded away from zero": {1001, target - 1, 1, 1000},
		"rises are rounded towards zero":   {1001, target + 1, 1, 1001},
		"gas per block is truncated":       {100_000_000, 3*target + 2, 3, 100_000_000},
	} {
		t.Run(name, func(t *testing.T) {
			got := nextBaseFee(big.NewInt(c.fee), c.gas, c.blocks)
			require.Equal(t, big.NewInt(c.want).String(), got.String())
		})
	}
}

func TestBaseFeeMovesByAnEighthAtMost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fee := rapid.Int64Range(100, 1<<50).Draw(t, "fee")
		gas := rapid.Int64Range(0, 1<<45).Draw(t, "gas")
		blocks := rapid.IntRange(1, 15).Draw(t, "blocks")
		next := nextBaseFee(big.NewInt(fee), gas, blocks).Int64()
		if next > fee+fee/8 || next < max(100, fee-fee/8-2) {
			t.Fatalf("from %d to %d", fee, next)
		}
		if perBlock := gas / int64(blocks); (perBlock > types.BlockGasTarget && next < fee) || (perBlock < types.BlockGasTarget && next > fee) {
			t.Fatalf("%d gas a block moved the fee from %d to %d", perBlock, fee, next)
		}
	})
}

func TestWeightTable(t *testing.T) {
	for name, c := range map[string]struct {
		parent, power, wins, want int64
	}{
		"log2 of one byte is zero": {77, 1, 3, 77},
		// log2 = 11: 11·256 + 11·256·1/10
		"a 2 KiB sector, one win":   {0, 2048, 1, 2816 + 281},
		"a 2 KiB sector, five wins": {0, 2048, 5, 2816 + 1408},
		"just below the next power": {0, 4095, 1, 2816 + 281},
		"the next power":            {0, 4096, 1, 3072 + 307},
		"on top of a parent":        {1_000_000, 4096, 1, 1_000_000 + 3072 + 307},
		"no wins (genesis)":         {0, 1 << 50, 0, 50 * 256},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, weight(big.NewInt(c.parent), big.NewInt(c.power), c.wins).Int64())
		})
	}
}

func TestWinningProofTypes(t *testing.T) {
	for window := range 5 {
		got, err := winningProof(5 + abi.RegisteredPoStProof(window))
		require.NoError(t, err)
		require.Equal(t, abi.RegisteredPoStProof(window), got)
	}
	for _, bad := range []abi.RegisteredPoStProof{-1, 0, 4, 10, 1 << 40} {
		_, err := winningProof(bad)
		require.Error(t, err, bad)
	}
}
