package mpool

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/vm"
)

// maxListed is how many messages of one kind a block announcement can list (spec chain.md
// c.4).
const maxListed = 8192

// Select picks messages for a block on top of ts (spec chain.md g.3): the block is valid with
// them in this order, BLS before secp256k1 or not. What earns most comes first. quality, of
// the miner's ticket, is from 0 to 1; any choice is valid, so it is not used: several blocks
// of an epoch then mostly hold the same messages, which costs the miner's tips, not validity.
func (p *Pool) Select(ctx context.Context, ts *types.TipSet, quality float64) ([]*types.SignedMessage, error) {
	if err := p.load(ctx); err != nil {
		return nil, err
	}
	if !(quality >= 0 && quality <= 1) {
		return nil, fmt.Errorf("ticket quality %v is not from 0 to 1", quality)
	}
	fee, err := p.engine.BaseFee(ctx, ts)
	if err != nil {
		return nil, err
	}
	state, err := p.engine.View(ctx, ts)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	lists := make(map[address.Address][]*types.SignedMessage, len(p.senders))
	for a, s := range p.senders {
		lists[a] = s.sorted()
	}
	p.mu.Unlock()
	var all []*chain
	for a, msgs := range lists {
		act, err := state.Actor(ctx, a)
		if errors.Is(err, view.ErrNotFound) || err == nil && act.Code != builtin.AccountActorCodeID {
			continue
		}
		if err != nil {
			return nil, err
		}
		priority := slices.Contains(p.opt.Priority, a)
		for _, c := range chains(payable(msgs, act.Nonce, act.Balance), fee) {
			c.priority = priority
			all = append(all, c)
		}
	}
	return pick(all), nil
}

// payable is the part of a sender's messages, in nonce order, that a block could hold.
func payable(msgs []*types.SignedMessage, nonce uint64, balance abi.TokenAmount) []*types.SignedMessage {
	var out []*types.SignedMessage
	var gas int64
	for _, m := range msgs {
		msg := &m.Message
		if msg.Nonce < nonce {
			continue // on this chain already
		}
		if msg.Nonce > nonce || msg.GasLimit < vm.MessageGas(m.ChainLength(), types.NetworkVersion) {
			break
		}
		if gas += msg.GasLimit; gas > types.BlockGasLimit {
			break
		}
		need := msg.RequiredFunds()
		if balance.LessThan(need) {
			break
		}
		balance = big.Sub(big.Sub(balance, need), msg.Value)
		out = append(out, m)
		nonce++
	}
	return out
}

// queue has the best chain on top.
type queue []*chain

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return better(q[i], q[j]) < 0 }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(*chain)) }
func (q *queue) Pop() any {
	old := *q
	c := old[len(old)-1]
	*q = old[:len(old)-1]
	return c
}

// pick takes the best chains while they fit. One that does not fit loses messages at its end
// and is looked at again; what comes after it of the same sender is then out.
func pick(all []*chain) []*types.SignedMessage {
	q := queue(all)
	heap.Init(&q)
	var out []*types.SignedMessage
	var room = space{gas: types.BlockGasLimit, all: types.MaxBlockMessages, bls: maxListed, secp: maxListed}
	ended := make(map[address.Address]int) // the place of a sender's last chain that may be taken
	for q.Len() > 0 {
		c := heap.Pop(&q).(*chain)
		if last, ok := ended[c.from]; ok && c.place > last {
			continue
		}
		switch {
		case len(c.msgs) == 0:
		case c.perf.Sign() < 0:
			ended[c.from] = c.place - 1 // it earns nothing, and what comes after earns less
		case room.take(c):
			out = append(out, c.msgs...)
		default:
			ended[c.from] = c.place
			c.trim()
			heap.Push(&q, c)
		}
	}
	return out
}

// space is what is left of a block.
type space struct {
	gas            int64
	all, bls, secp int
}

// take makes room for a chain, if there is any.
func (s *space) take(c *chain) bool {
	kind := &s.secp
	if c.msgs[0].Signature.Type == crypto.SigTypeBLS {
		kind = &s.bls
	}
	n := len(c.msgs)
	if c.gas > s.gas || n > s.all || n > *kind {
		return false
	}
	s.gas -= c.gas
	s.all -= n
	*kind -= n
	return true
}
