package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/proofs/bench"
	"github.com/lodenet/lode/storage/offline"
)

func (a *app) benchProofs() *cobra.Command {
	var sector, dir string
	var least time.Duration
	return a.verb(verb{
		use: "proofs", short: "Measure sealing and proofs beside their peers",
		long: "Measure each part of sealing, and seal one sector of zeros, in this run and beside its peer or limit in the same run. A ratio is the rate divided by the peer's; the least that is aimed at stands next to it.\n" +
			"The sector's files need about eight times its size, in a folder that is removed afterwards.",
		example: "  lode bench proofs --sector-size 8MiB\n  lode bench proofs --sector-size 512MiB --dir /var/tmp --json",
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&sector, "sector-size", "2KiB", "2KiB, 8MiB, 512MiB, 32GiB or 64GiB")
			f.StringVar(&dir, "dir", "", "where the folder of the sector's files is made (default: the system's for temporary files)")
			f.DurationVar(&least, "measure", time.Second, "how long to measure one figure at least")
		},
		run: func(ctx context.Context, _ []string) (err error) {
			proof, err := sealProof(sector, -1, 0)
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
			}, bench.Vanilla()...)
			if err != nil {
				return err
			}
			return a.showBench(r)
		},
	})
}

func (a *app) showBench(r *bench.Report) error {
	out := &struct {
		*bench.Report
		Memory offline.Memory `json:"memory"`
	}{r, offline.MemoryUsed()}
	return a.show(out, func(w io.Writer) error {
		var rows [][]string
		for _, v := range r.Rows {
			row := []string{v.Name, quantity(v.Rate, v.Unit), fmt.Sprint(v.Cores), dash(v.Note), "", "", "", ""}
			if v.Peer != "" {
				row[4], row[5], row[6] = v.Peer, quantity(v.PeerRate, v.Unit), fmt.Sprintf("%.2f", v.Ratio)
			}
			if v.Want > 0 {
				row[7] = fmt.Sprintf("%.2f", v.Want)
			}
			rows = append(rows, row)
		}
		if err := grid(w, []string{"part", ">rate", ">cores", ">took", "beside", ">its rate", ">ratio", ">least"}, rows); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w, "\nSector size %s, %d cores. Memory: %s.\n", size(uint64(r.SectorSize)), r.Cores, memory(out.Memory))
		return err
	})
}

// quantity shows a rate with a prefix.
func quantity(v float64, unit string) string {
	for _, p := range []string{"", "k", "M", "G"} {
		if v < 1000 || p == "G" {
			return fmt.Sprintf("%.4g %s%s", v, p, unit)
		}
		v /= 1000
	}
	return ""
}
