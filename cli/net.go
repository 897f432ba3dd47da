package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/filecoin-project/go-address"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/api/porcelain"
)

func (a *app) netCmd() *cobra.Command {
	return a.noun("net", "Peers", []string{"swarm"},
		a.netID(), a.netPeers(), a.netConnect(), a.netDisconnect(), a.netFind(), a.pingCmd(), a.netListen(), a.netReachability(),
		a.netScores(), a.netBandwidth(), a.netBan(), a.netProtect(), a.netUnprotect(), a.netProtected(), a.bootstrapCmd())
}

func (a *app) netID() *cobra.Command {
	return a.verb(verb{
		use: "id", short: "Show the node's peer id",
		example: "  lode net id",
		node: func(ctx context.Context, n api.Node, _ []string) error {
			id, err := n.ID(ctx)
			if err != nil {
				return err
			}
			return a.show(struct{ ID peer.ID }{id}, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, id)
				return err
			})
		},
	})
}

func (a *app) netListen() *cobra.Command {
	return a.verb(verb{
		use: "listen", short: "Show where the node listens, ready for net connect elsewhere",
		example: "  lode --repo other net connect $(lode net listen)",
		node: func(ctx context.Context, n api.Node, _ []string) error {
			info, err := n.NetAddrsListen(ctx)
			if err != nil {
				return err
			}
			return a.show(&info, func(w io.Writer) error {
				for _, m := range info.Addrs {
					if _, err := fmt.Fprintf(w, "%s/p2p/%s\n", m, info.ID); err != nil {
						return err
					}
				}
				return nil
			})
		},
	})
}

// peerRow is a connected peer.
type peerRow struct {
	ID    peer.ID
	Addrs []string
	Agent string
}

func (a *app) netPeers() *cobra.Command {
	var long bool
	return a.verb(verb{
		use: "peers", short: "List connected peers", aliases: []string{"ls"},
		long: "List connected peers. With --long also what the node knows of each: ready peers have greeted us and follow the same chain, " +
			"guests are other programs, such as Kubo, that are served but never asked.",
		example: "  lode net peers\n  lode net peers --long",
		flags: func(f *pflag.FlagSet) {
			f.BoolVarP(&long, "long", "l", false, "show state, direction, latency and score")
		},
		node: func(ctx context.Context, n api.Node, _ []string) error {
			if long {
				return a.sessions(ctx, n)
			}
			infos, err := n.NetPeers(ctx)
			if err != nil {
				return err
			}
			list := []peerRow{}
			for _, i := range infos {
				row := peerRow{ID: i.ID, Addrs: []string{}}
				for _, m := range i.Addrs {
					row.Addrs = append(row.Addrs, m.String())
				}
				if row.Agent, err = n.NetAgentVersion(ctx, i.ID); err != nil {
					row.Agent = "" // it went away, or has not said
				}
				list = append(list, row)
			}
			return a.show(list, func(w io.Writer) error {
				var rows [][]string
				for _, r := range list {
					rows = append(rows, []string{r.ID.String(), dash(r.Agent), strings.Join(r.Addrs, " ")})
				}
				return grid(w, []string{"peer", "agent", "addresses"}, rows)
			})
		},
	})
}

func (a *app) netConnect() *cobra.Command {
	return a.verb(verb{
		use: "connect MULTIADDR|MINER…", short: "Connect to peers",
		long:    "Connect to peers, each named by a multiaddr that ends with its peer id, or by a miner's address, whose peer is on chain.",
		example: "  lode net connect /ip4/1.2.3.4/tcp/4001/p2p/12D3Koo…\n  lode net connect t01000",
		args:    cobra.MinimumNArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			infos := []peer.AddrInfo{}
			for _, s := range args {
				if miner, err := address.NewFromString(s); err == nil {
					info, err := porcelain.MinerPeer(ctx, n, miner)
					if err != nil {
						return err
					}
					infos = append(infos, info)
					continue
				}
				list, err := parsePeers([]string{s})
				if err != nil {
					return err
				}
				infos = append(infos, list...)
			}
			for _, i := range infos {
				if err := n.NetConnect(ctx, i); err != nil {
					return fmt.Errorf("connect %s: %w", i.ID, err)
				}
			}
			return a.show(infos, func(w io.Writer) error {
				for _, i := range infos {
					if _, err := fmt.Fprintf(w, "connect %s: success\n", i.ID); err != nil {
						return err
					}
				}
				return nil
			})
		},
	})
}

func (a *app) netDisconnect() *cobra.Command {
	return a.eachPeer("disconnect PEER…", "Close the connections to peers", "  lode net disconnect 12D3Koo…", func(ctx context.Context, n api.Node, id peer.ID) error {
		return n.NetDisconnect(ctx, id)
	})
}

// eachPeer is a verb that does one thing to each peer named.
func (a *app) eachPeer(use, short, example string, do func(ctx context.Context, n api.Node, id peer.ID) error) *cobra.Command {
	name, _, _ := strings.Cut(use, " ")
	return a.verb(verb{
		use: use, short: short, example: example,
		args: cobra.MinimumNArgs(1),
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
				if err := do(ctx, n, id); err != nil {
					return fmt.Errorf("%s %s: %w", name, id, err)
				}
			}
			return a.show(ids, func(w io.Writer) error {
				for _, id := range ids {
					if _, err := fmt.Fprintf(w, "%s %s: success\n", name, id); err != nil {
						return err
					}
				}
				return nil
			})
		},
	})
}

// peerOf reads a peer id, or finds the peer of a miner on chain. Where it is known, it comes
// with addresses.
func peerOf(ctx context.Context, n api.Node, s string) (peer.AddrInfo, error) {
	if miner, err := address.NewFromString(s); err == nil {
		return porcelain.MinerPeer(ctx, n, miner)
	}
	id, err := parsePeerID(s)
	return peer.AddrInfo{ID: id}, err
}
