package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/api"
)

func (a *app) pingCmd() *cobra.Command {
	var count int
	var pause time.Duration
	return a.verb(verb{
		use: "ping PEER|MINER", short: "Measure the way to a peer and back",
		example: "  lode ping 12D3Koo… -c 3\n  lode ping t01000",
		args:    cobra.ExactArgs(1),
		flags: func(f *pflag.FlagSet) {
			f.IntVarP(&count, "count", "c", 10, "how often")
			f.DurationVarP(&pause, "interval", "i", time.Second, "pause between two")
		},
		node: func(ctx context.Context, n api.Node, args []string) error {
			if count <= 0 || pause < 0 {
				return usagef("--count and --interval are positive")
			}
			who, err := peerOf(ctx, n, args[0])
			if err != nil {
				return err
			}
			if len(who.Addrs) > 0 {
				if err := n.NetConnect(ctx, who); err != nil {
					return err
				}
			}
			return a.pings(ctx, n, who.ID, count, pause)
		},
	})
}

func (a *app) pings(ctx context.Context, n api.Node, id peer.ID, count int, pause time.Duration) error {
	out := struct {
		Peer    peer.ID
		Times   []time.Duration
		Average time.Duration
	}{Peer: id, Times: []time.Duration{}}
	var sum time.Duration
	for i := range count {
		if i > 0 {
			t := time.NewTimer(pause)
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
				return ctx.Err()
			}
		}
		rtt, err := n.NetPing(ctx, id)
		if err != nil {
			return err
		}
		sum += rtt
		out.Times = append(out.Times, rtt)
		if !a.json {
			if _, err := fmt.Fprintf(a.Out, "Pong received: time=%s\n", rtt); err != nil {
				return err
			}
		}
	}
	out.Average = sum / time.Duration(count)
	return a.show(&out, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "Average: %s\n", out.Average)
		return err
	})
}
