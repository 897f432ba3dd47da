package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/storage/offline"
)

func (a *app) proofCmd() *cobra.Command {
	return a.noun("proof", "Make and check proofs of sealed files, with no node", nil, a.proofMake(), a.proofVerify())
}

func (a *app) proofMake() *cobra.Command {
	var dir, kind, randomness, system, network, out string
	return a.verb(verb{
		use: "make", short: "Prove a sector that lode seal made",
		long: "Make a proof of a sector in a folder that lode seal made: that it was sealed (seal), or that it is still there (window-post, winning-post). The proof is a JSON file that has its statement too, so that lode proof verify needs nothing else.\n" +
			"A vanilla proof opens the challenged nodes themselves. With --proofs, a proof system makes a succinct one of it. " + keysLong + " See docs/sealing.md.",
		example: "  lode proof make --dir out --kind seal -o proof.json\n  lode proof make --dir out --kind window-post --randomness " + zeroBytes + " --proofs groth16 -o proof.json",
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&dir, "dir", "", "the sector's folder (needed)")
			f.StringVar(&kind, "kind", offline.KindSeal, "seal, window-post or winning-post")
			f.StringVar(&randomness, "randomness", zeroBytes, "what challenges follow from, a seal's seed or a PoSt's randomness: 32 bytes in hex")
			f.StringVar(&system, "proofs", offline.Vanilla, "vanilla, or a proof system: groth16, or insecure")
			proofNetwork(f, &network)
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
			keys, _, err := a.proofKeys(system, network)
			if err != nil {
				return err
			}
			d, err := offline.Prove(ctx, dir, kind, rand, system, keys)
			if err != nil {
				return err
			}
			if out == "" {
				return d.Write(a.Out)
			}
			return a.whole(out, d.Write)
		},
	})
}

// keysLong says which keys count.
const keysLong = "The keys of groth16 are those of a network with --network, else those of the public seed of development networks, with which anyone can forge proofs."

func proofNetwork(f *pflag.FlagSet, network *string) {
	f.StringVar(network, "network", "", "the network by whose keys groth16 works: its folder, or its network.toml")
}

// proofKeys are the keys for a proof system, and a word on them.
func (a *app) proofKeys(system, network string) (keys offline.Keys, note string, err error) {
	if system != types.ProofsGroth16 {
		if network != "" {
			return keys, "", usagef("--network is for proofs of %s, and this one is %s", types.ProofsGroth16, system)
		}
		return keys, "", nil
	}
	if keys.Store, err = a.params(); err != nil || network == "" {
		return keys, "by keys of a public seed, so anyone can forge it", err
	}
	n, err := readNetwork(network)
	keys.Network = &n
	return keys, "by the keys of network " + n.Name, err
}

// checked is a document as lode proof verify prints it.
type checked struct {
	Kind    string `json:"kind"`
	System  string `json:"system"`
	Holds   bool   `json:"holds"`
	Summary string `json:"statement"`
	Keys    string `json:"keys,omitempty"`
}

func (a *app) proofVerify() *cobra.Command {
	var network string
	return a.verb(verb{
		use: "verify FILE", short: "Check a proof",
		long:    "Check a proof that lode proof make wrote against the statement in it. It needs no sector. The exit code is 0 when it holds. " + keysLong,
		example: "  lode proof verify proof.json\n  lode proof make --dir out --kind seal | lode proof verify -",
		args:    cobra.ExactArgs(1),
		flags:   func(f *pflag.FlagSet) { proofNetwork(f, &network) },
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
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			keys, note, err := a.proofKeys(d.System, network)
			if err != nil {
				return err
			}
			if err := d.Verify(ctx, keys); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			out := &checked{d.Kind, d.System, true, d.Summary(), note}
			return a.show(out, func(w io.Writer) error {
				how := out.System
				if note != "" {
					how += ", " + note
				}
				_, err := fmt.Fprintf(w, "The %s proof holds (%s): %s\n", out.Kind, how, out.Summary)
				return err
			})
		},
	})
}
