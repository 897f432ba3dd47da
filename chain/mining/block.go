package mining

import (
	"context"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/proof"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/store"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/types/sigs"
)

// Template is everything that goes into a block but its signature.
type Template struct {
	Miner      address.Address // ID address
	Base       *types.TipSet
	Height     abi.ChainEpoch
	Timestamp  uint64 // unix seconds
	Beacons    []types.BeaconEntry
	Ticket     *types.Ticket
	Election   *types.ElectionProof
	WinPoSt    []proof.PoStProof
	Messages   []*types.SignedMessage // in the order of selection
	State      cid.Cid                // after executing Base
	Receipts   cid.Cid
	BaseWeight big.Int         // of Base
	BaseFee    abi.TokenAmount // for this block
}

// Block builds the unsigned block and stores its message lists in bs.
func Block(ctx context.Context, bs types.Blocks, t Template) (*types.FullBlock, error) {
	b := &types.FullBlock{Header: &types.BlockHeader{
		Miner:                 t.Miner,
		Ticket:                t.Ticket,
		ElectionProof:         t.Election,
		BeaconEntries:         t.Beacons,
		WinPoStProof:          t.WinPoSt,
		Parents:               t.Base.Cids(),
		ParentWeight:          t.BaseWeight,
		Height:                t.Height,
		ParentStateRoot:       t.State,
		ParentMessageReceipts: t.Receipts,
		Timestamp:             t.Timestamp,
		ParentBaseFee:         t.BaseFee,
	}}
	var blsSigs [][]byte
	var blsCids, secpkCids []cid.Cid
	for _, m := range t.Messages {
		switch m.Signature.Type {
		case crypto.SigTypeBLS:
			blsSigs = append(blsSigs, m.Signature.Data)
			b.BlsMessages = append(b.BlsMessages, &m.Message)
			blsCids = append(blsCids, m.Cid())
		case crypto.SigTypeSecp256k1:
			b.SecpkMessages = append(b.SecpkMessages, m)
			secpkCids = append(secpkCids, m.Cid())
		default:
			return nil, fmt.Errorf("message %s: signature of type %d has no place in a block", m.Cid(), m.Signature.Type)
		}
	}
	aggregate, err := sigs.Aggregate(blsSigs)
	if err != nil {
		return nil, fmt.Errorf("aggregate of the block's messages: %w", err)
	}
	b.Header.BLSAggregate = &crypto.Signature{Type: crypto.SigTypeBLS, Data: aggregate}
	b.Header.Messages, err = store.PutMsgMeta(ctx, bs, blsCids, secpkCids)
	if err != nil {
		return nil, fmt.Errorf("message lists of the block: %w", err)
	}
	return b, nil
}
