package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/proofs/bench"
	"github.com/lodenet/lode/storage/offline"
)

func (a *app) benchProofs() *cobra.Command {
	var sector, dir string
	var least time.Duration
	var only []string
	var long bool
	return a.verb(verb{
		use: "proofs", short: "Measure sealing and proofs beside their peers",
		long: "Measure each part of sealing and of succinct proofs, in this run and beside its peer or limit in the same run. A ratio is the rate divided by the peer's; what it is to be at least, or at most, stands next to it.\n" +
			"The sector's files need about eight times its size, in a folder that is removed afterwards. Keys of winning PoSt are made when they are missing, and stay in the folder of keys (lode params ls); those of replication take minutes, so without them its proof is left out, unless --long is given.",
		example: "  lode bench proofs --sector-size 8MiB\n  lode bench proofs --only labels,setup\n  lode bench proofs --sector-size 512MiB --dir /var/tmp --json",
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&sector, "sector-size", "2KiB", "2KiB, 8MiB, 512MiB, 32GiB or 64GiB")
			f.StringVar(&dir, "dir", "", "where the folder of the sector's files is made (default: the system's for temporary files)")
			f.DurationVar(&least, "measure", time.Second, "how long to measure one figure at least")
			f.StringSliceVar(&only, "only", nil, "measure these alone: "+stageNames(bench.All()))
			f.BoolVar(&long, "long", false, "make the keys of replication when they are missing, which takes minutes and gigabytes")
		},
		run: func(ctx context.Context, _ []string) (err error) {
			proof, err := sealProof(sector, -1, 0)
			if err != nil {
				return err
			}
			stages, err := pickStages(bench.All(), only)
			if err != nil {
				return err
			}
			keys, err := a.params()
			if err != nil {
				return err
			}
			tmp, err := os.MkdirTemp(dir, "lode-bench-")
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
			r, err := bench.Run(ctx, bench.Env{
				Proof: proof, Files: offline.Scratch(tmp), Now: time.Now, Least: least,
				Progress: func(what string) { a.say("measuring %s", what) },
				Keys:     keys, Epoch: groth16Epoch, Long: long,
			}, stages...)
			if err != nil {
				return err
			}
			return a.showBench(r)
		},
	})
}

func stageNames(stages []bench.Stage) string {
	var names []string
	for _, s := range stages {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}

// pickStages are the stages of these names in their order, or all.
func pickStages(all []bench.Stage, names []string) ([]bench.Stage, error) {
	for _, n := range names {
		if !slices.ContainsFunc(all, func(s bench.Stage) bool { return s.Name == n }) {
			return nil, fmt.Errorf("--only %s: there is no such part; take some of %s", n, stageNames(all))
		}
	}
	return slices.DeleteFunc(all, func(s bench.Stage) bool { return len(names) > 0 && !slices.Contains(names, s.Name) }), nil
}

func (a *app) showBench(r *bench.Report) error {
	out := &struct {
		*bench.Report
		Memory offline.Memory `json:"memory"`
	}{r, offline.MemoryUsed()}
	return a.show(out, func(w io.Writer) error {
		if err := benchTable(w, r); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w, "Memory: %s.\n", memory(out.Memory))
		return err
	})
}

// benchTable prints figures, and then what there is no figure of.
func benchTable(w io.Writer, r *bench.Report) error {
	var rows [][]string
	var left strings.Builder
	for _, v := range r.Rows {
		if v.Skipped != "" {
			fmt.Fprintf(&left, "Not measured: %s: %s.\n", v.Name, v.Skipped)
			continue
		}
		row := []string{v.Name, quantity(v.Rate, v.Unit), "", dash(v.Note), "", "", "", ""}
		if v.Cores > 0 {
			row[2] = fmt.Sprint(v.Cores)
		}
		if v.Peer != "" {
			row[4], row[5], row[6] = v.Peer, quantity(v.PeerRate, v.Unit), fmt.Sprintf("%.2f", v.Ratio)
		}
		switch {
		case v.Want > 0:
			row[7] = fmt.Sprintf("≥ %.2f", v.Want)
		case v.AtMost > 0:
			row[7] = fmt.Sprintf("≤ %.2f", v.AtMost)
		}
		rows = append(rows, row)
	}
	if err := grid(w, []string{"part", ">rate", ">cores", ">took", "beside", ">its rate", ">ratio", ">aim"}, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%sSector size %s, %d cores.\n", left.String(), size(uint64(r.SectorSize)), r.Cores)
	return err
}

// quantity shows a rate with a prefix.
func quantity(v float64, unit string) string {
	if unit == bench.Constraints { // a count
		return fmt.Sprintf("%.0f", v)
	}
	for _, p := range []string{"", "k", "M", "G"} {
		if v < 1000 || p == "G" {
			return fmt.Sprintf("%.4g %s%s", v, p, unit)
		}
		v /= 1000
	}
	return ""
}
