package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/api/client"
	"github.com/lodenet/lode/repo"
)

// nodeStatus is what lode status prints.
type nodeStatus struct {
	Network string
	Proofs  string
	Version string
	ID      string
	Started time.Time
	Status  api.NodeStatus
}

func (a *app) statusCmd() *cobra.Command {
	return a.verb(verb{
		use: "status", short: "Show how the node is",
		example: "  lode status\n  lode --repo net/node-0 status --json",
		node: func(ctx context.Context, n api.Node, _ []string) error {
			v, err := n.Version(ctx)
			if err != nil {
				return err
			}
			id, err := n.ID(ctx)
			if err != nil {
				return err
			}
			started, err := n.StartTime(ctx)
			if err != nil {
				return err
			}
			st, err := n.NodeStatus(ctx, true)
			if err != nil {
				return err
			}
			out := &nodeStatus{v.Network, v.Proofs, v.Version, id.String(), started, st}
			return a.show(out, func(w io.Writer) error {
				health := "yes"
				if !st.Healthy {
					health = "no: " + st.Reason
				}
				return fields(w,
					"Network", v.Network,
					"Proofs", proofsNote(v.Proofs),
					"Version", v.Version,
					"Peer", id.String(),
					"Started", when(started),
					"Healthy", health,
					"Epoch", fmt.Sprintf("%d (%d behind the clock)", st.SyncStatus.Epoch, st.SyncStatus.Behind),
					"Base fee", price(st.ChainStatus.BaseFee)+" per gas unit",
					"Peers", fmt.Sprintf("%d for blocks, %d for messages", st.PeerStatus.PeersToPublishBlocks, st.PeerStatus.PeersToPublishMsgs),
				)
			})
		},
	})
}

// proofsNote says loudly what a proof system is not worth.
func proofsNote(name string) string {
	if name == "insecure" {
		return "insecure — proves nothing to anyone, for development only"
	}
	return name
}

func (a *app) stopCmd() *cobra.Command {
	return a.verb(verb{
		use: "stop", short: "Ask the node to stop",
		long:    "Ask the node to stop. It ends what it does, closes its repo and exits; that may take some seconds after this command.",
		example: "  lode stop",
		node: func(ctx context.Context, n api.Node, _ []string) error {
			if err := n.Shutdown(ctx); err != nil {
				return err
			}
			return a.show(struct{ Stopping bool }{true}, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, "the node is stopping")
				return err
			})
		},
	})
}

// apiPoll is how often wait-api looks.
const apiPoll = 200 * time.Millisecond

func (a *app) waitAPICmd() *cobra.Command {
	return a.verb(verb{
		use: "wait-api", short: "Wait until the node answers",
		example: "  lode wait-api --timeout 30s",
		run: func(ctx context.Context, _ []string) error {
			tick := time.NewTicker(apiPoll)
			defer tick.Stop()
			for {
				err := a.withNode(ctx, func(n api.Node) error { _, err := n.Version(ctx); return err })
				if err == nil {
					return a.show(struct{ Answers bool }{true}, func(w io.Writer) error {
						_, err := fmt.Fprintln(w, "the node answers")
						return err
					})
				}
				if !errors.Is(err, repo.ErrNoDaemon) && !errors.Is(err, client.ErrUnreachable) {
					return err
				}
				select {
				case <-tick.C:
				case <-ctx.Done():
					return fmt.Errorf("%w: %w", err, context.Cause(ctx))
				}
			}
		},
	})
}
