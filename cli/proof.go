package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/storage/offline"
)

func (a *app) proofCmd() *cobra.Command {
	return a.noun("proof", "Make and check proofs of sealed files, with no node", nil, a.proofMake(), a.proofVerify())
}

func (a *app) proofMake() *cobra.Command {
	var dir, kind, randomness, system, out string
	return a.verb(verb{
		use: "make", short: "Prove a sector that lode seal made",
		long: "Make a proof of a sector in a folder that lode seal made: that it was sealed (seal), or that it is still there (window-post, winning-post). The proof is a JSON file that has its statement too, so that lode proof verify needs nothing else.\n" +
			"A vanilla proof opens the challenged nodes themselves. With --proofs, a proof system makes a succinct one of it. See docs/sealing.md.",
		example: "  lode proof make --dir out --kind seal -o proof.json\n  lode proof make --dir out --kind window-post --randomness " + zeroBytes + " -o proof.json",
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&dir, "dir", "", "the sector's folder (needed)")
			f.StringVar(&kind, "kind", offline.KindSeal, "seal, window-post or winning-post")
			f.StringVar(&randomness, "randomness", zeroBytes, "what challenges follow from, a seal's seed or a PoSt's randomness: 32 bytes in hex")
			f.StringVar(&system, "proofs", offline.Vanilla, "vanilla, or a proof system")
			f.StringVarP(&out, "output", "o", "", "file to write (default: standard output)")
		},
		run: func(ctx context.Context, _ []string) error {
			if dir == "" {
				return usagef("name the sector's folder with --dir")
			}
			rand, err := offline.ParseBytes(randomness)
			if err != nil {
				return usagef("--randomness: %w", err)
			}
			d, err := offline.Prove(ctx, dir, kind, rand, system)
			if err != nil {
				return err
			}
			if out == "" {
				return d.Write(a.Out)
			}
			return whole(out, d.Write)
		},
	})
}

// checked is a document as lode proof verify prints it.
type checked struct {
	Kind    string `json:"kind"`
	System  string `json:"system"`
	Holds   bool   `json:"holds"`
	Summary string `json:"statement"`
}

func (a *app) proofVerify() *cobra.Command {
	return a.verb(verb{
		use: "verify FILE", short: "Check a proof",
		long:    "Check a proof that lode proof make wrote against the statement in it. It needs no sector. The exit code is 0 when it holds.",
		example: "  lode proof verify proof.json\n  lode proof make --dir out --kind seal | lode proof verify -",
		args:    cobra.ExactArgs(1),
		run: func(ctx context.Context, args []string) error {
			in := a.In
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close() // is only read
				in = f
			}
			d, err := offline.Read(in)
			if err == nil {
				err = d.Verify(ctx, offline.Systems()...)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			out := &checked{d.Kind, d.System, true, d.Summary()}
			return a.show(out, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "The %s proof holds (%s): %s\n", out.Kind, out.System, out.Summary)
				return err
			})
		},
	})
}
