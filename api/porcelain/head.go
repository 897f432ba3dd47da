package porcelain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/filecoin-project/go-state-types/abi"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/types"
)

// Heads is what following the head needs.
type Heads interface {
	ChainNotify(ctx context.Context) (<-chan []*api.HeadChange, error)
}

// retry is how long to wait before subscribing again after the node cut us off, and patience
// how often that may happen without a value in between.
const (
	retry    = time.Second
	patience = 5
)

// ErrLost: the node's reports of its head broke off and did not come back.
var ErrLost = errors.New("lost the node")

// OnHead calls f with the head now and each time it changes, until f says that it is done or
// fails. Changes that come while f runs are put together.
func OnHead(ctx context.Context, node Heads, f func(ctx context.Context, head *types.TipSet) (done bool, err error)) error {
	var last error
	for failures := 0; failures < patience; failures++ {
		if failures > 0 {
			if err := pause(ctx, retry); err != nil {
				return err
			}
		}
		done, seen, err := follow(ctx, node, f)
		switch {
		case done || err != nil && seen:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case seen:
			failures = 0
		}
		last = err
	}
	if last == nil {
		return ErrLost
	}
	return fmt.Errorf("%w: %w", ErrLost, last)
}

// follow is one subscription. An error with seen set is f's; otherwise it is the node's.
func follow(ctx context.Context, node Heads, f func(context.Context, *types.TipSet) (bool, error)) (done, seen bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ch, err := node.ChainNotify(ctx)
	if err != nil {
		return false, false, err
	}
	for changes := range ch {
		head := newest(changes)
	more: // take what is there already
		for {
			select {
			case next, ok := <-ch:
				if !ok {
					break more
				}
				if h := newest(next); h != nil {
					head = h
				}
			default:
				break more
			}
		}
		if head == nil {
			continue
		}
		seen = true
		if done, err = f(ctx, head); done || err != nil {
			return done, true, err
		}
	}
	return false, seen, nil
}

// newest is the head after some changes, nil when they only revert.
func newest(changes []*api.HeadChange) *types.TipSet {
	for i := len(changes) - 1; i >= 0; i-- {
		if c := changes[i]; c != nil && c.Type != api.HeadRevert && c.Val != nil {
			return c.Val
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// WaitHeight waits until the head is at an epoch or after it.
func WaitHeight(ctx context.Context, node Heads, epoch abi.ChainEpoch) (*types.TipSet, error) {
	var at *types.TipSet
	err := OnHead(ctx, node, func(_ context.Context, head *types.TipSet) (bool, error) {
		at = head
		return head.Height() >= epoch, nil
	})
	return at, err
}
