package outbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/lodenet/lode/chain/index"
	"github.com/lodenet/lode/chain/mpool"
	"github.com/lodenet/lode/chain/types"
)

// active are the rows that are not final.
const active = `stage IN ('new', 'signed', 'sent', 'included', 'replaced') ORDER BY id`

// concerned are the rows that a new head may change, when those on chain were true on the
// chain of another: all that are not on chain, those that are not below the fork of the two
// chains, and those that are final now.
const concerned = `id IN (
	SELECT id FROM outbox_intent WHERE ` + open + `
	UNION ALL
	SELECT id FROM outbox_intent WHERE stage IN ('included', 'replaced') AND ` + includedAt + ` >= ?
	UNION ALL
	SELECT id FROM outbox_intent WHERE stage IN ('included', 'replaced') AND ` + includedAt + ` < ?
) ORDER BY id`

// Run follows the rows until ctx ends or the database fails.
func (o *Outbox) Run(ctx context.Context) error {
	var at *types.TipSet // as pass takes it
	var last types.TipSetKey
	for {
		head, err := o.chain.HeadChanged(ctx, last)
		if err == nil {
			at, err = o.pass(ctx, at, head)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		last = head.Key()
	}
}

// pass makes all rows true on the chain of head. What it finds depends on the rows and the
// chain alone, not on which heads were seen before, or by which process. That the rows on
// chain are true on the chain of at only saves looking at those that both chains share; nil:
// that is not known. It returns the at of the next pass: nil when it could not tell of some
// row, so that no row keeps a result of a chain that was left.
func (o *Outbox) pass(ctx context.Context, at, head *types.TipSet) (next *types.TipSet, err error) {
	unlock, err := o.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	rows, err := o.rowsFor(ctx, at, head)
	if err != nil {
		return nil, err
	}
	next = head
	l := look{head: head, senders: map[address.Address]*account{}}
	for _, r := range rows {
		told, err := o.step(ctx, r, l)
		if err != nil {
			return nil, err
		}
		if !told && r.onChain() {
			next = nil
		}
	}
	o.announce(head)
	return next, nil
}

// rowsFor reads the rows that a pass must look at.
func (o *Outbox) rowsFor(ctx context.Context, at, head *types.TipSet) ([]*row, error) {
	if at == nil {
		return o.many(ctx, active)
	}
	shared, err := o.fork(ctx, at, head)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		o.log.Warn("cannot tell which messages a new head leaves on chain; all are looked at", "head", head.Key(), "err", err)
		return o.many(ctx, active)
	}
	// The tipset with the receipt is above the one that includes the message: when that is
	// the fork itself, the receipt may be of the other chain.
	return o.many(ctx, concerned, int64(shared), int64(head.Height()-finality))
}

// fork is the height of the last tipset that two chains share.
func (o *Outbox) fork(ctx context.Context, a, b *types.TipSet) (abi.ChainEpoch, error) {
	for h := min(a.Height(), b.Height()); h >= 0; {
		var err error
		if a, err = o.chain.TipSetAt(ctx, h, a); err != nil {
			return 0, err
		}
		if b, err = o.chain.TipSetAt(ctx, h, b); err != nil {
			return 0, err
		}
		if a.Equals(b) {
			return a.Height(), nil
		}
		if h = min(a.Height(), b.Height()); a.Height() == b.Height() {
			h--
		}
	}
	return 0, nil
}

// look is one pass over the rows, with what it asks the pool once for all rows of a sender.
type look struct {
	head    *types.TipSet
	senders map[address.Address]*account
}

// account is what the chain and the pool have of a sender when its first row is looked at.
type account struct {
	next    uint64 // nonce after the last on chain
	pending map[uint64]*types.SignedMessage
}

func (o *Outbox) account(ctx context.Context, l look, sender address.Address) (*account, error) {
	if a := l.senders[sender]; a != nil {
		return a, nil
	}
	next, err := o.pool.StateNonce(ctx, sender, l.head)
	if err != nil {
		return nil, err
	}
	a := &account{next: next, pending: map[uint64]*types.SignedMessage{}}
	for _, m := range o.pool.Pending(sender) {
		a.pending[m.Message.Nonce] = m
	}
	l.senders[sender] = a
	return a, nil
}

// step brings one row up to date. What hinders it is noted in the row, and then it is not
// told where it stands; an error is the database's or the context's.
func (o *Outbox) step(ctx context.Context, r *row, l look) (told bool, err error) {
	if r.stage == StageNew {
		err = o.resume(ctx, r, l.head)
	}
	if err == nil && r.onChain() {
		err = o.deepen(ctx, r, l.head)
	}
	if err == nil && (r.stage == StageSigned || r.stage == StageSent) {
		if err = o.advance(ctx, r, l); err == nil && r.onChain() {
			err = o.deepen(ctx, r, l.head) // it may be final already
		}
	}
	if err == nil {
		return true, nil
	}
	if ctx.Err() != nil {
		return false, err
	}
	if r.problem == err.Error() {
		return false, nil // said before
	}
	o.log.Warn("message does not advance; it is tried again at the next tipset", "intent", r.id, "key", r.intent.Key, "err", err)
	return false, o.set(ctx, r, r.stage, r.result, err.Error())
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
func (o *Outbox) advance(ctx context.Context, r *row, l look) error {
	acc, err := o.account(ctx, l, r.sender)
	if err != nil {
		return err
	}
	if acc.next > r.nonce {
		return o.settle(ctx, r, l.head)
	}
	if err := o.adopt(ctx, r, acc.pending[r.nonce], l.head); err != nil {
		return err
	}
	if _, pending := o.pool.Message(r.last().Cid()); !pending {
		err := o.pool.Add(ctx, r.last(), true)
		if errors.Is(err, mpool.ErrNonceTooLow) {
			return nil // the pool is at another head, which comes to us next or was the last
		}
		if err != nil && !errors.Is(err, mpool.ErrPresent) {
			return err
		}
	}
	if acc.next == r.nonce && l.head.Height()-r.pushed >= o.opt.StuckAfter {
		return o.bump(ctx, r, l.head)
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
// another fee: it makes the same call. m is what is pending with the nonce, if anything.
func (o *Outbox) adopt(ctx context.Context, r *row, m *types.SignedMessage, head *types.TipSet) error {
	if m == nil {
		return nil
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
