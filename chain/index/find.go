package index

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
)

var (
	// ErrNotFound: no such message is on the chain that was searched, or no tipset follows it
	// yet. Look again later.
	ErrNotFound = errors.New("message is not on chain")
	// ErrReplaced: the message can never be on this chain, since another one, which makes
	// another call, has its sender and nonce.
	ErrReplaced = errors.New("another message has the nonce")
)

// NoLimit as a look-back searches down to the genesis.
const NoLimit abi.ChainEpoch = -1

// Lookup tells where a message is.
type Lookup struct {
	// Message is the CID on chain. It differs from the one asked for when the message was
	// replaced by one that makes the same call.
	Message cid.Cid
	Receipt types.MessageReceipt
	// TipSet is the first tipset after the one that includes the message: it carries the
	// receipt, and its parent state has the message's effects.
	TipSet types.TipSetKey
	Height abi.ChainEpoch // of TipSet
	// Included is the tipset whose blocks hold the message.
	Included       types.TipSetKey
	IncludedHeight abi.ChainEpoch
}

// place is where a message is executed.
type place struct {
	cid      cid.Cid
	ts       *types.TipSet
	position int
}

// query is what to look for: a CID, or a sender, in all its forms, with a nonce.
type query struct {
	cid     cid.Cid
	senders []address.Address
	nonce   uint64
}

func (q query) matches(r row) bool {
	if q.cid.Defined() {
		return r.cid == q.cid
	}
	if r.msg.Nonce != q.nonce {
		return false
	}
	for _, a := range q.senders {
		if r.msg.From == a {
			return true
		}
	}
	return false
}

// FindMessage finds a message by the CID it has on chain, in the tipsets of from's chain
// (nil: the head's) that are at most lookback epochs below from. With allowReplaced, a
// message of the same sender and nonce that makes the same call answers as well.
func (x *Index) FindMessage(ctx context.Context, c cid.Cid, from *types.TipSet, lookback abi.ChainEpoch, allowReplaced bool) (*Lookup, error) {
	if from == nil {
		from = x.chain.Head()
	}
	l, err := x.find(ctx, query{cid: c}, from, lookback)
	if !errors.Is(err, ErrNotFound) || !allowReplaced {
		return l, err
	}
	m, merr := x.chain.Message(ctx, c)
	if ipld.IsNotFound(merr) {
		return nil, err // we never saw it, so its nonce is not known
	}
	if merr != nil {
		return nil, fmt.Errorf("message %s: %w", c, merr)
	}
	msg := m.VMMessage()
	if l, err = x.FindNonce(ctx, msg.From, msg.Nonce, from, lookback); err != nil {
		return nil, err
	}
	other, err := x.chain.Message(ctx, l.Message)
	if err != nil {
		return nil, fmt.Errorf("message %s: %w", l.Message, err)
	}
	if !msg.EqualCall(other.VMMessage()) {
		return nil, fmt.Errorf("%w: %s at height %d has nonce %d of %s", ErrReplaced, l.Message, l.IncludedHeight, msg.Nonce, msg.From)
	}
	return l, nil
}

// FindNonce finds the message of a sender, by any of its addresses, with a nonce.
func (x *Index) FindNonce(ctx context.Context, sender address.Address, nonce uint64, from *types.TipSet, lookback abi.ChainEpoch) (*Lookup, error) {
	if from == nil {
		from = x.chain.Head()
	}
	forms := []address.Address{sender}
	state := view.At(x.chain, from.ParentState())
	if sender.Protocol() == address.ID {
		key, err := state.KeyAddress(ctx, sender)
		if err == nil {
			forms = append(forms, key)
		} else if !errors.Is(err, view.ErrNotFound) && !errors.Is(err, view.ErrWrongActor) {
			return nil, err
		}
	} else {
		id, err := state.LookupID(ctx, sender)
		if errors.Is(err, view.ErrNotFound) {
			return nil, fmt.Errorf("%w: sender %s does not exist", ErrNotFound, sender)
		}
		if err != nil {
			return nil, err
		}
		forms = append(forms, id)
	}
	return x.find(ctx, query{senders: forms, nonce: nonce}, from, lookback)
}

