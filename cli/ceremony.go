package cli

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/proofs/groth16"
	"github.com/lodenet/lode/proofs/params"
)

func (a *app) ceremonyCmd() *cobra.Command {
	return a.noun("ceremony", "Make keys together that nobody can cheat with", nil, a.ceremonyInit(), a.ceremonyContribute(), a.ceremonyVerify(), a.ceremonyFinalize())
}

const ceremonyLong = "A ceremony is a folder that goes from hand to hand: people contribute randomness to the first phase, it is finalized with a beacon, people contribute to the second phase, it is finalized too, and the keys are there. " +
	"The keys are sound if one of the contributors was honest. Large circuits take hours a contribution."

// ceremonyState is a ceremony as these commands print it.
type ceremonyState struct {
	Folder        string
	Circuit       string
	Phase         int // 0 when it is over
	Contributions []params.Contribution
	VerifyingKey  *groth16.Digest `json:",omitempty"`
	Key           string          `json:",omitempty"`
	Next          string
}

func (a *app) showCeremony(ctx context.Context, dir string, m *params.Ceremony) error {
	all, err := m.Contributions(ctx)
	if err != nil {
		return err
	}
	st := &ceremonyState{Folder: dir, Circuit: m.Circuit(), Phase: m.Phase(), Contributions: all}
	phase := "phase " + strconv.Itoa(st.Phase)
	if st.Next = "lode params ceremony contribute " + dir; st.Phase == 0 {
		d := m.Keys()
		phase, st.VerifyingKey, st.Key = "over", &d, m.KeyPath()+".pk"
		st.Next = "lode params import " + st.Key
	}
	return a.show(st, func(w io.Writer) error {
		if len(all) > 0 {
			rows := make([][]string, 0, len(all))
			for _, c := range all {
				rows = append(rows, []string{strconv.Itoa(c.Phase), strconv.Itoa(c.Number), c.Digest.String()})
			}
			if err := grid(w, []string{">phase", ">contribution", "digest to publish"}, rows); err != nil {
				return err
			}
			fmt.Fprintln(w)
		}
		key := ""
		if st.VerifyingKey != nil {
			key = st.VerifyingKey.String()
		}
		return fields(w, "Circuit", st.Circuit, "State", phase, "Verifying key", key, "Next", st.Next)
	})
}

func (a *app) ceremonyInit() *cobra.Command {
	var sector, kind string
	return a.verb(verb{
		use: "init FOLDER", short: "Begin a ceremony for a circuit",
		long:    "Begin a ceremony for a circuit, in a new folder. " + ceremonyLong,
		example: "  lode params ceremony init ceremony --circuit winning --sector-size 2KiB",
		args:    cobra.ExactArgs(1),
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&sector, "sector-size", "8MiB", "2KiB, 8MiB, 512MiB, 32GiB or 64GiB")
			f.StringVar(&kind, "circuit", "porep", "porep, winning or window")
		},
		run: func(ctx context.Context, args []string) error {
			c, err := circuitOf(sector, kind)
			if err != nil {
				return err
			}
			m, err := params.NewCeremony(args[0], c, a.keyProgress())
			if err != nil {
				return err
			}
			return a.showCeremony(ctx, args[0], m)
		},
	})
}

func (a *app) ceremonyContribute() *cobra.Command {
	return a.verb(verb{
		use: "contribute FOLDER", short: "Add randomness to a ceremony",
		long: "Add randomness of this machine to the phase that runs, and forget it. Then publish the digest that is printed, and hand the folder on. " +
			"The contribution before is checked for form only; lode params ceremony verify checks all of them. " + ceremonyLong,
		example: "  lode params ceremony contribute ceremony",
		args:    cobra.ExactArgs(1),
		run: func(ctx context.Context, args []string) error {
			m, err := params.OpenCeremony(args[0], a.keyProgress())
			if err != nil {
				return err
			}
			if _, err := m.Contribute(ctx); err != nil {
				return err
			}
			return a.showCeremony(ctx, args[0], m)
		},
	})
}

func (a *app) ceremonyVerify() *cobra.Command {
	return a.verb(verb{
		use: "verify FOLDER", short: "Check every contribution of a ceremony, and its keys",
		long:    "Check every contribution of a ceremony against the one before it, where the second phase begins, and that the keys are those that follow. " + ceremonyLong,
		example: "  lode params ceremony verify ceremony",
		args:    cobra.ExactArgs(1),
		run: func(ctx context.Context, args []string) error {
			m, c, err := a.openCeremony(args[0])
			if err != nil {
				return err
			}
			if err := m.Verify(ctx, c); err != nil {
				return err
			}
			a.say("everything in %s verifies", args[0])
			return a.showCeremony(ctx, args[0], m)
		},
	})
}

func (a *app) ceremonyFinalize() *cobra.Command {
	var beacon string
	return a.verb(verb{
		use: "finalize FOLDER", short: "End the phase of a ceremony that runs",
		long: "Verify the ceremony and end the phase that runs with a beacon: a public value that nobody could know before the last contribution was published, such as the randomness of a drand round that was named in advance. " +
			"After the first phase the second begins; after the second the keys are there. " + ceremonyLong,
		example: "  lode params ceremony finalize ceremony --beacon 6093f9e4320c285ac4aab50ba821cd5678ec7c5015d3d9d11ef89e2a99741e83",
		args:    cobra.ExactArgs(1),
		flags:   func(f *pflag.FlagSet) { f.StringVar(&beacon, "beacon", "", "the beacon in hex (needed)") },
		run: func(ctx context.Context, args []string) error {
			b, err := hex.DecodeString(beacon)
			if err != nil || len(b) == 0 {
				return usagef("name a beacon in hex with --beacon")
			}
			m, c, err := a.openCeremony(args[0])
			if err != nil {
				return err
			}
			if err := m.Finalize(ctx, c, b); err != nil {
				return err
			}
			return a.showCeremony(ctx, args[0], m)
		},
	})
}

// openCeremony opens a ceremony and finds its circuit.
func (a *app) openCeremony(dir string) (*params.Ceremony, params.Circuit, error) {
	m, err := params.OpenCeremony(dir, a.keyProgress())
	if err != nil {
		return nil, nil, err
	}
	c, err := params.CircuitNamed(m.Circuit())
	return m, c, err
}
