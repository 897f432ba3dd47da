package index

import (
	"context"
	"fmt"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/vm"
)

// Messages is what Executed reads of the chain.
type Messages interface {
	types.Blocks
	TipSetMessages(ctx context.Context, ts *types.TipSet) ([]types.BlockMessages, error)
}

// Executed lists the messages of a tipset that run, in the order of their receipts (spec
// chain.md c.3): block by block, BLS before secp256k1, and none twice.
func Executed(ctx context.Context, chain Messages, ts *types.TipSet) ([]types.ChainMsg, error) {
	blocks, err := chain.TipSetMessages(ctx, ts)
	if err != nil {
		return nil, fmt.Errorf("messages of tipset %s: %w", ts, err)
	}
	env := vm.Env{Blocks: chain, NetworkVersion: types.NetworkVersion}
	if blocks, err = vm.SelectMessages(ctx, env, ts.ParentState(), blocks); err != nil {
		return nil, fmt.Errorf("messages of tipset %s: %w", ts, err)
	}
	var out []types.ChainMsg
	for _, b := range blocks {
		out = append(append(out, b.BlsMessages...), b.SecpkMessages...)
	}
	return out, nil
}
