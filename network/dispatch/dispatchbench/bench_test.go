package dispatchbench_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lodenet/lode/network/dispatch/dispatchbench"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRun(t *testing.T) {
	e := dispatchbench.Env{Now: time.Now, Least: 5 * time.Millisecond, Progress: func(string) {}}
	r, err := dispatchbench.Run(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Costs) != 4 {
		t.Fatalf("%d costs", len(r.Costs))
	}
	for _, c := range r.Costs {
		if c.Dispatch <= 0 || c.Channel <= 0 || c.Central <= 0 || c.OverChannel <= 0 || c.OverCentral <= 0 {
			t.Errorf("no figure in %+v", c)
		}
	}
	for _, l := range []dispatchbench.Latency{r.Flood.Dispatch, r.Flood.Channel, r.Flood.Central} {
		if l.N == 0 || l.P50 > l.P99 || l.P99 > l.Max || l.Max <= 0 {
			t.Errorf("latency %+v", l)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dispatchbench.Run(ctx, e); err == nil {
		t.Error("a cancelled run has a report")
	}
}
