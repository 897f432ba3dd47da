package mpool

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
)

// account is what the rules of g.1 need to know of a sender at a tipset: the state before
// its messages, with the nonces counted up by them.
type account struct {
	exists  bool
	account bool // it is an account actor
	nonce   uint64
	balance abi.TokenAmount
}

// StateNonce is the first nonce of a sender that no message on the chain up to ts, its own
// messages included, has used; 0 when the sender does not exist.
func (p *Pool) StateNonce(ctx context.Context, a address.Address, ts *types.TipSet) (uint64, error) {
	acc, err := p.account(ctx, ts, a)
	return acc.nonce, err
}

func (p *Pool) account(ctx context.Context, ts *types.TipSet, a address.Address) (account, error) {
	p.mu.Lock()
	acc, ok := p.accounts.Get(a)
	ok = ok && ts.Equals(p.cur)
	p.mu.Unlock()
	if ok {
		return acc, nil
	}
	v := view.At(p.chain, ts.ParentState())
	id, err := v.LookupID(ctx, a)
	if errors.Is(err, view.ErrNotFound) {
		return account{balance: big.Zero()}, nil
	}
	if err != nil {
		return account{}, err
	}
	act, err := v.Actor(ctx, id)
	if errors.Is(err, view.ErrNotFound) {
		return account{balance: big.Zero()}, nil
	}
	if err != nil {
		return account{}, err
	}
	next, err := p.nextAt(ctx, ts)
	if err != nil {
		return account{}, err
	}
	acc = account{
		exists: true, account: act.Code == builtin.AccountActorCodeID,
		nonce: max(act.Nonce, next[a], next[id]), balance: act.Balance,
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if ts.Equals(p.cur) {
		p.accounts.Add(a, acc)
	}
	return acc, nil
}

// nextAt is the nonce after the last message of each sender, as the messages name it, in a
// tipset.
func (p *Pool) nextAt(ctx context.Context, ts *types.TipSet) (map[address.Address]uint64, error) {
	p.mu.Lock()
	next, isHead := p.headNext, ts.Equals(p.cur)
	p.mu.Unlock()
	if isHead && next != nil {
		return next, nil
	}
	msgs, err := p.messages(ctx, ts)
	if err != nil {
		return nil, err
	}
	next = make(map[address.Address]uint64)
	for _, m := range msgs {
		msg := m.VMMessage()
		next[msg.From] = max(next[msg.From], msg.Nonce+1)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if ts.Equals(p.cur) {
		p.headNext = next
	}
	return next, nil
}

// messages lists all messages of a tipset's blocks.
func (p *Pool) messages(ctx context.Context, ts *types.TipSet) ([]types.ChainMsg, error) {
	blocks, err := p.chain.TipSetMessages(ctx, ts)
	if err != nil {
		return nil, fmt.Errorf("messages of tipset %s: %w", ts, err)
	}
	var out []types.ChainMsg
	for _, b := range blocks {
		out = append(append(out, b.BlsMessages...), b.SecpkMessages...)
	}
	return out, nil
}
