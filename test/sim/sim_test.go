package sim_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
)

// length is how many epochs a simulation lasts: the third number when LODE_LONG is set.
func length(t *testing.T, short, long abi.ChainEpoch) abi.ChainEpoch {
	t.Helper()
	if s := os.Getenv("LODE_SIM_EPOCHS"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			t.Fatalf("LODE_SIM_EPOCHS: %v", err)
		}
		return abi.ChainEpoch(n)
	}
	if os.Getenv("LODE_LONG") != "" {
		return long
	}
	return short
}

// Three nodes, two of which mine; nothing is done to them but messages.
func TestQuiet(t *testing.T) {
	simulate(t, schedule{nodes: 3, miners: 2, sectors: 2, epochs: length(t, 20, 100), calm: 8, sends: 0.3}, seed(t, 1))
}

// Five nodes, three of which mine, through restarts, kills, partitions and slow lines, with
// transfers from all of them and new sectors on the miners. At the end there is one head, no
// money was made or lost, every transfer is on chain once, and every miner that could has
// proven its sectors.
func TestRough(t *testing.T) {
	s := schedule{
		nodes: 5, miners: 3, epochs: length(t, 300, 2000), calm: 40,
		// Two sectors a window: enough that the first miner has windows from the start on.
		sectors: 30, provesAtLeast: 1,
		sends: 0.2, stops: 1. / 50, splits: 1. / 30, slows: 1. / 40, pledges: 4,
		longestStop: 15, longestSplit: 15, mostDown: 2,
	}
	otherwise := uint64(1)
	if os.Getenv("LODE_LONG") != "" {
		otherwise = rand.Uint64()
	}
	simulate(t, s, seed(t, otherwise))
}
