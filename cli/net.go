package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/api/porcelain"
	"github.com/lodenet/lode/chain/types"
)

func (a *app) netCmd() *cobra.Command {
	return a.noun("net", "Peers", nil, a.netID(), a.netPeers(), a.netConnect(), a.netDisconnect(), a.netListen())
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
	return a.verb(verb{
		use: "peers", short: "List connected peers", aliases: []string{"ls"},
		example: "  lode net peers",
		node: func(ctx context.Context, n api.Node, _ []string) error {
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
		use: "connect MULTIADDR…", short: "Connect to peers",
		example: "  lode net connect /ip4/1.2.3.4/tcp/4001/p2p/12D3Koo…",
		args:    cobra.MinimumNArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			infos, err := parsePeers(args)
			if err != nil {
				return err
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
	return a.verb(verb{
		use: "disconnect PEER…", short: "Close the connections to peers",
		example: "  lode net disconnect 12D3Koo…",
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
				if err := n.NetDisconnect(ctx, id); err != nil {
					return fmt.Errorf("disconnect %s: %w", id, err)
				}
			}
			return a.show(ids, func(w io.Writer) error {
				for _, id := range ids {
					if _, err := fmt.Fprintf(w, "disconnect %s: success\n", id); err != nil {
						return err
					}
				}
				return nil
			})
		},
	})
}

func (a *app) syncCmd() *cobra.Command {
	return a.noun("sync", "How the node follows the chain", nil, a.syncStatus(), a.syncWait())
}

func (a *app) syncStatus() *cobra.Command {
	return a.verb(verb{
		use: "status", short: "Show what the syncer does",
		example: "  lode sync status",
		node: func(ctx context.Context, n api.Node, _ []string) error {
			st, err := n.SyncState(ctx)
			if err != nil {
				return err
			}
			return a.show(st, func(w io.Writer) error {
				if len(st.ActiveSyncs) == 0 {
					_, err := fmt.Fprintln(w, "nothing to do: the head is the heaviest that is known")
					return err
				}
				var rows [][]string
				for _, s := range st.ActiveSyncs {
					took := "-"
					if !s.Start.IsZero() && !s.End.IsZero() {
						took = seconds(s.End.Sub(s.Start))
					}
					rows = append(rows, []string{fmt.Sprint(s.WorkerID), height(s.Base), height(s.Target), s.Stage.String(), fmt.Sprint(s.Height), took, s.Message})
				}
				return grid(w, []string{">worker", ">base", ">target", "stage", ">at", "took", "message"}, rows)
			})
		},
	})
}

func height(ts *types.TipSet) string {
	if ts == nil {
		return "-"
	}
	return fmt.Sprint(ts.Height())
}

func (a *app) syncWait() *cobra.Command {
	return a.verb(verb{
		use: "wait", short: "Wait until the head keeps up with the clock",
		example: "  lode sync wait --timeout 10m",
		node: func(ctx context.Context, n api.Node, _ []string) error {
			err := porcelain.OnHead(ctx, n, func(ctx context.Context, head *types.TipSet) (bool, error) {
				st, err := n.NodeStatus(ctx, false)
				if err != nil {
					return false, err
				}
				a.say("epoch %d, %d behind", st.SyncStatus.Epoch, st.SyncStatus.Behind)
				return st.SyncStatus.Behind <= keepsUp, nil
			})
			if err != nil {
				return err
			}
			return a.show(struct{ Synced bool }{true}, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, "the node keeps up with the chain")
				return err
			})
		},
	})
}

// keepsUp is how many epochs behind the clock a head may be: blocks come late, and some
// rounds have none.
const keepsUp = 3
