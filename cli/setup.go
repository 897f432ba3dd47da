package cli

import (
	"context"
	"strings"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/proofs/params"
)

// circuitKinds are the beginnings of circuits' names, in the order of params.Circuits.
var circuitKinds = []string{"porep", "winning", "window"}

// circuitsOf are the circuits of a sector size.
func circuitsOf(sector string) ([]params.Circuit, error) {
	n, err := parseSize(sector)
	if err != nil {
		return nil, err
	}
	all, err := params.Circuits(abi.SectorSize(n))
	if err != nil {
		return nil, &usageError{err}
	}
	return all, nil
}

// circuitOf is the circuit of a kind.
func circuitOf(sector, kind string) (params.Circuit, error) {
	all, err := circuitsOf(sector)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		if strings.HasPrefix(c.Name(), kind+"-") {
			return c, nil
		}
	}
	return nil, usagef("%q is not one of %s", kind, strings.Join(circuitKinds, ", "))
}

func (a *app) paramsSetup() *cobra.Command {
	var sector, seed string
	var kinds []string
	var verifying bool
	return a.verb(verb{
		use: "setup", short: "Make the insecure keys of development networks ahead of their use",
		long: "Make the keys of a sector size from a public seed, which a node of a development network would do when it needs them. The same seed makes the same keys on every machine, and anybody can derive their secrets and prove anything: for other networks hold a ceremony. " +
			"Keys that are there and good are kept. " + paramsLong,
		example: "  lode params setup --sector-size 8MiB\n  lode params setup --sector-size 2KiB --circuit winning --verifying-keys",
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&sector, "sector-size", "8MiB", "2KiB, 8MiB, 512MiB, 32GiB or 64GiB")
			f.StringSliceVar(&kinds, "circuit", circuitKinds, "which circuits")
			f.StringVar(&seed, "seed", params.DevnetSeed, "the public seed")
			f.BoolVar(&verifying, "verifying-keys", false, "make verifying keys alone, which takes seconds: for nodes that do not prove")
		},
		run: func(ctx context.Context, _ []string) error {
			s, err := a.params()
			if err != nil {
				return err
			}
			for _, kind := range kinds {
				c, err := circuitOf(sector, kind)
				if err != nil {
					return err
				}
				if err := setUp(ctx, s, params.Want{Circuit: c, Seed: []byte(seed)}, verifying); err != nil {
					return err
				}
			}
			entries, err := s.List()
			if err != nil {
				return err
			}
			return a.showKeys(s.Dir(), entries, "there")
		},
	})
}

func setUp(ctx context.Context, s *params.Store, w params.Want, verifying bool) error {
	if verifying {
		_, err := s.VerifyingKey(ctx, w)
		return err
	}
	keys, err := s.ProvingKey(ctx, w)
	if err != nil {
		return err
	}
	return keys.Close()
}
