package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/api"
)

func (a *app) sectorCmd() *cobra.Command {
	return a.noun("sector", "This provider's sectors", []string{"sectors"}, a.sectorLs(), a.sectorShow(), a.sectorPledge(), a.sectorSeal(),
		a.sectorRetry(), a.sectorTerminate(), a.sectorRm())
}

func (a *app) sectorLs() *cobra.Command {
	return a.verb(verb{
		use: "ls", short: "List the sectors", aliases: []string{"list"},
		example: "  lode sector ls",
		node: func(ctx context.Context, n api.Node, _ []string) error {
			list, err := n.SectorsProgress(ctx)
			if err != nil {
				return err
			}
			if list == nil {
				list = []api.SectorProgress{}
			}
			return a.show(list, func(w io.Writer) error {
				rows := make([][]string, 0, len(list))
				for _, s := range list {
					state := s.State
					if s.Progress > 0 {
						state += fmt.Sprintf(" %.0f%%", 100*s.Progress)
					}
					rows = append(rows, []string{
						fmt.Sprint(s.Sector), state, fmt.Sprint(s.Deals), size(uint64(s.Used)), yesNo(s.Active), epochOr(s.Expires), s.LastErr,
					})
				}
				return grid(w, []string{">sector", "state", ">deals", ">used", "active", ">expires", "last error"}, rows)
			})
		},
	})
}

func epochOr(e abi.ChainEpoch) string {
	if e == 0 {
		return "-"
	}
	return fmt.Sprint(e)
}

func (a *app) sectorShow() *cobra.Command {
	var log bool
	return a.verb(verb{
		use: "show NUMBER", short: "Show a sector and what the chain says of it", aliases: []string{"status"},
		example: "  lode sector show 3 --log",
		args:    cobra.ExactArgs(1),
		flags:   func(f *pflag.FlagSet) { f.BoolVar(&log, "log", false, "with its history") },
		node: func(ctx context.Context, n api.Node, args []string) error {
			number, err := parseSector(args[0])
			if err != nil {
				return err
			}
			s, err := n.SectorsStatus(ctx, number, true)
			if err != nil {
				return err
			}
			return a.show(s, func(w io.Writer) error {
				if err := showSector(w, s); err != nil || !log {
					return err
				}
				rows := make([][]string, 0, len(s.Log))
				for _, l := range s.Log {
					rows = append(rows, []string{when(time.Unix(int64(l.Timestamp), 0)), l.Kind, l.Message})
				}
				return grid(w, []string{"time", "event", "message"}, rows)
			})
		},
	})
}

func showSector(w io.Writer, s *api.SectorInfo) error {
	if err := fields(w, "Sector", fmt.Sprint(s.SectorID), "State", s.State, "Last error", s.LastErr, "Retries", fmt.Sprint(s.Retries),
		"CommD", cidText(s.CommD), "CommR", cidText(s.CommR), "Ticket", fmt.Sprintf("epoch %d", s.Ticket.Epoch), "Seed", fmt.Sprintf("epoch %d", s.Seed.Epoch),
		"Pre-commit", cidText(s.PreCommitMsg), "Commit", cidText(s.CommitMsg), "Active since", epochOr(s.Activation), "Expires", epochOr(s.Expiration),
		"Pledge", pledge(s)); err != nil {
		return err
	}
	rows := make([][]string, 0, len(s.Pieces))
	for _, p := range s.Pieces {
		deal := "filler"
		if p.DealInfo != nil {
			deal = fmt.Sprintf("deal %d", p.DealInfo.DealID)
		}
		rows = append(rows, []string{p.Piece.PieceCID.String(), size(uint64(p.Piece.Size)), deal})
	}
	return grid(w, []string{"piece", ">size", "holds"}, rows)
}

func pledge(s *api.SectorInfo) string {
	if s.InitialPledge.Int == nil {
		return ""
	}
	return fil(s.InitialPledge)
}

func (a *app) sectorPledge() *cobra.Command {
	var count int
	return a.verb(verb{
		use: "pledge", short: "Begin sectors without data, for power alone",
		example: "  lode sector pledge --count 2 --yes",
		flags:   func(f *pflag.FlagSet) { f.IntVarP(&count, "count", "n", 1, "how many") },
		node: func(ctx context.Context, n api.Node, _ []string) error {
			if count < 1 {
				return usagef("--count %d is not positive", count)
			}
			if err := a.confirm(fmt.Sprintf("seal %d sectors without data; each locks a pledge", count)); err != nil {
				return err
			}
			list := []abi.SectorID{}
			for range count {
				id, err := n.PledgeSector(ctx)
				if err != nil && len(list) > 0 {
					return fmt.Errorf("%d of %d sectors were begun, the last is %d: %w", len(list), count, list[len(list)-1].Number, err)
				}
				if err != nil {
					return err
				}
				list = append(list, id)
			}
			return a.show(list, func(w io.Writer) error {
				for _, id := range list {
					if _, err := fmt.Fprintln(w, id.Number); err != nil {
						return err
					}
				}
				return nil
			})
		},
	})
}

func (a *app) sectorSeal() *cobra.Command {
	return a.sectorVerb(verb{
		use: "seal NUMBER", short: "Seal a sector that still waits for deals",
		example: "  lode sector seal 3",
	}, "", "sealing", api.Node.SectorStartSealing)
}

