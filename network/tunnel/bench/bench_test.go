package bench

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/lodenet/lode/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRun measures a little: that there is a figure for everything, and nothing left behind.
func TestRun(t *testing.T) {
	said := 0
	results, err := Run(t.Context(), Options{
		Bytes: 2 << 20, Setups: 40, Pings: 50, Rounds: 1, Say: func(string, ...any) { said++ },
	}, clock.System{})
	require.NoError(t, err)
	require.Len(t, results, 2)
	require.Equal(t, 12, said, "two transports, a warm-up and a round, three ways")
	for _, r := range results {
		for _, m := range []Measure{r.Throughput, r.SetupRate, r.PingMedian, r.PingSlowest} {
			for _, v := range []float64{m.Bare, m.Least, m.Tunnel, m.OfBare, m.OfLeast} {
				require.Positive(t, v, "%s: %+v", r.Transport, r)
			}
		}
		require.InDelta(t, r.Throughput.Tunnel/r.Throughput.Bare, r.Throughput.OfBare, 1e-9)
		require.InDelta(t, r.PingMedian.Bare/r.PingMedian.Tunnel, r.PingMedian.OfBare, 1e-9)
	}
}

func TestRunEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	_, err := Run(ctx, Options{Bytes: 1 << 20, Setups: 16, Pings: 10, Rounds: 3, Say: func(string, ...any) {
		if calls++; calls == 3 {
			cancel()
		}
	}}, clock.System{})
	require.Error(t, err)
}
