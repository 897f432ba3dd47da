package mpool

import (
	"context"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/store"
	"github.com/lodenet/lode/chain/types"
	"golang.org/x/sync/errgroup"
)

// Run follows the head and publishes our own messages again, until ctx ends or the chain or
// the database fails.
func (p *Pool) Run(ctx context.Context) error {
	if err := p.load(ctx); err != nil {
		return endOf(ctx, err)
	}
	f, err := p.chain.Follow(ctx, "", store.From(p.head().Key()))
	if err != nil {
		return endOf(ctx, err)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.follow(gctx, f) })
	g.Go(func() error { return p.republishLoop(gctx) })
	return endOf(ctx, g.Wait())
}

// endOf is nil when the context has ended: then whatever failed did so for that.
func endOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (p *Pool) follow(ctx context.Context, f *store.Follower) error {
	for {
		c, err := f.Next(ctx)
		if err != nil {
			return err
		}
		if err := p.change(ctx, c); err != nil {
			return fmt.Errorf("message pool at %s: %w", c.End(), err)
		}
		if err := f.Done(ctx, c); err != nil {
			return err
		}
	}
}

// change makes the pool fit on the end of a change: what it applies leaves, what it reverts
// returns, without checks other than the nonce.
func (p *Pool) change(ctx context.Context, c store.Change) error {
	end, err := p.chain.TipSet(ctx, c.End())
	if err != nil {
		return err
	}
	back, err := p.reverted(ctx, c.Revert)
	if err != nil {
		return err
	}
	touched := make(map[address.Address]struct{})
	for _, m := range back {
		touched[m.Message.From] = struct{}{}
	}
	for _, ts := range c.Apply {
		msgs, err := p.messages(ctx, ts)
		if err != nil {
			return err
		}
		for _, m := range msgs {
			from, err := p.keyAt(ctx, ts, m.VMMessage().From)
			if err != nil {
				return err
			}
			touched[from] = struct{}{}
		}
	}
	p.move(end, back)
	return p.sweep(ctx, end, touched)
}

// keyAt resolves a sender of a tipset's message.
func (p *Pool) keyAt(ctx context.Context, ts *types.TipSet, from address.Address) (address.Address, error) {
	if from.Protocol() != address.ID {
		return from, nil
	}
	return view.At(p.chain, ts.ParentState()).KeyAddress(ctx, from)
}

// reverted collects the messages of tipsets that are no longer on the chain, and those of our
// own that were. A BLS message of others whose signature is forgotten is lost; its sender's
// node has it.
func (p *Pool) reverted(ctx context.Context, tipsets []*types.TipSet) ([]*types.SignedMessage, error) {
	if len(tipsets) == 0 {
		return nil, nil
	}
	back, err := p.unmark(ctx, tipsets[len(tipsets)-1].Height())
	if err != nil {
		return nil, err
	}
	for _, ts := range tipsets {
		msgs, err := p.messages(ctx, ts)
		if err != nil {
			return nil, err
		}
		for _, cm := range msgs {
			switch m := cm.(type) {
			case *types.SignedMessage:
				if m.Message.From.Protocol() != address.ID {
					back = append(back, m)
				}
			case *types.Message:
				if sm, ok := p.signed(m); ok {
					back = append(back, sm)
				}
			}
		}
	}
	return back, nil
}

// move changes the head that the pool stands on, and brings messages back.
func (p *Pool) move(end *types.TipSet, back []*types.SignedMessage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cur = end
	p.accounts.Purge()
	p.headNext = nil
	for _, m := range back {
		if s := p.senders[m.Message.From]; s == nil || s.msgs[m.Message.Nonce] == nil {
			p.keep(m)
		}
	}
}

// sweep drops the messages of some senders whose nonces are on the chain of the head.
func (p *Pool) sweep(ctx context.Context, head *types.TipSet, senders map[address.Address]struct{}) error {
	for a := range senders {
		acc, err := p.account(ctx, head, a)
		if err != nil {
			return err
		}
		p.mu.Lock()
		if s := p.senders[a]; s != nil {
			for nonce, m := range s.msgs {
				if nonce < acc.nonce {
					p.drop(m)
				}
			}
		}
		_, own := p.local[a]
		p.mu.Unlock()
		if own {
			if err := p.markMined(ctx, a, acc.nonce, head.Height()); err != nil {
				return err
			}
		}
	}
	return p.forgetFinal(ctx, head.Height())
}
