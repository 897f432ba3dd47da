package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/lodenet/lode/api"
)

func (a *app) bitswapCmd() *cobra.Command {
	return a.noun("bitswap", "Blocks that go to and fro", nil, a.bitswapStat())
}

func (a *app) bitswapStat() *cobra.Command {
	return a.verb(verb{
		use: "stat", short: "Show what was exchanged since the start",
		long:    "Show what was exchanged since the start: blocks of the chain under one protocol, content under another.",
		example: "  lode bitswap stat",
		node: func(ctx context.Context, n api.Node, _ []string) error {
			list, err := n.BitswapStat(ctx)
			if err != nil {
				return err
			}
			return a.show(list, func(w io.Writer) error {
				var rows [][]string
				for _, s := range list {
					rows = append(rows, []string{
						string(s.Protocol), fmt.Sprint(len(s.Peers)), fmt.Sprint(len(s.Wantlist)), fmt.Sprint(s.BlocksReceived), size(s.DataReceived),
						fmt.Sprint(s.BlocksSent), size(s.DataSent), fmt.Sprint(s.DupBlksReceived),
					})
				}
				return grid(w, []string{"protocol", ">peers", ">wanted", ">blocks in", ">bytes in", ">blocks out", ">bytes out", ">twice"}, rows)
			})
		},
	})
}
