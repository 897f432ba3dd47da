package node

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/test/livechain"
)

// onFirstRead is a context that calls a function when the store first looks at it: once a
// question has its head, and before it has read all of it.
type onFirstRead struct {
	context.Context
	done atomic.Bool
	do   func()
}

// Err implements context.Context.
func (c *onFirstRead) Err() error {
	if !c.done.Swap(true) {
		c.do()
	}
	return c.Context.Err()
}

// A question about the head is answered from one head, also when it moves meanwhile.
func TestAnswersAreOfOneHead(t *testing.T) {
	const sectors = 12 // of several deadlines
	for name, ask := range map[string]func(ctx context.Context, a stateAPI, miner address.Address, tsk types.TipSetKey) (any, error){
		"collateral": func(ctx context.Context, a stateAPI, _ address.Address, tsk types.TipSetKey) (any, error) {
			return a.StateDealProviderCollateralBounds(ctx, 2<<10, false, tsk)
		},
		"sectors": func(ctx context.Context, a stateAPI, miner address.Address, tsk types.TipSetKey) (any, error) {
			return a.StateMinerSectorCount(ctx, miner, tsk)
		},
		"faults": func(ctx context.Context, a stateAPI, miner address.Address, tsk types.TipSetKey) (any, error) {
			set, err := a.StateMinerFaults(ctx, miner, tsk)
			if err != nil {
				return nil, err
			}
			return set.All(1 << 20)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := livechain.New(t, sectors)
			n := &Node{store: c.Store, engine: c.Engine, network: c.Network}
			atGenesis, err := c.Network.Circulating()
			require.NoError(t, err)
			n.chain = chainReader{c.Store, c.Engine, atGenesis}
			a, miner := stateAPI{n}, c.Miners[0].Address
			before := c.Store.Head()
			want, err := ask(t.Context(), a, miner, before.Key())
			require.NoError(t, err)
			moved := &onFirstRead{Context: t.Context(), do: func() {
				// Nobody proves the sectors: they become faulty, deadline by deadline, which costs
				// money too.
				for head := before; faulty(t, a, miner) < sectors/2; head = c.Store.Head() {
					c.Add(t, c.Block(t, c.Miners[0], head, head.Height()+40))
				}
			}}
			got, err := ask(moved, a, miner, types.TipSetKey{})
			require.NoError(t, err)
			require.NotEqual(t, before.Key(), c.Store.Head().Key(), "the head did not move")
			require.Equal(t, want, got)
		})
	}
}

// faulty is how many sectors of a miner are so now.
func faulty(t *testing.T, a stateAPI, miner address.Address) uint64 {
	t.Helper()
	count, err := a.StateMinerSectorCount(t.Context(), miner, types.TipSetKey{})
	require.NoError(t, err)
	return count.Faulty
}
