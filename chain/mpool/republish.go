package mpool

import (
	"context"
	"slices"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
)

const (
	republishMost  = 30
	republishPause = 100 * time.Millisecond
)

func (p *Pool) republishLoop(ctx context.Context) error {
	for wait := p.opt.RepublishFirst; ; wait = p.opt.RepublishEvery {
		if err := clock.Sleep(ctx, p.clk, wait); err != nil {
			return err
		}
		msgs, err := p.toRepublish(ctx)
		if err != nil {
			return err
		}
		for _, m := range msgs {
			if err := p.publish(ctx, m); err != nil {
				p.log.Warn("message was not published; it is tried again", "message", m.Cid(), "err", err)
			}
			if err := clock.Sleep(ctx, p.clk, republishPause); err != nil {
				return err
			}
		}
	}
}

// toRepublish picks those of our own messages that a block would take soon (spec chain.md
// g.2), the most rewarding chains first.
func (p *Pool) toRepublish(ctx context.Context) ([]*types.SignedMessage, error) {
	p.mu.Lock()
	var senders []address.Address
	for a := range p.local {
		senders = append(senders, a)
	}
	p.mu.Unlock()
	head := p.head()
	least := feeBound(head.BaseFee(), 10)
	var all []*chain
	for _, a := range senders {
		acc, err := p.account(ctx, head, a)
		if err != nil {
			return nil, err
		}
		for _, c := range chains(p.runOf(a, acc.nonce), head.BaseFee()) {
			cheap := slices.ContainsFunc(c.msgs, func(m *types.SignedMessage) bool { return m.Message.GasFeeCap.LessThan(least) })
			if cheap {
				break // the sender's later ones wait for it as well
			}
			all = append(all, c)
		}
	}
	slices.SortFunc(all, better)
	var out []*types.SignedMessage
	for _, c := range all {
		out = append(out, c.msgs...)
	}
	return out[:min(len(out), republishMost)], nil
}

// runOf lists a sender's messages from a nonce on without a gap.
func (p *Pool) runOf(a address.Address, nonce uint64) []*types.SignedMessage {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.senders[a]
	if s == nil {
		return nil
	}
	return s.run(nonce)
}
