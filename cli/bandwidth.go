package cli

import (
	"context"
	"io"
	"maps"
	"slices"

	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/api"
)

// segment is a part of the traffic.
type segment struct {
	Segment string
	metrics.Stats
}

func (a *app) netBandwidth() *cobra.Command {
	var byPeer, byProtocol bool
	return a.verb(verb{
		use: "bandwidth", short: "Show how many bytes streams carried since the start", aliases: []string{"stats"},
		long:    "Show how many bytes streams carried since the start, and the rates of the last seconds.",
		example: "  lode net bandwidth\n  lode net bandwidth --by-protocol",
		flags: func(f *pflag.FlagSet) {
			f.BoolVar(&byPeer, "by-peer", false, "a line for each peer")
			f.BoolVar(&byProtocol, "by-protocol", false, "a line for each protocol")
		},
		node: func(ctx context.Context, n api.Node, _ []string) error {
			list, err := segments(ctx, n, byPeer, byProtocol)
			if err != nil {
				return err
			}
			return a.show(list, func(w io.Writer) error {
				var rows [][]string
				for _, s := range list {
					rows = append(rows, []string{dash(s.Segment), size(uint64(s.TotalIn)), size(uint64(s.TotalOut)), size(uint64(s.RateIn)) + "/s", size(uint64(s.RateOut)) + "/s"})
				}
				return grid(w, []string{"segment", ">total in", ">total out", ">rate in", ">rate out"}, rows)
			})
		},
	})
}

func segments(ctx context.Context, n api.Node, byPeer, byProtocol bool) ([]segment, error) {
	out := []segment{}
	if byPeer {
		m, err := n.NetBandwidthStatsByPeer(ctx)
		if err != nil {
			return nil, err
		}
		for _, k := range slices.Sorted(maps.Keys(m)) {
			out = append(out, segment{k, m[k]})
		}
	}
	if byProtocol {
		m, err := n.NetBandwidthStatsByProtocol(ctx)
		if err != nil {
			return nil, err
		}
		for _, k := range slices.Sorted(maps.Keys(m)) {
			out = append(out, segment{string(k), m[k]})
		}
	}
	if !byPeer && !byProtocol {
		s, err := n.NetBandwidthStats(ctx)
		if err != nil {
			return nil, err
		}
		out = append(out, segment{"all", s})
	}
	return out, nil
}
