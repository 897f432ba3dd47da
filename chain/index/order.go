package index

import (
	"context"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
)

// Messages is what Executed reads of the chain.
type Messages interface {
	types.Blocks
	TipSetMessages(ctx context.Context, ts *types.TipSet) ([]types.BlockMessages, error)
}

// Executed lists the messages of a tipset that run, in the order of their receipts (spec
// chain.md c.3): block by block, BLS before secp256k1, each sender's in nonce order, and
// none twice.
func Executed(ctx context.Context, chain Messages, ts *types.TipSet) ([]types.ChainMsg, error) {
	blocks, err := chain.TipSetMessages(ctx, ts)
	if err != nil {
		return nil, fmt.Errorf("messages of tipset %s: %w", ts, err)
	}
	var all []types.ChainMsg
	byID := false
	for _, b := range blocks {
		for _, list := range [][]types.ChainMsg{b.BlsMessages, b.SecpkMessages} {
			for _, m := range list {
				all = append(all, m)
				byID = byID || m.VMMessage().From.Protocol() == address.ID
			}
		}
	}
	state := view.At(chain, ts.ParentState())
	expected := make(map[address.Address]uint64)
	out := all[:0]
	for _, m := range all {
		msg := m.VMMessage()
		from := msg.From
		if byID { // only then can one sender have two names
			if from, err = state.LookupID(ctx, from); err != nil {
				return nil, fmt.Errorf("sender of message %s: %w", m.Cid(), err)
			}
		}
		if want, seen := expected[from]; seen && want != msg.Nonce {
			continue
		}
		expected[from] = msg.Nonce + 1
		out = append(out, m)
	}
	return out, nil
}