func (x *Index) find(ctx context.Context, q query, from *types.TipSet, lookback abi.ChainEpoch) (*Lookup, error) {
	lowest := abi.ChainEpoch(0)
	if lookback >= 0 {
		lowest = max(0, from.Height()-lookback)
	}
	p, err := x.locate(ctx, q, from, lowest)
	if err != nil {
		return nil, err
	}
	if p.ts.Height() >= from.Height() {
		return nil, fmt.Errorf("%w: %s is in tipset %s, which nothing follows yet", ErrNotFound, p.cid, p.ts)
	}
	child, err := x.chain.TipSetAfter(ctx, p.ts.Height()+1, from)
	if err != nil {
		return nil, fmt.Errorf("receipt of message %s: %w", p.cid, err)
	}
	receipts, err := x.chain.Receipts(ctx, child.ParentReceipts())
	if err != nil {
		return nil, fmt.Errorf("receipt of message %s: %w", p.cid, err)
	}
	if p.position >= len(receipts) {
		return nil, fmt.Errorf("receipt of message %s: tipset %s has %d of them, wants number %d", p.cid, child, len(receipts), p.position)
	}
	return &Lookup{
		Message:        p.cid,
		Receipt:        receipts[p.position],
		TipSet:         child.Key(),
		Height:         child.Height(),
		Included:       p.ts.Key(),
		IncludedHeight: p.ts.Height(),
	}, nil
}

// locate asks the table first. When that does not know, the tipsets above those it covers
// are read, newest first: few of them when Run has kept up.
func (x *Index) locate(ctx context.Context, q query, from *types.TipSet, lowest abi.ChainEpoch) (*place, error) {
	if p, err := x.ask(ctx, q, from, lowest); err == nil || !errors.Is(err, ErrNotFound) {
		return p, err
	}
	for ts := from; ts.Height() >= lowest; {
		done, err := x.covered(ctx, ts)
		if err != nil {
			return nil, err
		}
		if done {
			// Asked again: Run may have come this far since, or have been sent back meanwhile.
			p, err := x.ask(ctx, q, ts, lowest)
			if !errors.Is(err, ErrNotFound) {
				return p, err
			}
			if still, cerr := x.covered(ctx, ts); cerr != nil || still {
				return nil, cmp.Or(cerr, err)
			}
		}
		rows, err := x.rowsOf(ctx, ts)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if q.matches(r) {
				return &place{r.cid, ts, r.position}, nil
			}
		}
		if ts.Height() == 0 {
			break
		}
		if ts, err = x.chain.TipSetAt(ctx, ts.Height()-1, ts); err != nil {
			return nil, fmt.Errorf("message index: %w", err)
		}
	}
	return nil, ErrNotFound
}

// ask looks in the table, and makes sure that what it says is on the chain of from.
func (x *Index) ask(ctx context.Context, q query, from *types.TipSet, lowest abi.ChainEpoch) (*place, error) {
	const get = `SELECT m.cid, m.position, t.height, t.key FROM index_message m JOIN index_tipset t ON t.height = m.height WHERE `
	var r *sql.Row
	if q.cid.Defined() {
		r = x.db.QueryRowContext(ctx, get+`m.cid = ?`, q.cid.Bytes())
	} else {
		second := q.senders[len(q.senders)-1]
		r = x.db.QueryRowContext(ctx, get+`m.sender IN (?, ?) AND m.nonce = ?`, q.senders[0].Bytes(), second.Bytes(), int64(q.nonce))
	}
	var rawCid, rawKey []byte
	var position int
	var height int64
	err := r.Scan(&rawCid, &position, &height, &rawKey)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("message index: %w", err)
	}
	h := abi.ChainEpoch(height)
	if h < lowest || h > from.Height() {
		return nil, ErrNotFound
	}
	c, err := cid.Cast(rawCid)
	if err != nil {
		return nil, fmt.Errorf("message index: %w", err)
	}
	ts, err := x.chain.TipSetAt(ctx, h, from)
	if err != nil {
		return nil, fmt.Errorf("message index: %w", err)
	}
	if string(ts.Key().Bytes()) != string(rawKey) {
		return nil, ErrNotFound // on another fork
	}
	return &place{c, ts, position}, nil
}

// Wait returns when a message has confidence epochs on top of the tipset that includes it.
// It looks back from the head of this moment by lookback epochs (0: not at all, NoLimit),
// and then at everything that comes. ErrReplaced with allowReplaced: it will not come.
func (x *Index) Wait(ctx context.Context, c cid.Cid, confidence, lookback abi.ChainEpoch, allowReplaced bool) (*Lookup, error) {
	head := x.chain.Head()
	lowest := abi.ChainEpoch(0)
	if lookback >= 0 {
		lowest = max(0, head.Height()-lookback)
	}
	for {
		l, err := x.FindMessage(ctx, c, head, max(0, head.Height()-lowest), allowReplaced)
		if err == nil && head.Height()-l.IncludedHeight >= confidence {
			return l, nil
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err
		}
		if head, err = x.chain.HeadChanged(ctx, head.Key()); err != nil {
			return nil, err
		}
	}
}
