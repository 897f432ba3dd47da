package mpool

import (
	"context"
	"errors"
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
	return p.add(ctx, m, admission{strict: true, gap: maxNonceGap, pending: maxPending})
}

// AddUntrusted is Add of a message that was pushed on this node by a stranger: fewer of them,
// and no gaps.
func (p *Pool) AddUntrusted(ctx context.Context, m *types.SignedMessage) error {
	return p.push(ctx, m, admission{strict: true, pending: maxPendingUntrusted})
}

// push adds a message of our own and publishes it. It is stored before anyone can see it: an
// error means that it was not published and will not be.
func (p *Pool) push(ctx context.Context, m *types.SignedMessage, adm admission) error {
	if err := p.checkNew(ctx, m); err != nil {
		return err
	}
	var pays bool
	err := p.atHead(ctx, m, true, func(head *types.TipSet, acc account, ok bool) (bool, error) {
		pays = ok
		return p.fits(head, m, acc, true, adm, false)
	})
	if err != nil {
		return err
	}
	if err := p.chain.PutMessages(ctx, m); err != nil {
		return err
	}
	// From here to the end it happens or it does not, whatever becomes of the caller.
	stored := context.WithoutCancel(ctx)
	err = p.remember(stored, m)
	if err == nil {
		err = p.atHead(stored, m, true, func(head *types.TipSet, acc account, _ bool) (bool, error) {
			return p.fits(head, m, acc, true, adm, true)
		})
	}
	if err != nil {
		return errors.Join(err, p.putBack(stored, m))
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

// putBack undoes remember.
func (p *Pool) putBack(ctx context.Context, m *types.SignedMessage) error {
	p.mu.Lock()
	var old *types.SignedMessage
	if s := p.senders[m.Message.From]; s != nil {
		old = s.msgs[m.Message.Nonce]
	}
	p.mu.Unlock()
	if old != nil {
		return p.remember(ctx, old)
	}
	return p.forget(ctx, m)
}

// add checks and keeps a message of someone else.
func (p *Pool) add(ctx context.Context, m *types.SignedMessage, adm admission) error {
	if err := p.checkNew(ctx, m); err != nil {
		return err
	}
	return p.atHead(ctx, m, false, func(head *types.TipSet, acc account, _ bool) (bool, error) {
		return p.fits(head, m, acc, false, adm, true)
	})
}

// checkNew applies the rules that do not depend on the head.
func (p *Pool) checkNew(ctx context.Context, m *types.SignedMessage) error {
	if err := p.load(ctx); err != nil {
		return err
	}
	if err := checkAlone(m); err != nil {
		return err
	}
	if _, ok := p.Message(m.Cid()); ok {
		return ErrPresent
	}
	if err := sigs.Verify(&m.Signature, m.Message.From, m.Message.Cid().Bytes()); err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return nil
}

// atHead applies the rules about the state at the head, and then those of do about the pool,
// again and again until the head has not changed in between. pays tells whether the fee cap is
// high enough to publish the message.
func (p *Pool) atHead(ctx context.Context, m *types.SignedMessage, local bool, do func(head *types.TipSet, acc account, pays bool) (done bool, err error)) error {
	for {
		head := p.head()
		pays, err := p.checkAt(ctx, head, m, local)
		if err != nil {
			return err
		}
		acc, err := p.account(ctx, head, m.Message.From)
		if err != nil {
			return err
		}
		if done, err := do(head, acc, pays); done || err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// fits applies the rules about a message that was checked at head and the others that are
// pending, and keeps it if asked to. It is not done when the head has changed.
func (p *Pool) fits(head *types.TipSet, m *types.SignedMessage, acc account, local bool, adm admission, keep bool) (done bool, err error) {
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
	if keep {
		if local {
			p.local[m.Message.From] = struct{}{}
		}
		p.keep(m)
	}
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
