package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/api"
)

// sessions shows the connected peers at length.
func (a *app) sessions(ctx context.Context, n api.Node) error {
	list, err := n.NetSessions(ctx)
	if err != nil {
		return err
	}
	return a.show(list, func(w io.Writer) error {
		var rows [][]string
		for _, p := range list {
			way := "out"
			if p.Inbound {
				way = "in"
			}
			rows = append(rows, []string{p.ID.String(), p.State, way, took(p.Latency), fmt.Sprintf("%.1f", p.Score), dash(p.Agent), strings.Join(p.Addrs, " ")})
		}
		return grid(w, []string{"peer", "state", "way", ">latency", ">score", "agent", "addresses"}, rows)
	})
}

// took shows a short time; none is a dash.
func took(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return d.Round(10 * time.Microsecond).String()
}

func (a *app) netScores() *cobra.Command {
	return a.verb(verb{
		use: "scores", short: "Show how peers behave, worst first",
		long:    "Show how the connected peers behave, worst first. 0 is neutral, -100 is a ban; old faults weigh half after ten minutes.",
		example: "  lode net scores",
		node: func(ctx context.Context, n api.Node, _ []string) error {
			all, err := n.NetSessions(ctx)
			if err != nil {
				return err
			}
			type row struct {
				ID    peer.ID
				State string
				Score float64
			}
			list := []row{}
			for _, p := range all {
				list = append(list, row{p.ID, p.State, p.Score})
			}
			slices.SortStableFunc(list, func(a, b row) int { return cmp.Compare(a.Score, b.Score) })
			return a.show(list, func(w io.Writer) error {
				var rows [][]string
				for _, p := range list {
					rows = append(rows, []string{p.ID.String(), p.State, fmt.Sprintf("%.1f", p.Score)})
				}
				return grid(w, []string{"peer", "state", ">score"}, rows)
			})
		},
	})
}

