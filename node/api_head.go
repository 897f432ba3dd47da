package node

import (
	"context"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/types"
)

const (
	// notifyBuffer is how many changes of the head wait for a slow reader. More are not
	// queued: the next one then leads over several tipsets.
	notifyBuffer = 16
	// maxPath is the longest way between tipsets that is given in one answer.
	maxPath = 10_000
)

// ChainNotify follows the head at the reader's pace, so that none is ever cut off for being
// slow.
func (a chainAPI) ChainNotify(ctx context.Context) (<-chan []*api.HeadChange, error) {
	f, err := a.n.store.Follow(ctx, "")
	if err != nil {
		return nil, err
	}
	head, err := a.n.store.TipSet(ctx, f.Cursor())
	if err != nil {
		return nil, err
	}
	out := make(chan []*api.HeadChange, notifyBuffer)
	out <- []*api.HeadChange{{Type: api.HeadCurrent, Val: head}}
	return out, a.n.subs.start(ctx, func(ctx context.Context) {
		defer close(out)
		for {
			change, err := f.Next(ctx)
			if err == nil {
				err = f.Done(ctx, change)
			}
			if err != nil {
				if ctx.Err() == nil {
					a.n.log.Warn("a subscription to the head is cut off", "err", err)
				}
				return
			}
			select {
			case out <- steps(change.Revert, change.Apply):
			case <-ctx.Done():
				return
			}
		}
	})
}

// steps lists a way along the chain.
func steps(revert, apply []*types.TipSet) []*api.HeadChange {
	out := make([]*api.HeadChange, 0, len(revert)+len(apply))
	for _, ts := range revert {
		out = append(out, &api.HeadChange{Type: api.HeadRevert, Val: ts})
	}
	for _, ts := range apply {
		out = append(out, &api.HeadChange{Type: api.HeadApply, Val: ts})
	}
	return out
}

// ChainGetPath goes back from both ends, from the higher one first, until they meet.
func (a chainAPI) ChainGetPath(ctx context.Context, from, to types.TipSetKey) ([]*api.HeadChange, error) {
	left, err := a.n.tipset(ctx, from)
	if err != nil {
		return nil, err
	}
	right, err := a.n.tipset(ctx, to)
	if err != nil {
		return nil, err
	}
	var revert, apply []*types.TipSet
	for !left.Equals(right) {
		if len(revert)+len(apply) == maxPath {
			return nil, api.ErrLimit.With("the path is longer than %d tipsets", maxPath)
		}
		side, way := &left, &revert
		if right.Height() > left.Height() {
			side, way = &right, &apply
		}
		*way = append(*way, *side)
		if *side, err = a.n.tipset(ctx, (*side).Parents()); err != nil {
			return nil, err
		}
	}
	for i, j := 0, len(apply)-1; i < j; i, j = i+1, j-1 {
		apply[i], apply[j] = apply[j], apply[i]
	}
	return steps(revert, apply), nil
}
