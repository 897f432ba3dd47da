package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/api"
)

func (a *app) dhtCmd() *cobra.Command {
	return a.noun("dht", "Look-up of peers and content in the network", nil, a.netFind(), a.dhtFindProvs(), a.dhtProvide(), a.dhtQuery())
}

func (a *app) dhtFindProvs() *cobra.Command {
	var n int
	return a.verb(verb{
		use: "findprovs CID", short: "Find peers that announced content", aliases: []string{"find-providers"},
		example: "  lode dht findprovs bafybei…",
		args:    cobra.ExactArgs(1),
		flags:   func(f *pflag.FlagSet) { f.IntVarP(&n, "num-providers", "n", 20, "stop after this many (0: find all)") },
		node: func(ctx context.Context, node api.Node, args []string) error {
			c, err := parseCid(args[0])
			if err != nil {
				return err
			}
			list, err := node.DhtFindProviders(ctx, c, n)
			if err != nil {
				return err
			}
			if len(list) == 0 {
				return fmt.Errorf("no peer of this network has announced %s", c)
			}
			return a.peerAddrs(list)
		},
	})
}

func (a *app) dhtProvide() *cobra.Command {
	return a.verb(verb{
		use: "provide CID…", short: "Announce content of this node now",
		long:    "Announce content of this node now. The node does so by itself for what it imports and for the files of its deals, once a day.",
		example: "  lode dht provide bafybei…",
		args:    cobra.MinimumNArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			for _, s := range args {
				c, err := parseCid(s)
				if err != nil {
					return err
				}
				if err := n.DhtProvide(ctx, c); err != nil {
					return err
				}
			}
			return a.show(args, func(w io.Writer) error {
				for _, s := range args {
					if _, err := fmt.Fprintf(w, "%s: announced\n", s); err != nil {
						return err
					}
				}
				return nil
			})
		},
	})
}

func (a *app) dhtQuery() *cobra.Command {
	return a.verb(verb{
		use: "query PEER", short: "Find the peers nearest to an id",
		example: "  lode dht query 12D3Koo…",
		args:    cobra.ExactArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			id, err := parsePeerID(args[0])
			if err != nil {
				return err
			}
			list, err := n.DhtQuery(ctx, id)
			if err != nil {
				return err
			}
			return a.peerIDs(list)
		},
	})
}
