package consensus

import (
	"context"
	"errors"
	"fmt"
	"time"

	ipld "github.com/ipfs/go-ipld-format"

	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
)

// Verdict is what becomes of a gossip message.
type Verdict int

const (
	// Accept: hand it on to others.
	Accept Verdict = iota
	// Ignore: drop it without a mark against the sender.
	Ignore
	// Reject: the sender should not have sent it.
	Reject
)

// String implements fmt.Stringer.
func (v Verdict) String() string {
	switch v {
	case Accept:
		return "accept"
	case Ignore:
		return "ignore"
	case Reject:
		return "reject"
	}
	return fmt.Sprintf("verdict %d", int(v))
}

// syncedWithin is how young our head must be for us to know who may mine (spec chain.md f.4).
const syncedWithin = 6 * time.Hour

// errSeen: gossip brought the block before.
var errSeen = errors.New("seen before")

// ErrByHead: a block was judged by our head, since its parents are not known here. Who is behind
// may know another worker of its miner, so the peer that sent it need not be at fault.
var ErrByHead = errors.New("its parents are not known here, so our head was asked")

// CheckGossip judges a block announcement by what can be told cheaply from our own head (spec
// chain.md f.4). The reason is nil when it is accepted.
func (e *Engine) CheckGossip(ctx context.Context, m *types.BlockMsg) (Verdict, error) {
	h := m.Header
	if err := checkComplete(h); err != nil {
		return Reject, err
	}
	if n := len(m.BlsMessages) + len(m.SecpkMessages); n > types.MaxBlockMessages {
		return Reject, broken(ErrBlockLimits, "%d messages, at most %d", n, types.MaxBlockMessages)
	}
	if h.ElectionProof.WinCount < 1 {
		return Reject, broken(ErrNotWinner, "%d", h.ElectionProof.WinCount)
	}
	head := e.chain.Head()
	if head == nil {
		return Ignore, errors.New("no chain yet")
	}
	now := e.clk.Now()
	low, high := head.Height()-lookbackEpochs, e.epochs.At(now)+maxEpochsAhead
	if h.Height < max(low, 1) || h.Height > high {
		return Ignore, fmt.Errorf("height %d is not from %d to %d", h.Height, low, high)
	}
	if e.seen.Contains(h.Cid()) {
		return Ignore, errSeen
	}
	if err := checkMeta(ctx, h, m.BlsMessages, m.SecpkMessages); err != nil {
		return verdict(err, Reject), err
	}
	if err := e.checkMiner(ctx, h, head); err != nil {
		// Those who are behind cannot know the miners of today.
		unknown := Ignore
		if now.Sub(time.Unix(int64(head.MinTimestamp()), 0)) < syncedWithin {
			unknown = Reject
		}
		return verdict(err, unknown), err
	}
	if seen, _ := e.seen.ContainsOrAdd(h.Cid(), struct{}{}); seen {
		return Ignore, errSeen // by another goroutine, meanwhile
	}
	return Accept, nil
}

// verdict ignores what is our own trouble.
func verdict(err error, bad Verdict) Verdict {
	switch {
	case errors.Is(err, ErrSignature):
		return Reject
	case errors.Is(err, ErrInvalid):
		return bad
	}
	return Ignore
}

// checkMiner checks eligibility and the signature as the block's parents say, or, when we do
// not have those, as our head does.
func (e *Engine) checkMiner(ctx context.Context, h *types.BlockHeader, head *types.TipSet) error {
	byHead := false
	base, err := e.chain.TipSet(ctx, types.NewTipSetKey(h.Parents...))
	switch {
	case err == nil && base.Height() >= h.Height:
		return broken(ErrHeight, "%d on %d", h.Height, base.Height())
	case errors.Is(err, types.ErrNoTipSet):
		return fmt.Errorf("%w: %w", ErrParents, err)
	case ipld.IsNotFound(err):
		byHead = true
		if base, err = e.chain.TipSetAt(ctx, h.Height-1, head); err != nil {
			return err
		}
	case err != nil:
		return err
	}
	at, root, err := e.lookback(ctx, base, h.Height)
	if err != nil {
		return err
	}
	key, err := worker(ctx, view.At(e.chain, root), h.Miner)
	if err != nil {
		return err
	}
	why, err := e.ineligible(ctx, at, base, h.Miner)
	if err != nil {
		return err
	}
	if why != "" {
		return broken(ErrIneligible, "%s: %s", h.Miner, why)
	}
	err = e.verifySignature(h, key)
	if err != nil && byHead {
		return fmt.Errorf("%w: %w", ErrByHead, err)
	}
	return err
}
