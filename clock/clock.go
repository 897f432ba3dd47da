package clock

import (
	"context"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
)

// Clock tells the time of a network and waits for it. Safe from many goroutines.
type Clock interface {
	Now() time.Time
	// Until waits for a moment of this clock; it returns the context's error if that ends first.
	Until(ctx context.Context, t time.Time) error
}

// System is the machine's clock, set back by Pause: the time the network did not run.
type System struct {
	Pause time.Duration
}

var _ Clock = System{}

// Now implements Clock.
func (s System) Now() time.Time { return time.Now().Add(-s.Pause) }

// Until implements Clock.
func (s System) Until(ctx context.Context, t time.Time) error {
	d := t.Sub(s.Now())
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Sleep waits for a duration on a clock.
func Sleep(ctx context.Context, c Clock, d time.Duration) error {
	return c.Until(ctx, c.Now().Add(d))
}

// Epochs maps between time and the epochs of a network. Times are in whole seconds, as in
// block headers.
type Epochs struct {
	Genesis uint64 // unix seconds of epoch 0, below 2^40
	Seconds uint64 // length of an epoch, > 0
}

// At is the epoch that a moment falls in; before the genesis it is 0.
func (e Epochs) At(t time.Time) abi.ChainEpoch {
	s := t.Unix() - int64(e.Genesis)
	if s < 0 {
		return 0
	}
	return abi.ChainEpoch(s / int64(e.Seconds))
}

// Start is the moment at which an epoch begins.
func (e Epochs) Start(h abi.ChainEpoch) time.Time {
	return time.Unix(int64(e.Timestamp(h)), 0)
}

// Timestamp is Start in unix seconds, not before the genesis. An epoch that a peer made up,
// too far for a time to express, gets the last one there is: it never wraps to an earlier one.
func (e Epochs) Timestamp(h abi.ChainEpoch) uint64 {
	if h < 0 {
		return e.Genesis
	}
	if n := uint64(h); n <= (endOfTime-e.Genesis)/e.Seconds {
		return e.Genesis + n*e.Seconds
	}
	return endOfTime
}

// endOfTime is in unix seconds, and still fits in a time.Time.
const endOfTime = 1 << 60
