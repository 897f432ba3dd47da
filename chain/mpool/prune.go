package mpool

import (
	"slices"
)

// makeRoom keeps the pool within its size before a message of someone else comes in; mu is
// held. Between prunings the pool may grow by half over the mark, then it is full.
func (p *Pool) makeRoom() error {
	if len(p.byCid) < p.opt.SizeHigh {
		return nil
	}
	if now := p.clk.Now(); now.Sub(p.pruned) >= p.opt.PruneCooldown {
		p.pruned = now
		p.prune()
	}
	if len(p.byCid) >= p.opt.SizeHigh+p.opt.SizeHigh/2 {
		return ErrFull
	}
	return nil
}

// prune drops the worst chains of others until the pool is small enough (spec chain.md g.2);
// mu is held. It knows no balances, which does not matter much here.
func (p *Pool) prune() {
	var all []*chain
	kept := 0
	for a, s := range p.senders {
		if _, own := p.local[a]; own || slices.Contains(p.opt.Priority, a) {
			kept += len(s.msgs)
			continue
		}
		all = append(all, chains(s.sorted(), p.cur.BaseFee())...)
	}
	slices.SortFunc(all, better)
	for _, c := range all {
		if kept += len(c.msgs); kept <= p.opt.SizeLow {
			continue
		}
		for _, m := range c.msgs {
			p.drop(m)
		}
	}
	p.log.Info("message pool was pruned", "left", len(p.byCid))
}
