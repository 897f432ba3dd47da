package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/tunnel/bench"
)

const benchTunnelLong = `Measure tunnels against what they are made of, over the loopback interface, with TCP and QUIC between the peers.

Three ways take turns: a bare libp2p stream, the least proxy that could carry TCP over one, and a tunnel.
A ratio is the tunnel's part of the other: 1 is as good, more is better. 0.9 of the bare stream is aimed at.`

func (a *app) benchTunnel() *cobra.Command {
	var opt bench.Options
	var mib int64
	return a.verb(verb{
		use: "tunnel", short: "Measure tunnels beside a bare libp2p stream", long: benchTunnelLong,
		example: "  lode bench tunnel\n  lode bench tunnel --mib 1024 --rounds 9 --json",
		flags: func(f *pflag.FlagSet) {
			f.Int64Var(&mib, "mib", 256, "how much is sent in a round")
			f.IntVar(&opt.Setups, "setups", 2000, "how many connections are opened in a round")
			f.IntVar(&opt.Pings, "pings", 5000, "how many round trips are made in a round")
			f.IntVar(&opt.Rounds, "rounds", 5, "rounds of each way; the median counts")
		},
		run: func(ctx context.Context, _ []string) error {
			if mib <= 0 || opt.Setups < 8 || opt.Pings <= 0 || opt.Rounds <= 0 {
				return usagef("sizes must be positive, and --setups at least 8")
			}
			opt.Bytes, opt.Say = mib<<20, a.say
			results, err := bench.Run(ctx, opt, clock.System{})
			if err != nil {
				return err
			}
			return a.show(results, func(w io.Writer) error { return showTunnelBench(w, results) })
		},
	})
}

func showTunnelBench(w io.Writer, results []bench.Result) error {
	rate := func(v float64) string { return fmt.Sprintf("%.0f MiB/s", v/(1<<20)) }
	count := func(v float64) string { return fmt.Sprintf("%.0f/s", v) }
	span := func(v float64) string {
		return time.Duration(v * float64(time.Second)).Round(100 * time.Nanosecond).String()
	}
	var rows [][]string
	for _, r := range results {
		for _, q := range []struct {
			name string
			m    bench.Measure
			show func(float64) string
		}{{"throughput", r.Throughput, rate}, {"set-up rate", r.SetupRate, count}, {"ping-pong, median", r.PingMedian, span}, {"ping-pong, p99", r.PingSlowest, span}} {
			rows = append(rows, []string{
				r.Transport, q.name, q.show(q.m.Bare), q.show(q.m.Least), q.show(q.m.Tunnel),
				fmt.Sprintf("%.2f", q.m.OfBare), fmt.Sprintf("%.2f", q.m.OfLeast),
			})
		}
	}
	return grid(w, []string{"between", "what", ">bare stream", ">least proxy", ">tunnel", ">of bare", ">of least"}, rows)
}
