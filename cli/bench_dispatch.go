package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/network/dispatch/dispatchbench"
)

func (a *app) benchDispatch() *cobra.Command {
	var least time.Duration
	return a.verb(verb{
		use: "dispatch", short: "Measure the dispatcher beside bare channels and a central queue",
		long: "Measure what publishing a message costs with 1, 4 and 64 subscribers and with one that is stuck, " +
			"and how long a message of a quiet topic takes beside a flood on another. " +
			"A bare channel and a dispatcher with one queue for all topics are measured in the same run; a ratio is the dispatcher's time divided by theirs.",
		example: "  lode bench dispatch\n  lode bench dispatch --measure 5s --json",
		flags: func(f *pflag.FlagSet) {
			f.DurationVar(&least, "measure", time.Second, "how long to measure each figure")
		},
		run: func(ctx context.Context, _ []string) error {
			r, err := dispatchbench.Run(ctx, dispatchbench.Env{
				Now: time.Now, Least: least, Progress: func(what string) { a.say("measuring: %s", what) },
			})
			if err != nil {
				return err
			}
			return a.show(r, func(w io.Writer) error { return printDispatch(w, r) })
		},
	})
}

func printDispatch(w io.Writer, r *dispatchbench.Report) error {
	var rows [][]string
	ns := func(v float64) string { return fmt.Sprintf("%.0f", v) }
	for _, c := range r.Costs {
		rows = append(rows, []string{
			fmt.Sprint(c.Subscribers), fmt.Sprint(c.Stuck), ns(c.Dispatch), ns(c.Channel), ns(c.Central),
			fmt.Sprintf("%.2f", c.OverChannel), fmt.Sprintf("%.2f", c.OverCentral),
			fmt.Sprintf("%.0f / %.0f / %.0f %%", 100*c.DispatchArrived, 100*c.ChannelArrived, 100*c.CentralArrived),
		})
	}
	if err := grid(w, []string{">subscribers", ">stuck", ">dispatch ns", ">channel ns", ">central ns", ">over channel", ">over central", ">arrived"}, rows); err != nil {
		return err
	}
	rows = nil
	for _, l := range []struct {
		name string
		l    dispatchbench.Latency
	}{{"dispatch", r.Flood.Dispatch}, {"channel", r.Flood.Channel}, {"central", r.Flood.Central}} {
		rows = append(rows, []string{l.name, l.l.P50.String(), l.l.P99.String(), l.l.Max.String(), fmt.Sprint(l.l.N)})
	}
	return grid(w, []string{"beside a flood", ">p50", ">p99", ">max", ">messages"}, rows)
}
