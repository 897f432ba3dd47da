package sealing

import (
	"context"
	"errors"

	"github.com/filecoin-project/go-state-types/abi"

	"github.com/lodenet/lode/storage/sector"
)

// timers gives sectors the Woken events they asked for.
func (s *Sealing) timers(ctx context.Context) error {
	for {
		due, next, err := s.store.Due(ctx)
		if err != nil {
			return stopped(ctx, err)
		}
		for _, n := range due {
			if err := s.woken(ctx, n); err != nil {
				return stopped(ctx, err)
			}
		}
		if len(due) > 0 {
			continue
		}
		wait, cancel := ctx, context.CancelFunc(func() {})
		alarm := make(chan struct{})
		if !next.IsZero() {
			wait, cancel = context.WithCancel(ctx)
			go func() {
				defer close(alarm)
				_ = s.deps.Clock.Until(wait, next)
			}()
		}
		select {
		case <-ctx.Done():
		case <-s.timer:
		case <-alarm:
		}
		cancel()
		if !next.IsZero() {
			<-alarm
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// woken tells a sector that its timer ran out. One that went on meanwhile, since its last
// piece came or an operator was quicker, needs it no more.
func (s *Sealing) woken(ctx context.Context, n abi.SectorNumber) error {
	sec, err := s.store.Apply(ctx, n, 0, s.enqueue, sector.Woken{})
	if errors.Is(err, sector.ErrUnexpected) {
		return nil
	}
	if err != nil {
		return err
	}
	s.nudge(ctx, sec)
	return nil
}

// wake lets the timers' loop look again.
func (s *Sealing) wake() {
	select {
	case s.timer <- struct{}{}:
	default:
	}
}
