package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/api/porcelain"
	"github.com/lodenet/lode/chain/types"
)

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
