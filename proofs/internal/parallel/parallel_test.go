package parallel

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEach(t *testing.T) {
	for _, n := range []int{0, 1, 2, 1000} {
		calls := make([]atomic.Int32, n)
		if err := Each(context.Background(), n, func(i int) error { calls[i].Add(1); return nil }); err != nil {
			t.Fatal(err)
		}
		for i := range calls {
			if got := calls[i].Load(); got != 1 {
				t.Errorf("%d of %d was done %d times", i, n, got)
			}
		}
	}
}

func TestEachStops(t *testing.T) {
	bad := errors.New("bad")
	var calls atomic.Int32
	err := Each(context.Background(), 1<<20, func(i int) error {
		if calls.Add(1) == 10 {
			return bad
		}
		return nil
	})
	if !errors.Is(err, bad) || calls.Load() == 1<<20 {
		t.Errorf("got %v after %d calls", err, calls.Load())
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := Each(ctx, 1<<20, func(int) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled on the way: got %v", err)
	}
}
