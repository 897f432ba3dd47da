package outbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/lodenet/lode/chain/index"
	"github.com/lodenet/lode/chain/mpool"
	"github.com/lodenet/lode/chain/types"
)

// active are the rows that a head change may concern.
const active = `stage IN ('new', 'signed', 'sent', 'included', 'replaced') ORDER BY id`

// Run follows the rows until ctx ends or the database fails.
func (o *Outbox) Run(ctx context.Context) error {
	var at types.TipSetKey
	for {
		head, err := o.chain.HeadChanged(ctx, at)
		if err == nil {
			err = o.pass(ctx, head)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		at = head.Key()
	}
}

// pass makes all rows true on the chain of head. It starts from the rows and the chain alone,
// so it does not matter which heads were seen before, or by which process.
func (o *Outbox) pass(ctx context.Context, head *types.TipSet) error {
	unlock, err := o.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	rows, err := o.many(ctx, active)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if err := o.step(ctx, r, head); err != nil {
			return err
		}
	}
	o.announce(head)
	return nil
}

// step brings one row up to date. What hinders it is noted in the row; an error is the
// database's or the context's.
func (o *Outbox) step(ctx context.Context, r *row, head *types.TipSet) error {
	var err error
	switch r.stage {
	case StageNew:
		err = o.resume(ctx, r, head)
	case StageIncluded, StageReplaced:
		err = o.deepen(ctx, r, head)
	}
	if err == nil && (r.stage == StageSigned || r.stage == StageSent) {
		err = o.advance(ctx, r, head)
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return err
	}
	if r.problem == err.Error() {
		return nil // said before
	}
	o.log.Warn("message does not advance; it is tried again at the next tipset", "intent", r.id, "key", r.intent.Key, "err", err)
	return o.set(ctx, r, r.stage, r.result, err.Error())
}

// resume sends an intent that a crash has left unsigned.
func (o *Outbox) resume(ctx context.Context, r *row, head *types.TipSet) error {
	err := o.dispatch(ctx, r)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if r.stage == StageNew && head.Height()-r.born >= o.opt.GiveUpAfter {
		return o.set(ctx, r, StageFailed, nil, err.Error())
	}
	return err
}

// deepen checks that what is on chain still is, and ends the row when that is final.
func (o *Outbox) deepen(ctx context.Context, r *row, head *types.TipSet) error {
	here, err := o.holds(ctx, r.result, head)
	if err != nil {
		return err
	}
	if !here {
		if err := o.loadForms(ctx, r); err != nil {
			return err
		}
		return o.set(ctx, r, StageSent, nil, "reverted by a reorganization")
	}
	if head.Height()-r.result.IncludedHeight <= finality {
		return nil
	}
	if r.stage == StageReplaced {
		return o.set(ctx, r, StageFailed, r.result, r.problem)
	}
	return o.set(ctx, r, StageDone, r.result, "")
}

// holds tells whether a result is on the chain of head, with the tipset of its receipt.
func (o *Outbox) holds(ctx context.Context, res *Result, head *types.TipSet) (bool, error) {
	for _, p := range []struct {
		h abi.ChainEpoch
		k types.TipSetKey
	}{{res.IncludedHeight, res.Included}, {res.Height, res.TipSet}} {
		if p.h > head.Height() {
			return false, nil
		}
		ts, err := o.chain.TipSetAt(ctx, p.h, head)
		if err != nil {
			return false, err
		}
		if ts.Key() != p.k {
			return false, nil
		}
	}
	return true, nil
}

// advance looks whether the nonce is on chain; until then the pool must hold the message.
func (o *Outbox) advance(ctx context.Context, r *row, head *types.TipSet) error {
	next, err := o.pool.StateNonce(ctx, r.sender, head)
	if err != nil {
		return err
	}
	if next > r.nonce {
		return o.settle(ctx, r, head)
	}
	if err := o.adopt(ctx, r, head); err != nil {
		return err
	}
	if _, pending := o.pool.Message(r.last().Cid()); !pending {
		err := o.pool.Add(ctx, r.last(), true)
		if err != nil && !errors.Is(err, mpool.ErrPresent) {
			return err
		}
	}
	if next == r.nonce && head.Height()-r.pushed >= o.opt.StuckAfter {
		return o.bump(ctx, r, head)
	}
	return o.set(ctx, r, StageSent, nil, "")
}

// settle finds the message that has the nonce on chain.
func (o *Outbox) settle(ctx context.Context, r *row, head *types.TipSet) error {
	l, err := o.finder.FindNonce(ctx, r.sender, r.nonce, head, head.Height()-r.born+finality)
	if errors.Is(err, index.ErrNotFound) {
		return nil // it is in the head itself: the next one has its receipt
	}
	if err != nil {
		return err
	}
	res := &Result{
		Message: l.Message, Receipt: l.Receipt, TipSet: l.TipSet, Height: l.Height,
		Included: l.Included, IncludedHeight: l.IncludedHeight,
	}
	ours, err := o.ours(ctx, r, l)
	if err != nil {
		return err
	}
	if !ours {
		o.log.Warn("another message used the nonce of one of ours", "intent", r.id, "key", r.intent.Key, "message", l.Message, "from", r.sender, "nonce", r.nonce)
		return o.set(ctx, r, StageReplaced, res, fmt.Sprintf("message %s at height %d has nonce %d of %s", l.Message, l.IncludedHeight, r.nonce, r.sender))
	}
	return o.set(ctx, r, StageIncluded, res, "")
}

// ours tells whether a message on chain is a form of the intent's, or makes the same call.
func (o *Outbox) ours(ctx context.Context, r *row, l *index.Lookup) (bool, error) {
	for _, f := range r.forms {
		if f.Cid() == l.Message {
			return true, nil
		}
	}
	m, err := o.chain.Message(ctx, l.Message)
	if err != nil {
		return false, fmt.Errorf("message %s: %w", l.Message, err)
	}
	return r.last().Message.EqualCall(m.VMMessage()), nil
}

// adopt takes over a pending message that its owner has put in the place of ours, with
// another fee: it makes the same call.
func (o *Outbox) adopt(ctx context.Context, r *row, head *types.TipSet) error {
	for _, m := range o.pool.Pending(r.sender) {
		if m.Message.Nonce != r.nonce {
			continue
		}
		for _, f := range r.forms {
			if f.Cid() == m.Cid() {
				return nil
			}
		}
		if !r.last().Message.EqualCall(&m.Message) {
			return fmt.Errorf("%w: %s is pending with nonce %d of %s", ErrReplaced, m.Cid(), r.nonce, r.sender)
		}
		return o.addForm(ctx, r, m, head.Height())
	}
	return nil
}
