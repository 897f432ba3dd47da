package clock

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/stretchr/testify/require"
)

func TestEpochs(t *testing.T) {
	e := Epochs{Genesis: 1000, Seconds: 30}
	for _, c := range []struct {
		name string
		unix int64
		want abi.ChainEpoch
	}{
		{"long before", 0, 0},
		{"before", 999, 0},
		{"genesis", 1000, 0},
		{"end of the first", 1029, 0},
		{"second", 1030, 1},
		{"later", 1000 + 30*12345 + 7, 12345},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, e.At(time.Unix(c.unix, 999_999_999)))
		})
	}
	require.Equal(t, uint64(1000+30*7), e.Timestamp(7))
	require.Equal(t, int64(1000+30*7), e.Start(7).Unix())
	require.Equal(t, abi.ChainEpoch(7), e.At(e.Start(7)))
}

func TestAbsurdEpochsDoNotWrap(t *testing.T) {
	e := Epochs{Genesis: 1_700_000_000, Seconds: 4}
	last := uint64(0)
	for _, h := range []abi.ChainEpoch{-1, 0, 1, 1 << 40, 1 << 61, 1<<62 + 17, math.MaxInt64} {
		got := e.Timestamp(h)
		require.GreaterOrEqual(t, got, last, h)
		require.False(t, e.Start(h).Before(time.Unix(int64(e.Genesis), 0)), h)
		last = got
	}
}

func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := System{Pause: time.Hour}
		start := time.Now()
		require.Equal(t, start.Add(-time.Hour), c.Now(), "the clock stood still for an hour")
		require.NoError(t, c.Until(t.Context(), c.Now().Add(time.Minute)))
		require.Equal(t, time.Minute, time.Since(start))
		require.NoError(t, c.Until(t.Context(), c.Now()), "a moment that has come does not wait")
		require.NoError(t, Sleep(t.Context(), c, time.Second))
		require.Equal(t, 61*time.Second, time.Since(start))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, c.Until(ctx, c.Now().Add(time.Hour)), context.DeadlineExceeded)
		require.ErrorIs(t, c.Until(ctx, c.Now().Add(-1)), context.DeadlineExceeded, "an ended context wins")
	})
}
