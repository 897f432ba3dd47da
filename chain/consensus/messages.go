package consensus

import (
	"context"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/store"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/types/sigs"
	"github.com/lodenet/lode/chain/vm"
)

// checkLists makes sure that the messages are there, few enough, and those that the header
// names (rule 14).
func checkLists(ctx context.Context, b *types.FullBlock) error {
	if n := len(b.BlsMessages) + len(b.SecpkMessages); n > types.MaxBlockMessages {
		return broken(ErrBlockLimits, "%d messages, at most %d", n, types.MaxBlockMessages)
	}
	for _, m := range b.BlsMessages {
		if m == nil {
			return broken(ErrMessageLists, "a BLS message is missing")
		}
	}
	for _, m := range b.SecpkMessages {
		if m == nil {
			return broken(ErrMessageLists, "a secp256k1 message is missing")
		}
		// The list holds signed forms, and a BLS message is never stored in one.
		if m.Signature.Type != crypto.SigTypeSecp256k1 {
			return broken(ErrMessageSig, "message %s has type %d in the secp256k1 list", m.Message.Cid(), m.Signature.Type)
		}
	}
	bls, secp := store.MessageLists(b)
	return checkMeta(ctx, b.Header, bls, secp)
}

// checkMeta recomputes what the header says of its messages.
func checkMeta(ctx context.Context, h *types.BlockHeader, bls, secp []cid.Cid) error {
	meta, err := store.PutMsgMeta(ctx, &types.MemBlocks{}, bls, secp)
	if err != nil {
		return err
	}
	if meta != h.Messages {
		return broken(ErrMessageLists, "their lists are %s, not %s", meta, h.Messages)
	}
	return nil
}

// CheckMessages checks the messages of a block on a parent (rule 14 of spec chain.md e.10):
// limits, syntax, senders, nonces in order, signatures and the aggregate. A miner uses it on
// what it selected; the header's other fields do not matter.
func (e *Engine) CheckMessages(ctx context.Context, parent *types.TipSet, b *types.FullBlock) error {
	root, _, err := e.State(ctx, parent)
	if err != nil {
		return err
	}
	c := messageCheck{view: view.At(e.chain, root), nonces: map[address.Address]uint64{}}
	keys := make([][]byte, 0, len(b.BlsMessages))
	msgs := make([][]byte, 0, len(b.BlsMessages))
	for _, m := range b.BlsMessages {
		key, err := c.next(ctx, m)
		if err != nil {
			return err
		}
		if key.Protocol() != address.BLS {
			return broken(ErrAggregate, "sender %s has no BLS key", m.From)
		}
		keys, msgs = append(keys, key.Payload()), append(msgs, m.Cid().Bytes())
	}
	for _, m := range b.SecpkMessages {
		key, err := c.next(ctx, m)
		if err != nil {
			return err
		}
		if m.Signature.Type != crypto.SigTypeSecp256k1 {
			return broken(ErrMessageSig, "message %s has type %d in the secp256k1 list", m.Message.Cid(), m.Signature.Type)
		}
		if err := sigs.Verify(&m.Signature, key, m.Message.Cid().Bytes()); err != nil {
			return fmt.Errorf("%w: message %s: %w", ErrMessageSig, m.Cid(), err)
		}
	}
	if b.Header.BLSAggregate == nil {
		return broken(ErrIncomplete, "BLS aggregate")
	}
	if b.Header.BLSAggregate.Type != crypto.SigTypeBLS {
		return broken(ErrAggregate, "signature type %d", b.Header.BLSAggregate.Type)
	}
	if len(msgs) == 0 {
		return nil // an empty set is covered by anything (spec chain.md c.4)
	}
	if err := sigs.VerifyAggregate(b.Header.BLSAggregate.Data, keys, msgs); err != nil {
		return fmt.Errorf("%w: %w", ErrAggregate, err)
	}
	return nil
}

// messageCheck walks over the messages of one block in order.
type messageCheck struct {
	view   *view.View
	nonces map[address.Address]uint64 // next of each sender, by ID address
	gas    int64
}

// next checks one message and returns its sender's key address.
func (c *messageCheck) next(ctx context.Context, cm types.ChainMsg) (address.Address, error) {
	if err := ctx.Err(); err != nil {
		return address.Undef, err
	}
	m := cm.VMMessage()
	if err := m.CheckSyntax(vm.MessageGas(cm.ChainLength(), types.NetworkVersion), types.NetworkVersion); err != nil {
		return address.Undef, fmt.Errorf("%w: %s: %w", ErrMessage, m.Cid(), err)
	}
	if c.gas += m.GasLimit; c.gas > types.BlockGasLimit {
		return address.Undef, broken(ErrBlockLimits, "gas limits sum up to more than %d", types.BlockGasLimit)
	}
	id, err := c.view.LookupID(ctx, m.From)
	if err != nil {
		return address.Undef, lookup(ErrSender, err)
	}
	want, known := c.nonces[id]
	if !known {
		act, err := c.view.Actor(ctx, id)
		if err != nil {
			return address.Undef, lookup(ErrSender, err)
		}
		if act.Code != builtin.AccountActorCodeID {
			return address.Undef, broken(ErrSender, "%s is a %s", m.From, builtin.ActorNameByCode(act.Code))
		}
		want = act.Nonce
	}
	if m.Nonce != want {
		return address.Undef, broken(ErrNonce, "%s has %d, want %d of %s", m.Cid(), m.Nonce, want, m.From)
	}
	c.nonces[id] = want + 1
	key, err := c.view.KeyAddress(ctx, m.From)
	if err != nil {
		return address.Undef, lookup(ErrSender, err)
	}
	return key, nil
}