func (a *app) sectorRetry() *cobra.Command {
	return a.sectorVerb(verb{
		use: "retry NUMBER", short: "Let a sector that failed go on at once",
		long:    "Let a sector that failed go on at once. By itself it does so after a pause that grows with every failure; lode sector show tells what failed.",
		example: "  lode sector retry 3",
	}, "", "goes on", api.Node.SectorRetry)
}

func (a *app) sectorTerminate() *cobra.Command {
	return a.sectorVerb(verb{
		use: "terminate NUMBER", short: "End a sector on chain before its time, for a fee",
		long: "End a sector on chain before its time. The chain takes a fee out of the pledge, and deals in the sector end with the provider's collateral lost. " +
			"The files stay until the termination is final.",
		example: "  lode sector terminate 3 --yes",
	}, "end sector %d before its time; this costs a fee, and deals in it lose their collateral", "terminating", api.Node.SectorTerminate)
}

func (a *app) sectorRm() *cobra.Command {
	return a.sectorVerb(verb{
		use: "rm NUMBER", short: "Delete a sector that is not on chain, with its files", aliases: []string{"remove"},
		long:    "Delete a sector that is not on chain, with its files. A deposit made for it is lost. One that is on chain must be terminated first.",
		example: "  lode sector rm 3 --yes",
	}, "delete sector %d and its files; a deposit made for it is lost", "removing", api.Node.SectorRemove)
}

// sectorVerb completes a verb that does one thing to one sector, after asking if there is a
// question.
func (a *app) sectorVerb(v verb, question, done string, do func(api.Node, context.Context, abi.SectorNumber) error) *cobra.Command {
	v.args = cobra.ExactArgs(1)
	v.node = func(ctx context.Context, n api.Node, args []string) error {
		number, err := parseSector(args[0])
		if err != nil {
			return err
		}
		if question != "" {
			if err := a.confirm(fmt.Sprintf(question, number)); err != nil {
				return err
			}
		}
		if err := do(n, ctx, number); err != nil {
			return err
		}
		return a.show(struct{ Sector abi.SectorNumber }{number}, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "sector %d: %s\n", number, done)
			return err
		})
	}
	return a.verb(v)
}

func (a *app) provingCmd() *cobra.Command {
	return a.noun("proving", "Window proofs of this provider", nil, a.provingShow(), a.provingDeadlines())
}

func (a *app) provingShow() *cobra.Command {
	return a.verb(verb{
		use: "show [MINER]", short: "Show the deadline that is open or comes next", aliases: []string{"info"},
		example: "  lode proving show",
		args:    cobra.MaximumNArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			m, err := minerOf(ctx, n, args)
			if err != nil {
				return err
			}
			head, err := n.ChainHead(ctx)
			if err != nil {
				return err
			}
			d, err := n.StateMinerProvingDeadline(ctx, m, head.Key())
			if err != nil {
				return err
			}
			c, err := n.StateMinerSectorCount(ctx, m, head.Key())
			if err != nil {
				return err
			}
			out := &struct {
				Miner    string
				Deadline any
				Sectors  api.MinerSectors
			}{m.String(), d, c}
			return a.show(out, func(w io.Writer) error {
				return fields(w, "Miner", m.String(), "Epoch", fmt.Sprint(d.CurrentEpoch), "Period", fmt.Sprintf("%d to %d", d.PeriodStart, d.PeriodEnd()),
					"Deadline", fmt.Sprintf("%d of %d", d.Index, d.WPoStPeriodDeadlines), "Open", fmt.Sprintf("%d to %d", d.Open, d.Close),
					"Challenge", fmt.Sprint(d.Challenge), "Faulty", fmt.Sprintf("%d of %d sectors", c.Faulty, c.Live))
			})
		},
	})
}

func (a *app) provingDeadlines() *cobra.Command {
	var all bool
	return a.verb(verb{
		use: "deadlines", short: "List the deadlines and what this node did in each", aliases: []string{"ls"},
		example: "  lode proving deadlines --all",
		flags:   func(f *pflag.FlagSet) { f.BoolVar(&all, "all", false, "also those without sectors") },
		node: func(ctx context.Context, n api.Node, _ []string) error {
			every, err := n.ProvingStatus(ctx)
			if err != nil {
				return err
			}
			list := []api.DeadlineStatus{}
			for _, d := range every {
				if all || d.Sectors > 0 || d.Current {
					list = append(list, d)
				}
			}
			return a.show(list, func(w io.Writer) error {
				var rows [][]string
				for _, d := range list {
					opens := "in " + seconds(d.OpensIn)
					if d.OpensIn == 0 {
						opens = "now"
					}
					state := d.Status
					if d.Err != "" {
						state += ": " + d.Err
					}
					rows = append(rows, []string{
						fmt.Sprint(d.Index), fmt.Sprintf("%d to %d", d.Open, d.Close), opens, fmt.Sprintf("%d/%d", d.Proven, d.Partitions),
						fmt.Sprint(d.Live), fmt.Sprint(d.Faulty), fmt.Sprint(d.Recovering), state,
					})
				}
				return grid(w, []string{">deadline", "epochs", "opens", ">proven", ">sectors", ">faulty", ">recovering", "state"}, rows)
			})
		},
	})
}
