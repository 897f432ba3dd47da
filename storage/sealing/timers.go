package sealing

import (
	"context"

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
			sec, err := s.store.Apply(ctx, n, 0, s.enqueue, sector.Woken{})
			if err != nil {
				return stopped(ctx, err)
			}
			s.nudge(ctx, sec)
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

// wake lets the timers' loop look again.
func (s *Sealing) wake() {
	select {
	case s.timer <- struct{}{}:
	default:
	}
}
