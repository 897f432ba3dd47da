package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"

	"github.com/lodenet/lode/api"
)

func (a *app) bootstrapCmd() *cobra.Command {
	return a.noun("bootstrap", "The peers to start from", nil, a.bootstrapLs(), a.bootstrapAdd(), a.bootstrapRm())
}

func (a *app) bootstrapLs() *cobra.Command {
	return a.verb(verb{
		use: "ls", short: "List the peers to start from", aliases: []string{"list"},
		long:    "List the peers to start from: those of network.toml and of the settings, with the changes made by add and rm.",
		example: "  lode bootstrap ls",
		node: func(ctx context.Context, n api.Node, _ []string) error {
			list, err := n.NetBootstrapList(ctx)
			if err != nil {
				return err
			}
			return a.peerAddrs(list)
		},
	})
}

func (a *app) bootstrapAdd() *cobra.Command {
	return a.verb(verb{
		use: "add MULTIADDR…", short: "Start from these peers too, from now on",
		example: "  lode bootstrap add /ip4/1.2.3.4/tcp/4001/p2p/12D3Koo…",
		args:    cobra.MinimumNArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			list, err := parsePeers(args)
			if err != nil {
				return err
			}
			for _, i := range list {
				if err := n.NetBootstrapAdd(ctx, i); err != nil {
					return err
				}
			}
			return a.peerAddrs(list)
		},
	})
}

func (a *app) bootstrapRm() *cobra.Command {
	return a.verb(verb{
		use: "rm PEER…", short: "Start from these peers no longer", aliases: []string{"remove"},
		long:    "Start from these peers no longer, also when network.toml or the settings name them. Open connections stay.",
		example: "  lode bootstrap rm 12D3Koo…",
		args:    cobra.MinimumNArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			ids := []peer.ID{}
			for _, s := range args {
				id, err := parsePeerID(s)
				if err != nil {
					return err
				}
				ids = append(ids, id)
			}
			for _, id := range ids {
				if err := n.NetBootstrapRemove(ctx, id); err != nil {
					return err
				}
			}
			return a.show(ids, func(w io.Writer) error {
				for _, id := range ids {
					if _, err := fmt.Fprintf(w, "%s: removed\n", id); err != nil {
						return err
					}
				}
				return nil
			})
		},
	})
}
