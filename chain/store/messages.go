package store

import (
	"context"
	"errors"
	"fmt"

	"bytes"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/state/amt"
	"github.com/lodenet/lode/chain/types"
)

// maxReceipts bounds the receipts of one tipset: as many messages as 128 full blocks hold.
const maxReceipts = 128 * types.MaxBlockMessages

// ErrNotMessage: the block is not an encoded message.
var ErrNotMessage = errors.New("not a message")

// PutMessages keeps messages in the form that the chain identifies them by.
func (s *Store) PutMessages(ctx context.Context, msgs ...types.ChainMsg) error {
	bs := make([]blocks.Block, 0, len(msgs))
	for _, m := range msgs {
		b, err := m.ToStorageBlock()
		if err != nil {
			return fmt.Errorf("message of %s, nonce %d: %w", m.VMMessage().From, m.VMMessage().Nonce, err)
		}
		bs = append(bs, b)
	}
	return s.PutMany(ctx, bs)
}

// Message reads a message by its CID on chain: a *types.Message or a *types.SignedMessage.
func (s *Store) Message(ctx context.Context, c cid.Cid) (types.ChainMsg, error) {
	b, err := s.Get(ctx, c)
	if err != nil {
		return nil, err
	}
	raw := b.RawData()
	switch {
	case len(raw) > 0 && raw[0] == 0x80+10: // an array of ten fields
		m, err := types.DecodeMessage(raw)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrNotMessage, c, err)
		}
		return m, nil
	case len(raw) > 0 && raw[0] == 0x80+2:
		m, err := types.DecodeSignedMessage(raw)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrNotMessage, c, err)
		}
		return m, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrNotMessage, c)
}

// PutMsgMeta writes the message lists of a block and returns what its header names. The
// messages are given by their CIDs on chain, in order.
func PutMsgMeta(ctx context.Context, bs types.Blocks, bls, secp []cid.Cid) (cid.Cid, error) {
	b, err := amt.BuildCids(ctx, bs, bls)
	if err != nil {
		return cid.Undef, fmt.Errorf("list of BLS messages: %w", err)
	}
	s, err := amt.BuildCids(ctx, bs, secp)
	if err != nil {
		return cid.Undef, fmt.Errorf("list of secp256k1 messages: %w", err)
	}
	blk, err := (&types.MsgMeta{BlsMessages: b, SecpkMessages: s}).ToStorageBlock()
	if err != nil {
		return cid.Undef, err
	}
	return blk.Cid(), bs.Put(ctx, blk)
}

// PutReceipts writes the receipts of a tipset and returns the root.
func PutReceipts(ctx context.Context, bs types.Blocks, rs []types.MessageReceipt) (cid.Cid, error) {
	return amt.BuildReceipts(ctx, bs, rs)
}

// Receipts reads the receipts of a tipset's messages, in the order of execution.
func (s *Store) Receipts(ctx context.Context, root cid.Cid) ([]types.MessageReceipt, error) {
	return amt.Receipts(ctx, s, root, maxReceipts)
}

// MessageCids lists the messages of a block, at most a block's worth of each kind.
func (s *Store) MessageCids(ctx context.Context, h *types.BlockHeader) (bls, secp []cid.Cid, err error) {
	b, err := s.Get(ctx, h.Messages)
	if err != nil {
		return nil, nil, fmt.Errorf("messages of block %s: %w", h.Cid(), err)
	}
	var meta types.MsgMeta
	if err := meta.UnmarshalCBOR(bytes.NewReader(b.RawData())); err != nil {
		return nil, nil, fmt.Errorf("messages of block %s: %w", h.Cid(), err)
	}
	if bls, err = amt.Cids(ctx, s, meta.BlsMessages, types.MaxBlockMessages); err != nil {
		return nil, nil, fmt.Errorf("BLS messages of block %s: %w", h.Cid(), err)
	}
	if secp, err = amt.Cids(ctx, s, meta.SecpkMessages, types.MaxBlockMessages); err != nil {
		return nil, nil, fmt.Errorf("secp256k1 messages of block %s: %w", h.Cid(), err)
	}
	return bls, secp, nil
}