func (a *app) netFind() *cobra.Command {
	return a.verb(verb{
		use: "findpeer PEER|MINER", short: "Find a peer's addresses", aliases: []string{"find", "find-peer"},
		long:    "Find a peer's addresses: of connected peers at once, else in the network's DHT. For a miner, the chain says who its peer is.",
		example: "  lode net findpeer 12D3Koo…\n  lode net findpeer t01000",
		args:    cobra.ExactArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			who, err := peerOf(ctx, n, args[0])
			if err != nil {
				return err
			}
			info, err := n.NetFindPeer(ctx, who.ID)
			if err != nil {
				if len(who.Addrs) == 0 {
					return err
				}
				info = who // what is on chain is better than nothing
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

func (a *app) netReachability() *cobra.Command {
	return a.verb(verb{
		use: "reachability", short: "Show whether others can dial this node", aliases: []string{"reach"},
		long: "Show whether others can dial this node, as peers have found. When it is private: forward the port of Libp2p.ListenAddresses, " +
			"set Libp2p.NatPortMap, or name relays in Libp2p.Relays.",
		example: "  lode net reachability",
		node: func(ctx context.Context, n api.Node, _ []string) error {
			info, err := n.NetAutoNatStatus(ctx)
			if err != nil {
				return err
			}
			return a.show(struct {
				Reachability string
				PublicAddrs  []string
			}{info.Reachability.String(), info.PublicAddrs}, func(w io.Writer) error {
				return fields(w, "Reachability", info.Reachability.String(), "Public addresses", dash(strings.Join(info.PublicAddrs, " ")))
			})
		},
	})
}

func (a *app) netBan() *cobra.Command {
	return a.noun("ban", "Who may not connect", []string{"block"}, a.netBanLs(), a.netBanAdd(), a.netBanRm())
}

func (a *app) netBanLs() *cobra.Command {
	return a.verb(verb{
		use: "ls", short: "List who may not connect", aliases: []string{"list"},
		example: "  lode net ban ls",
		node: func(ctx context.Context, n api.Node, _ []string) error {
			list, err := n.NetBans(ctx)
			if err != nil {
				return err
			}
			return a.show(list, func(w io.Writer) error {
				var rows [][]string
				for _, b := range list {
					rows = append(rows, []string{banned(b), when(b.Until), b.Reason})
				}
				return grid(w, []string{"who", "until", "reason"}, rows)
			})
		},
	})
}

func banned(b api.NetBan) string {
	if b.Peer != nil {
		return b.Peer.String()
	}
	return b.Net
}

// parseBan reads a peer id, an address or a range.
func parseBan(s string) api.NetBan {
	if id, err := peer.Decode(s); err == nil {
		return api.NetBan{Peer: &id}
	}
	return api.NetBan{Net: s}
}

func (a *app) netBanAdd() *cobra.Command {
	var d time.Duration
	return a.verb(verb{
		use: "add PEER|IP|RANGE…", short: "Keep peers or addresses out",
		example: "  lode net ban add 12D3Koo… --for 1h\n  lode net ban add 192.0.2.0/24 2001:db8::1",
		args:    cobra.MinimumNArgs(1),
		flags:   func(f *pflag.FlagSet) { f.DurationVar(&d, "for", 24*time.Hour, "how long") },
		node: func(ctx context.Context, n api.Node, args []string) error {
			if d <= 0 {
				return usagef("--for %s is not positive", d)
			}
			return a.bans(args, "banned", func(b api.NetBan) error {
				b.Until = time.Now().Add(d)
				return n.NetBan(ctx, b)
			})
		},
	})
}

func (a *app) netBanRm() *cobra.Command {
	return a.verb(verb{
		use: "rm PEER|IP|RANGE…", short: "Let peers or addresses in again", aliases: []string{"remove"},
		example: "  lode net ban rm 12D3Koo…",
		args:    cobra.MinimumNArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			return a.bans(args, "let in again", func(b api.NetBan) error { return n.NetUnban(ctx, b) })
		},
	})
}

func (a *app) bans(args []string, done string, do func(api.NetBan) error) error {
	for _, s := range args {
		if err := do(parseBan(s)); err != nil {
			return err
		}
	}
	return a.show(args, func(w io.Writer) error {
		for _, s := range args {
			if _, err := fmt.Fprintf(w, "%s: %s\n", s, done); err != nil {
				return err
			}
		}
		return nil
	})
}

func (a *app) netProtect() *cobra.Command {
	return a.eachPeer("protect PEER…", "Keep the connections to peers when there are too many", "  lode net protect 12D3Koo…",
		func(ctx context.Context, n api.Node, id peer.ID) error { return n.NetProtectAdd(ctx, []peer.ID{id}) })
}

func (a *app) netUnprotect() *cobra.Command {
	return a.eachPeer("unprotect PEER…", "No longer keep the connections to peers", "  lode net unprotect 12D3Koo…",
		func(ctx context.Context, n api.Node, id peer.ID) error {
			return n.NetProtectRemove(ctx, []peer.ID{id})
		})
}

func (a *app) netProtected() *cobra.Command {
	return a.verb(verb{
		use: "protected", short: "List the connected peers that are protected",
		example: "  lode net protected",
		node: func(ctx context.Context, n api.Node, _ []string) error {
			list, err := n.NetProtectList(ctx)
			if err != nil {
				return err
			}
			return a.peerIDs(list)
		},
	})
}

// peerIDs shows one a line.
func (a *app) peerIDs(list []peer.ID) error {
	return a.show(list, func(w io.Writer) error {
		for _, id := range list {
			if _, err := fmt.Fprintln(w, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// peerAddrs shows one address a line, ready for net connect.
func (a *app) peerAddrs(list []peer.AddrInfo) error {
	return a.show(list, func(w io.Writer) error {
		for _, i := range list {
			for _, m := range i.Addrs {
				if _, err := fmt.Fprintf(w, "%s/p2p/%s\n", m, i.ID); err != nil {
					return err
				}
			}
			if len(i.Addrs) == 0 {
				if _, err := fmt.Fprintf(w, "/p2p/%s\n", i.ID); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
