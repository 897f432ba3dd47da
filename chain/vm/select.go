package vm

import (
	"context"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/network"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/state"
	"github.com/lodenet/lode/chain/types"
)

// SelectMessages says which messages of a tipset's blocks are applied (spec chain.md c.3):
// each message once, in the block that is first to include it, and the messages of a sender
// in the order of its nonces. The receipts of the tipset belong to the selected messages in
// order: block by block, BLS before secp256k1. parent is the state that the headers name;
// of env only Blocks and NetworkVersion are used.
func SelectMessages(ctx context.Context, env Env, parent cid.Cid, blks []types.BlockMessages) ([]types.BlockMessages, error) {
	s := selection{nonces: make(map[address.Address]uint64)}
	if env.NetworkVersion >= network.Version13 {
		tree, err := state.Load(ctx, env.Blocks, parent)
		if err != nil {
			return nil, err
		}
		s.tree = tree
	}
	out := make([]types.BlockMessages, len(blks))
	for i, b := range blks {
		out[i] = types.BlockMessages{Miner: b.Miner, WinCount: b.WinCount}
		var err error
		if out[i].BlsMessages, err = s.pick(ctx, b.BlsMessages); err != nil {
			return nil, err
		}
		if out[i].SecpkMessages, err = s.pick(ctx, b.SecpkMessages); err != nil {
			return nil, err
		}
	}
	return out, nil
}

type selection struct {
	nonces map[address.Address]uint64 // next of each sender
	tree   *state.Tree                // nil: senders are told apart as they are written
}

func (s *selection) pick(ctx context.Context, list []types.ChainMsg) ([]types.ChainMsg, error) {
	var out []types.ChainMsg
	for _, cm := range list {
		m := cm.VMMessage()
		sender := m.From
		if s.tree != nil {
			id, known, err := s.tree.LookupID(ctx, sender)
			if err != nil {
				return nil, err
			}
			if known {
				sender = id
			}
		}
		// A valid block starts each of its senders at the nonce in the state.
		if want, seen := s.nonces[sender]; seen && want != m.Nonce {
			continue
		}
		s.nonces[sender] = m.Nonce + 1
		out = append(out, cm)
	}
	return out, nil
}
