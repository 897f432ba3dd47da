package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/proofs/groth16"
	"github.com/lodenet/lode/proofs/params"
)

func (a *app) paramsCmd() *cobra.Command {
	return a.noun("params", "Keep the keys of succinct proofs", nil, a.paramsSetup(), a.paramsLs(), a.paramsVerify(), a.paramsImport(), a.paramsRm(), a.ceremonyCmd())
}

// paramsLong says what all of these commands are about.
const paramsLong = "Keys lie in one folder that all nodes of a user share: LODE_PARAMS, or lode/params in the user's cache. Files whose names begin with insecure are derived from a public seed and are for development networks."

// params opens the folder of keys.
func (a *app) params() (*params.Store, error) {
	dir, err := params.DefaultDir(a.env)
	if err != nil {
		return nil, err
	}
	return params.New(dir, a.keyProgress()), nil
}

// keyProgress says how far the making of keys is.
func (a *app) keyProgress() func(params.Progress) {
	tell := a.progress()
	return func(p params.Progress) { tell(p.Circuit+": "+p.Step, int64(1000*p.Done), 1000) }
}

// keyFile is a file of keys as these commands print it.
type keyFile struct {
	File, Kind, Circuit string
	Size                int64
	VerifyingKey        *groth16.Digest `json:",omitempty"`
	Insecure            bool
	Origin              string `json:",omitempty"`
	Problem             string `json:",omitempty"`
}

func keyFiles(entries []params.Entry) []keyFile {
	out := make([]keyFile, 0, len(entries))
	for _, e := range entries {
		f := keyFile{File: e.File, Kind: e.Kind, Circuit: e.Circuit, Size: e.Size, Insecure: e.Insecure, Origin: e.Origin, Problem: e.Problem}
		if e.Digest != (groth16.Digest{}) {
			f.VerifyingKey = &e.Digest
		}
		out = append(out, f)
	}
	return out
}

// showKeys prints files of keys; word stands for those without a problem.
func (a *app) showKeys(dir string, entries []params.Entry, word string) error {
	out := keyFiles(entries)
	return a.show(out, func(w io.Writer) error {
		if len(out) == 0 {
			_, err := fmt.Fprintf(w, "no keys in %s\n", dir)
			return err
		}
		rows := make([][]string, 0, len(out))
		for _, f := range out {
			state := word
			if f.Problem != "" {
				state = f.Problem
			}
			rows = append(rows, []string{f.File, f.Kind, size(uint64(f.Size)), yesNo(f.Insecure), state})
		}
		if err := grid(w, []string{"file", "kind", ">size", "insecure", "state"}, rows); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w, "\nin %s\n", dir)
		return err
	})
}

func (a *app) paramsLs() *cobra.Command {
	return a.verb(verb{
		use: "ls", short: "List the keys of this machine", aliases: []string{"list"},
		long:    "List the keys of this machine, by what each file says of itself; lode params verify reads all of it. " + paramsLong,
		example: "  lode params ls\n  LODE_PARAMS=/mnt/keys lode params ls --json",
		run: func(context.Context, []string) error {
			s, err := a.params()
			if err != nil {
				return err
			}
			entries, err := s.List()
			if err != nil {
				return err
			}
			return a.showKeys(s.Dir(), entries, "not checked")
		},
	})
}

func (a *app) paramsVerify() *cobra.Command {
	return a.verb(verb{
		use: "verify", short: "Check every file of keys against its digest",
		long:    "Check every file of keys against its digest, over its whole length. The exit code is 1 when one is damaged; a node makes insecure keys again by itself, others must be imported again. " + paramsLong,
		example: "  lode params verify",
		run: func(ctx context.Context, _ []string) error {
			s, err := a.params()
			if err != nil {
				return err
			}
			entries, err := s.Verify(ctx)
			if err != nil {
				return err
			}
			if err := a.showKeys(s.Dir(), entries, "good"); err != nil {
				return err
			}
			bad := 0
			for _, e := range entries {
				if e.Problem != "" {
					bad++
				}
			}
			if bad > 0 {
				return fmt.Errorf("%d of %d files are of no use; lode params rm removes them", bad, len(entries))
			}
			return nil
		},
	})
}

func (a *app) paramsImport() *cobra.Command {
	return a.verb(verb{
		use: "import FILE.pk…", short: "Take in proving keys that a ceremony made",
		long:    "Check proving keys that a ceremony made and copy them, and their verifying keys, into the folder of keys. " + paramsLong,
		example: "  lode params import ceremony/porep-8388608-8-2-0-v1-0123456789abcdef.pk",
		args:    cobra.MinimumNArgs(1),
		run: func(ctx context.Context, args []string) error {
			s, err := a.params()
			if err != nil {
				return err
			}
			var entries []params.Entry
			for _, path := range args {
				e, err := s.Import(ctx, path)
				if err != nil {
					return err
				}
				entries = append(entries, *e)
			}
			return a.showKeys(s.Dir(), entries, "good")
		},
	})
}

func (a *app) paramsRm() *cobra.Command {
	var all bool
	return a.verb(verb{
		use: "rm FILE-OR-CIRCUIT…", short: "Remove keys", aliases: []string{"remove"},
		long:    "Remove keys by the name of a file or of a circuit, or all of them. A node that uses them goes on until it stops, and makes insecure ones again when it starts. " + paramsLong,
		example: "  lode params rm porep-8388608-8-2-0-v1\n  lode params rm --all --yes",
		args:    cobra.ArbitraryArgs,
		flags:   func(f *pflag.FlagSet) { f.BoolVar(&all, "all", false, "remove all keys of this machine") },
		run: func(_ context.Context, args []string) error {
			if all == (len(args) > 0) {
				return usagef("name files or circuits of lode params ls, or --all")
			}
			s, err := a.params()
			if err != nil {
				return err
			}
			if all && !a.yes {
				return usagef("this removes all keys in %s; add --yes to do it", s.Dir())
			}
			entries, err := s.Remove(args...)
			if err != nil && len(entries) == 0 {
				return err
			}
			return errors.Join(err, a.showKeys(s.Dir(), entries, "removed"))
		},
	})
}