// BlockMessages loads the messages of a block in order; ipld.ErrNotFound when one is not
// here.
func (s *Store) BlockMessages(ctx context.Context, h *types.BlockHeader) ([]*types.Message, []*types.SignedMessage, error) {
	blsCids, secpCids, err := s.MessageCids(ctx, h)
	if err != nil {
		return nil, nil, err
	}
	bls, err := loadAll[*types.Message](ctx, s, blsCids)
	if err != nil {
		return nil, nil, fmt.Errorf("block %s: %w", h.Cid(), err)
	}
	secp, err := loadAll[*types.SignedMessage](ctx, s, secpCids)
	if err != nil {
		return nil, nil, fmt.Errorf("block %s: %w", h.Cid(), err)
	}
	return bls, secp, nil
}

func loadAll[M types.ChainMsg](ctx context.Context, s *Store, cids []cid.Cid) ([]M, error) {
	out := make([]M, 0, len(cids))
	for _, c := range cids {
		m, err := s.Message(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("message %s: %w", c, err)
		}
		one, ok := m.(M)
		if !ok {
			return nil, fmt.Errorf("%w: %s is a %T in the wrong list", ErrNotMessage, c, m)
		}
		out = append(out, one)
	}
	return out, nil
}

// FullBlock loads a block with its messages.
func (s *Store) FullBlock(ctx context.Context, h *types.BlockHeader) (*types.FullBlock, error) {
	bls, secp, err := s.BlockMessages(ctx, h)
	if err != nil {
		return nil, err
	}
	return &types.FullBlock{Header: h, BlsMessages: bls, SecpkMessages: secp}, nil
}

// PutFullBlock keeps a block with its messages and their lists.
func (s *Store) PutFullBlock(ctx context.Context, b *types.FullBlock) error {
	bls, secp := MessageLists(b)
	meta, err := PutMsgMeta(ctx, s, bls, secp)
	if err != nil {
		return err
	}
	if meta != b.Header.Messages {
		return fmt.Errorf("block %s: messages are not those that the header names", b.Cid())
	}
	msgs := make([]types.ChainMsg, 0, len(bls)+len(secp))
	for _, m := range b.BlsMessages {
		msgs = append(msgs, m)
	}
	for _, m := range b.SecpkMessages {
		msgs = append(msgs, m)
	}
	if err := s.PutMessages(ctx, msgs...); err != nil {
		return err
	}
	return s.PutHeaders(ctx, b.Header)
}

// MessageLists are the CIDs of a block's messages as the header's lists hold them.
func MessageLists(b *types.FullBlock) (bls, secp []cid.Cid) {
	for _, m := range b.BlsMessages {
		bls = append(bls, m.Cid())
	}
	for _, m := range b.SecpkMessages {
		secp = append(secp, m.Cid())
	}
	return bls, secp
}

// TipSetMessages loads the messages of a tipset, block by block in canonical order, in the
// form in which they are executed.
func (s *Store) TipSetMessages(ctx context.Context, ts *types.TipSet) ([]types.BlockMessages, error) {
	out := make([]types.BlockMessages, 0, len(ts.Blocks()))
	for _, b := range ts.Blocks() {
		bls, secp, err := s.BlockMessages(ctx, b)
		if err != nil {
			return nil, err
		}
		bm := types.BlockMessages{Miner: b.Miner}
		if b.ElectionProof != nil {
			bm.WinCount = b.ElectionProof.WinCount
		}
		for _, m := range bls {
			bm.BlsMessages = append(bm.BlsMessages, m)
		}
		for _, m := range secp {
			bm.SecpkMessages = append(bm.SecpkMessages, m)
		}
		out = append(out, bm)
	}
	return out, nil
}
