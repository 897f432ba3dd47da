package cli

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/devnet"
	"github.com/lodenet/lode/repo"
)

// devnetFlags shape a development network.
type devnetFlags struct {
	nodes, miners, presealed int
	proofs, sector           string
	epoch                    time.Duration
}

func (fl *devnetFlags) register(f *pflag.FlagSet) {
	f.IntVar(&fl.nodes, "nodes", 3, "nodes of the network; the first ones are miners")
	f.IntVar(&fl.miners, "miners", 1, "how many of them are providers and mine")
	f.IntVar(&fl.presealed, "presealed", 2, "sectors that each miner starts with")
	f.StringVar(&fl.proofs, "proofs", types.ProofsGroth16, "proof system: groth16 with succinct proofs, or insecure, which proves nothing to anyone and is quick")
	f.StringVar(&fl.sector, "sector-size", "8MiB", "2KiB, 8MiB or 512MiB")
	f.DurationVar(&fl.epoch, "epoch", 0, "length of an epoch, whole seconds (default: "+groth16Epoch.String()+", and 4s with insecure)")
}

// spec is the network that the flags describe.
func (a *app) spec(fl devnetFlags) (devnet.Spec, error) {
	net, err := networkFlags{proofs: fl.proofs, sector: fl.sector, epoch: fl.epoch}.network()
	if err != nil {
		return devnet.Spec{}, err
	}
	proving, err := a.proving()
	return devnet.Spec{Network: net, Nodes: fl.nodes, Miners: fl.miners, PresealedSectors: fl.presealed, Proving: proving}, err
}

func (a *app) demoCmd() *cobra.Command {
	var fl devnetFlags
	var file, dir, level string
	return a.verb(verb{
		use: "demo", short: "Store a file on a network of its own, prove it, and get it back",
		long: "Start a network in this process, store a file on it, wait until the sector that holds it is sealed, committed and active on chain, retrieve the file through another node and compare it byte for byte. " +
			"The first run makes the keys of the proof system, which takes minutes; later ones find them. " +
			"The last line is OK when all of that worked, and the exit code is then 0. With --json the story goes to standard error.",
		example: "  lode demo\n  lode demo --file photo.jpg --nodes 3 --sector-size 8MiB\n  lode demo --proofs insecure",
		flags: func(f *pflag.FlagSet) {
			fl.register(f)
			f.StringVar(&file, "file", "", "the file to store (default: the first 5 MiB of this program)")
			f.StringVar(&dir, "dir", "", "keep the network in this folder (default: a temporary one)")
			f.StringVar(&level, "log", "error", "what the nodes log to standard error: debug, info, warn or error")
		},
		run: func(ctx context.Context, _ []string) error {
			spec, err := a.spec(fl)
			if err != nil {
				return err
			}
			if err := new(slog.Level).UnmarshalText([]byte(level)); err != nil {
				return usagef("--log %q is not debug, info, warn or error", level)
			}
			log := newLogger(a.Err, repo.LoggingConfig{Level: level, Format: "text"})
			story := a.Out
			if a.json {
				story = a.Err
			}
			told, err := devnet.Demo(ctx, devnet.DemoOptions{Spec: spec, File: file, Dir: dir, Log: log}, story)
			if err != nil {
				return err
			}
			return a.show(told, func(io.Writer) error { return nil }) // the story is told already
		},
	})
}
