package node

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/peers"
)

// A miner runs while the clock is right, rests while it is wrong in either direction, and
// its own end or that of the node ends the part (P-14).
func TestP14NoMiningWithAWrongClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var offset, runs, stops atomic.Int64
		r := &rightClock{
			offset: func() time.Duration { return time.Duration(offset.Load()) },
			clk:    clock.System{}, log: slog.New(slog.DiscardHandler),
		}
		broken := errors.New("broken")
		fail := make(chan struct{})
		part := r.while(func(ctx context.Context) error {
			runs.Add(1)
			select {
			case <-ctx.Done():
				stops.Add(1)
				return nil
			case <-fail:
				return broken
			}
		})
		start := func() (stop func(), end chan error) {
			ctx, cancel := context.WithCancel(t.Context())
			end = make(chan error, 1)
			go func() { end <- part(ctx) }()
			return cancel, end
		}
		check := func(what string, wantRuns, wantStops int64, wrong bool) {
			t.Helper()
			time.Sleep(2 * clockLook)
			synctest.Wait()
			if runs.Load() != wantRuns || stops.Load() != wantStops || r.wrong.Load() != wrong {
				t.Errorf("%s: %d runs and %d stops, wrong %v; want %d, %d, %v",
					what, runs.Load(), stops.Load(), r.wrong.Load(), wantRuns, wantStops, wrong)
			}
		}
		stop, end := start()
		check("a right clock", 1, 0, false)
		offset.Store(int64(peers.OffsetLimit))
		check("just right", 1, 0, false)
		offset.Store(int64(peers.OffsetLimit + 1))
		check("ahead", 1, 1, true)
		offset.Store(0)
		check("right again", 2, 1, false)
		offset.Store(-int64(peers.OffsetLimit + time.Hour))
		check("behind", 2, 2, true)
		stop()
		if err := <-end; err != nil {
			t.Errorf("stopped with %v", err)
		}
		check("stopped while wrong", 2, 2, false)

		stop, end = start()
		defer stop()
		check("started while wrong", 2, 2, true)
		offset.Store(0)
		check("then right", 3, 2, false)
		close(fail)
		if err := <-end; !errors.Is(err, broken) {
			t.Errorf("ended with %v", err)
		}
	})
}
