package node

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestSubscriptionsEndWithCallerAndNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s subscriptions
		ends := map[string]bool{}
		feed := func(name string) func(context.Context) {
			return func(ctx context.Context) {
				<-ctx.Done()
				ends[name] = true
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		if err := errors.Join(s.start(ctx, feed("caller")), s.start(t.Context(), feed("node"))); err != nil {
			t.Fatal(err)
		}
		cancel()
		synctest.Wait()
		if !ends["caller"] || ends["node"] {
			t.Fatalf("after the caller's end: got %v", ends)
		}
		if err := s.close(t.Context()); err != nil || !ends["node"] {
			t.Fatalf("after close: got %v, %v", ends, err)
		}
		if err := s.start(t.Context(), feed("late")); !errors.Is(err, errStopping) {
			t.Errorf("start after close: got %v, want %v", err, errStopping)
		}
	})
}
