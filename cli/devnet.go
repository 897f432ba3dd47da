package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/devnet"
)

// defaultDevnet is the folder of a devnet that was given none.
const defaultDevnet = "devnet-data"

func (a *app) devnetCmd() *cobra.Command {
	return a.noun("devnet", "Run a network of several nodes on this machine", nil, a.devnetUp(), a.devnetDown(), a.devnetStatus())
}

func dirFlag(f *pflag.FlagSet, dir *string) {
	f.StringVar(dir, "dir", defaultDevnet, "the devnet's folder")
}

func (a *app) devnetUp() *cobra.Command {
	var fl devnetFlags
	var dir string
	var detach bool
	return a.verb(verb{
		use: "up", short: "Start a devnet, making it first if need be",
		long: "Start every node of the devnet that is down, one process a node, and return when each node's RPC answers. A folder without a devnet gets a new one of the wanted shape. " +
			"The first devnet of a machine makes the keys of its proof system before any node starts, which takes minutes; later ones find them. " +
			"After a pause, however long, the network's clock goes on as if no time had passed. Without --detach it stays in the foreground and stops the nodes when it is interrupted.",
		example: "  lode devnet up --detach\n  lode devnet up --dir net --nodes 3 --miners 2 --sector-size 2KiB\n  lode devnet up --dir net --proofs insecure --epoch 4s",
		flags: func(f *pflag.FlagSet) {
			dirFlag(f, &dir)
			fl.register(f)
			f.BoolVar(&detach, "detach", false, "leave the nodes running and return")
		},
		run: func(ctx context.Context, _ []string) error {
			folder, err := a.openDevnet(ctx, dir, fl)
			if err != nil {
				return err
			}
			exe, err := os.Executable()
			if err != nil {
				return err
			}
			if err := folder.Up(ctx, exe); err != nil {
				if !detach && ctx.Err() != nil { // interrupted, as it may be later
					err = errors.Join(err, folder.Down(context.WithoutCancel(ctx)))
				}
				return err
			}
			st, err := folder.Status(ctx)
			if err == nil {
				err = a.show(st, func(w io.Writer) error { return a.greet(w, folder, st) })
			}
			if detach {
				return err
			}
			if err == nil {
				a.say("the nodes run; interrupt to stop them")
				<-ctx.Done()
			}
			return errors.Join(err, folder.Down(context.WithoutCancel(ctx)))
		},
	})
}

// openDevnet opens the devnet of a folder, or makes one.
func (a *app) openDevnet(ctx context.Context, dir string, fl devnetFlags) (*devnet.Folder, error) {
	last := ""
	progress := func(step string, done float64) {
		if line := fmt.Sprintf("%s: %3.0f%%", step, 10*math.Floor(10*done)); line != last {
			last = line
			a.say("%s", line)
		}
	}
	folder, err := devnet.Open(dir)
	if err == nil {
		proving, err := a.proving()
		if err != nil {
			return nil, err
		}
		return folder, folder.PrepareKeys(ctx, proving, progress)
	}
	if !errors.Is(err, devnet.ErrNoDevnet) {
		return nil, err
	}
	spec, err := a.spec(fl)
	if err != nil {
		return nil, err
	}
	return devnet.Found(ctx, dir, spec, progress)
}

// greet says what runs and what to try.
func (a *app) greet(w io.Writer, f *devnet.Folder, st *devnet.Status) error {
	fmt.Fprintf(w, "devnet %s in %s, proof system %s\n", st.Network, st.Dir, st.Proofs)
	if net, err := a.networkOf([]string{st.Dir}); err != nil {
		return err
	} else if warning := devnet.Warning(net); warning != "" {
		fmt.Fprintln(w, warning)
	}
	if st.Paused > 0 {
		fmt.Fprintf(w, "the network's clock is %s behind this machine's, the time it did not run\n", st.Paused.Round(time.Second))
	}
	fmt.Fprintln(w)
	rows := make([][]string, 0, len(st.Nodes))
	for i, m := range f.Plan().Nodes {
		rows = append(rows, []string{m.Name, strings.Join(m.Roles, ","), m.Miner, m.Account, st.Nodes[i].RPC})
	}
	if err := grid(w, []string{"node", "roles", "miner", "funded account", "rpc"}, rows); err != nil {
		return err
	}
	client := f.Plan().Nodes[len(f.Plan().Nodes)-1].Name
	if len(f.Plan().Nodes) > 1 {
		client = f.Plan().Nodes[1].Name
	}
	_, err := fmt.Fprintf(w, `
try next:
  export LODE_REPO=%s
  lode chain head
  lode wallet ls
  lode deal make FILE --provider %s --yes --wait
  lode devnet status --dir %s
`, f.Repo(client), f.Plan().Nodes[0].Miner, st.Dir)
	return err
}

func (a *app) devnetDown() *cobra.Command {
	var dir string
	return a.verb(verb{
		use: "down", short: "Stop the nodes of a devnet",
		example: "  lode devnet down --dir net",
		flags:   func(f *pflag.FlagSet) { dirFlag(f, &dir) },
		run: func(ctx context.Context, _ []string) error {
			folder, err := devnet.Open(dir)
			if err != nil {
				return err
			}
			if err := folder.Down(ctx); err != nil {
				return err
			}
			st, err := folder.Status(ctx)
			if err != nil {
				return err
			}
			return a.show(st, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "devnet %s in %s is down; lode devnet up --dir %s goes on from there\n", st.Network, st.Dir, st.Dir)
				return err
			})
		},
	})
}

func (a *app) devnetStatus() *cobra.Command {
	var dir string
	return a.verb(verb{
		use: "status", short: "List the nodes of a devnet with their health",
		example: "  lode devnet status --dir net --json",
		flags:   func(f *pflag.FlagSet) { dirFlag(f, &dir) },
		run: func(ctx context.Context, _ []string) error {
			folder, err := devnet.Open(dir)
			if err != nil {
				return err
			}
			st, err := folder.Status(ctx)
			if err != nil {
				return err
			}
			return a.show(st, func(w io.Writer) error {
				fmt.Fprintf(w, "devnet %s in %s: epoch %d by its clock\n\n", st.Network, st.Dir, st.Epoch)
				rows := make([][]string, 0, len(st.Nodes))
				for _, n := range st.Nodes {
					health := "healthy"
					if !n.Healthy {
						health = n.Reason
					}
					rows = append(rows, []string{n.Name, strconv.Itoa(n.PID), strconv.FormatInt(int64(n.Height), 10), strconv.Itoa(n.Peers), health})
				}
				return grid(w, []string{"node", ">pid", ">height", ">peers", "health"}, rows)
			})
		},
	})
}
