package lifecycle

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/clock"
)

// A loop that fails is run again, after pauses that double up to a minute, and counted.
func TestL10LoopIsRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rs := NewRestarter(clock.System{}, quiet())
		boom := errors.New("boom")
		var began []time.Time
		ctx, cancel := context.WithCancel(t.Context())
		loop := rs.Loop("feed", func(ctx context.Context) error {
			began = append(began, time.Now())
			switch len(began) {
			case 1:
				return boom
			case 2:
				return nil
			case 3:
				panic("oh")
			case 10: // it was steady before it failed: the pauses begin anew
				time.Sleep(steady)
				return boom
			case 12:
				cancel()
				<-ctx.Done()
				return ctx.Err()
			}
			return boom
		})
		require.NoError(t, loop(ctx))
		require.Len(t, began, 12)
		want := firstPause
		for i := 1; i < 10; i++ {
			got := began[i].Sub(began[i-1])
			require.GreaterOrEqual(t, got, want*4/5, "pause %d", i)
			require.LessOrEqual(t, got, min(want*6/5, lastPause), "pause %d", i)
			want = min(2*want, lastPause)
		}
		require.Less(t, began[10].Sub(began[9])-steady, 2*firstPause)
		require.Equal(t, []Restarts{{"feed", "ended", 1}, {"feed", "error", 9}, {"feed", "panic", 1}}, rs.Restarts())
	})
}

// A role that goes down by itself is switched on again; one that was switched off stays off.
func TestL10RoleIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fail := make(chan error)
		builds := 0
		r := NewRole("mining", func(context.Context) (*Group, error) {
			if builds++; builds == 2 {
				return nil, errors.New("no key yet")
			}
			g := NewGroup("mining", quiet())
			g.Add("loop", func(ctx context.Context) error {
				select {
				case err := <-fail:
					return err
				case <-ctx.Done():
					return nil
				}
			})
			return g, nil
		})
		rs := NewRestarter(clock.System{}, quiet())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Keep(ctx, rs) }()
		on := func(want bool) {
			t.Helper()
			synctest.Wait()
			got, _ := r.Status(t.Context())
			require.Equal(t, want, got)
		}
		on(false)
		require.NoError(t, r.Enable(t.Context()))
		on(true)
		fail <- errors.New("boom")
		on(false)
		time.Sleep(2 * firstPause) // the second build fails
		on(false)
		time.Sleep(4 * firstPause)
		on(true)
		require.Equal(t, 3, builds)
		require.NoError(t, r.Disable(t.Context()))
		time.Sleep(10 * lastPause)
		on(false)
		require.NoError(t, r.Enable(t.Context()))
		fail <- errors.New("boom")
		synctest.Wait()
		require.NoError(t, r.Disable(t.Context())) // before its time has come
		time.Sleep(10 * lastPause)
		on(false)
		require.Equal(t, 4, builds)
		require.Equal(t, []Restarts{{"mining", "error", 3}}, rs.Restarts())
		require.NoError(t, r.Enable(t.Context()))
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, r.Close(t.Context()))
	})
}
