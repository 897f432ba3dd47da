package mpool

import (
	"context"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/types/sigs"
	"github.com/lodenet/lode/chain/vm"
)

// Add checks a message and keeps it (spec chain.md g.1). local tells that it was pushed on
// this node by someone it trusts: then it is stored, published, and published again until it
// is on chain, and gaps before its nonce are accepted. Ignore tells what a failure means to
// gossip.
func (p *Pool) Add(ctx context.Context, m *types.SignedMessage, local bool) error {
	if local {
		return p.push(ctx, m, admission{pending: maxPending})
	}
	_, err := p.add(ctx, m, false, admission{strict: true, gap: maxNonceGap, pending: maxPending})
	return err
}

// AddUntrusted is Add of a message that was pushed on this node by a stranger: fewer of them,
// and no gaps.
func (p *Pool) AddUntrusted(ctx context.Context, m *types.SignedMessage) error {
	return p.push(ctx, m, admission{strict: true, pending: maxPendingUntrusted})
}

// push adds a message of our own, so that it survives a restart, and publishes it. When it
// cannot be stored it does not stay in the pool either.
func (p *Pool) push(ctx context.Context, m *types.SignedMessage, adm admission) error {
	pays, err := p.add(ctx, m, true, adm)
	if err != nil {
		return err
	}
	err = p.chain.PutMessages(ctx, m)
	if err == nil {
		err = p.remember(ctx, m)
	}
	if err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.drop(m)
		return err
	}
	if !pays {
		p.log.Info("message is kept until the base fee falls", "message", m.Cid(), "fee_cap", m.Message.GasFeeCap)
		return nil
	}
	if err := p.publish(ctx, m); err != nil {
		p.log.Warn("message was not published; it is tried again", "message", m.Cid(), "err", err)
	}
	return nil
}

// add checks and keeps a message, and tells whether its fee cap is high enough to publish it.
func (p *Pool) add(ctx context.Context, m *types.SignedMessage, local bool, adm admission) (pays bool, err error) {
	if err := p.load(ctx); err != nil {
		return false, err
	}
	if err := checkAlone(m); err != nil {
		return false, err
	}
	if _, ok := p.Message(m.Cid()); ok {
		return false, ErrPresent
	}
	if err := sigs.Verify(&m.Signature, m.Message.From, m.Message.Cid().Bytes()); err != nil {
		return false, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	for {
		head := p.head()
		pays, err = p.checkAt(ctx, head, m, local)
		if err != nil {
			return false, err
		}
		acc, err := p.account(ctx, head, m.Message.From)
		if err != nil {
			return false, err
		}
		if done, err := p.insert(head, m, acc, local, adm); done || err != nil {
			return pays, err
		}
		if err := ctx.Err(); err != nil {
			return false, err
		}
	}
}

// insert keeps a message that was checked at head. It is not done when the head has changed.
func (p *Pool) insert(head *types.TipSet, m *types.SignedMessage, acc account, local bool, adm admission) (done bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.cur.Equals(head) {
		return false, nil
	}
	if _, ok := p.byCid[m.Cid()]; ok { // by another goroutine
		return false, ErrPresent
	}
	s := p.senders[m.Message.From]
	if s == nil {
		s = &sender{}
	}
	if err := s.check(&m.Message, acc, adm); err != nil {
		return false, err
	}
	if !local && s.msgs[m.Message.Nonce] == nil {
		if err := p.makeRoom(); err != nil {
			return false, err
		}
	}
	if local {
		p.local[m.Message.From] = struct{}{}
	}
	p.keep(m)
	return true, nil
}

// checkAlone applies the rules that need nothing but the message, cheap ones only.
func checkAlone(m *types.SignedMessage) error {
	if err := m.Message.CheckSyntax(0, types.NetworkVersion); err != nil {
		return fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	if m.Message.Value.Equals(types.TotalFilecoin) {
		return fmt.Errorf("%w: value is all that exists", ErrSyntax)
	}
	raw, err := m.Serialize()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	if len(raw) > types.MaxMessageBytes {
		return fmt.Errorf("%w: %d bytes", ErrTooBig, len(raw))
	}
	switch proto := m.Message.From.Protocol(); {
	case proto == address.BLS && m.Signature.Type == crypto.SigTypeBLS:
	case proto == address.SECP256K1 && m.Signature.Type == crypto.SigTypeSecp256k1:
	default:
		return fmt.Errorf("%w: %s with a signature of type %d", ErrSender, m.Message.From, m.Signature.Type)
	}
	if m.Message.GasFeeCap.LessThan(types.MinimumBaseFee) {
		return fmt.Errorf("%w: %s is below the least base fee %s", ErrFeeCapTooLow, m.Message.GasFeeCap, types.MinimumBaseFee)
	}
	return nil
}

// checkAt applies the rules about a message and the state at a tipset. pays tells whether
// the fee cap is worth publishing; the message of someone else must be.
func (p *Pool) checkAt(ctx context.Context, head *types.TipSet, m *types.SignedMessage, local bool) (pays bool, err error) {
	msg := &m.Message
	acc, err := p.account(ctx, head, msg.From)
	if err != nil {
		return false, err
	}
	switch {
	case !acc.exists:
		return false, fmt.Errorf("%w: %s", ErrNoSender, msg.From)
	case !acc.account:
		return false, fmt.Errorf("%w: %s", ErrNotAccount, msg.From)
	case msg.Nonce < acc.nonce:
		return false, fmt.Errorf("%w: it is %d, the next is %d", ErrNonceTooLow, msg.Nonce, acc.nonce)
	}
	if err := msg.CheckSyntax(vm.MessageGas(m.ChainLength(), types.NetworkVersion), types.NetworkVersion); err != nil {
		return false, fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	least := feeBound(head.BaseFee(), 100)
	pays = !msg.GasFeeCap.LessThan(least)
	if !pays && !local {
		return false, fmt.Errorf("%w: %s is below %s", ErrFeeCapTooLow, msg.GasFeeCap, least)
	}
	return pays, nil
}

// feeBound is a part of the base fee, at least the minimum.
func feeBound(baseFee abi.TokenAmount, divisor int64) abi.TokenAmount {
	return big.Max(types.MinimumBaseFee, big.Div(baseFee, big.NewInt(divisor)))
}
