package cli

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/spf13/cobra"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/node"
	"github.com/lodenet/lode/proofs/params"
	"github.com/lodenet/lode/proofs/snark"
	"github.com/lodenet/lode/repo"
	"github.com/lodenet/lode/storage/prover"
)

// groth16Epoch is the epoch of a devnet with succinct proofs: docs/devnet.md says why.
const groth16Epoch = 8 * time.Second

// proveVerb is the command that a provider runs to make a long proof.
const proveVerb = "prove"

// proveCmd serves one job of storage/prover. It is hidden, since only programs speak to it.
func (a *app) proveCmd() *cobra.Command {
	cmd := a.verb(verb{
		use: proveVerb, short: "Make one proof that standard input asks for",
		long:    "Make one proof that standard input asks for and write it to standard output. A node runs this at low priority for every long proof; it is of no use by hand.",
		example: "  lode prove < JOB > ANSWER",
		run: func(ctx context.Context, _ []string) error {
			// No proof can be stopped halfway, so the process ends with it.
			leave := func() { os.Exit(exitError) }
			defer context.AfterFunc(ctx, leave)()
			return prover.Serve(ctx, a.In, a.Out, newLogger(a.Err, repo.LoggingConfig{Level: "info", Format: "text"}), leave)
		},
	})
	cmd.Hidden = true
	return cmd
}

// proving says where proving keys are, and that this program proves.
func (a *app) proving() (node.Proving, error) {
	dir, err := params.DefaultDir(a.env)
	if err != nil {
		return node.Proving{}, nil // who needs the folder says so; networks without succinct proofs do not
	}
	exe, err := os.Executable()
	return node.Proving{Keys: dir, Command: []string{exe, proveVerb}}, err
}

// ceremonyKeys puts the verifying keys of a folder into a network.
func ceremonyKeys(ctx context.Context, dir string, net *types.Network) error {
	if net.Proofs != types.ProofsGroth16 {
		return usagef("--keys is for the proof system %s", types.ProofsGroth16)
	}
	keys, err := snark.CeremonyKeys(ctx, params.New(dir, nil), abi.SectorSize(net.Policy.SectorSize))
	if err != nil {
		return fmt.Errorf("--keys: %w", err)
	}
	net.Keys = types.NewKeys("", keys)
	return nil
}
