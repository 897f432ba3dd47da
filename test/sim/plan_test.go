package sim_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
)

// event is one thing that is done to the world.
type event struct {
	at   time.Duration // since epoch 0
	what what
	node int
	// to is the receiver of a transfer.
	to int
	// serial tells transfers apart; it is part of the amount.
	serial int64
	// islands says which nodes hear each other during a split.
	islands []int
	latency time.Duration
}

type what string

const (
	send   what = "send"
	pledge what = "pledge a sector of"
	stop   what = "stop"
	kill   what = "kill"
	start  what = "start"
	split  what = "split"
	heal   what = "heal"
	slow   what = "slow"
)

// String is a line of the schedule.
func (e event) String() string {
	s := fmt.Sprintf("%8.2fs %s", e.at.Seconds(), e.what)
	switch e.what {
	case send:
		return fmt.Sprintf("%s #%d from %d to %d", s, e.serial, e.node, e.to)
	case split:
		return fmt.Sprintf("%s %v", s, e.islands)
	case slow:
		return fmt.Sprintf("%s node %d by %s", s, e.node, e.latency)
	case heal:
		return s
	}
	return fmt.Sprintf("%s node %d", s, e.node)
}

// schedule says how rough a run is. Chances are per epoch, and per node where a node is
// concerned; spans are in epochs.
type schedule struct {
	nodes, miners int
	sectors       int // that each miner starts with
	epochs        abi.ChainEpoch
	epoch         time.Duration
	// calm is how many epochs before the end everything is up and together again, and
	// nothing new is sent.
	calm abi.ChainEpoch

	sends, stops, splits, slows float64
	pledges                     int // in all, in the first half
	longestStop, longestSplit   int
	mostDown                    int
	// provesAtLeast is how many windows must have been proven, so that the check is one.
	provesAtLeast int
}

// plan draws the events of a run, in order. The same seed gives the same plan.
func (s schedule) plan(seed uint64) []event {
	rng := rand.New(rand.NewPCG(seed, 0x51a))
	var out []event
	within := func(h abi.ChainEpoch) time.Duration {
		return time.Duration(h)*s.epoch + time.Duration(rng.Int64N(int64(s.epoch)))
	}
	upAgain := make([]abi.ChainEpoch, s.nodes) // when each node is up
	var whole abi.ChainEpoch                   // when the network is whole
	var serial int64
	last := s.epochs - s.calm
	for h := abi.ChainEpoch(3); h < last; h++ {
		for i := range s.nodes {
			if rng.Float64() < s.sends {
				serial++
				out = append(out, event{at: within(h), what: send, node: i, to: (i + 1 + rng.IntN(s.nodes-1)) % s.nodes, serial: serial})
			}
			if rng.Float64() < s.slows {
				out = append(out, event{at: within(h), what: slow, node: i, latency: time.Duration(5+rng.IntN(200)) * time.Millisecond})
			}
			down := 0
			for _, up := range upAgain {
				if up > h {
					down++
				}
			}
			if upAgain[i] <= h && h+2 <= last && down < s.mostDown && rng.Float64() < s.stops {
				upAgain[i] = min(h+2+abi.ChainEpoch(rng.IntN(s.longestStop)), last)
				how := stop
				if rng.IntN(2) == 0 {
					how = kill
				}
				out = append(out, event{at: within(h), what: how, node: i}, event{at: within(upAgain[i] - 1), what: start, node: i})
			}
		}
		if whole <= h && h+2 <= last && rng.Float64() < s.splits {
			whole = min(h+2+abi.ChainEpoch(rng.IntN(s.longestSplit)), last)
			islands := make([]int, s.nodes)
			for slices.Max(islands) == slices.Min(islands) {
				for i := range islands {
					islands[i] = rng.IntN(2)
				}
			}
			out = append(out, event{at: within(h), what: split, islands: islands}, event{at: within(whole - 1), what: heal})
		}
	}
	for range s.pledges {
		out = append(out, event{at: within(3 + abi.ChainEpoch(rng.Int64N(int64(last/2)))), what: pledge, node: rng.IntN(s.miners)})
	}
	slices.SortStableFunc(out, func(a, b event) int { return int(a.at - b.at) })
	return out
}
