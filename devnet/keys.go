package devnet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/filecoin-project/go-state-types/abi"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/node"
	"github.com/lodenet/lode/proofs/params"
	"github.com/lodenet/lode/proofs/snark"
	"github.com/lodenet/lode/storage/prover"
)

// makeKeys gives a network of succinct proofs its verifying keys, unless it has them: from
// the public seed of development networks, which makes proving keys too where they are
// missing.
func (s *Spec) makeKeys(ctx context.Context, progress func(step string, done float64)) error {
	n := &s.Network
	if n.Proofs != types.ProofsGroth16 {
		return nil
	}
	if len(n.Keys.Verifying) > 0 {
		_, err := prover.Verifier(*n)
		return err
	}
	if s.Proving.Keys == "" {
		return fmt.Errorf("%w: proof system %s needs a folder for proving keys; set %s", ErrSpec, n.Proofs, params.Env)
	}
	store := keyStore(s.Proving, progress)
	keys, err := snark.MakeKeys(ctx, store, abi.SectorSize(n.Policy.SectorSize), []byte(params.DevnetSeed))
	if err != nil {
		return fmt.Errorf("proving keys: %w", err)
	}
	n.Keys = types.NewKeys(params.DevnetSeed, keys)
	return nil
}

func keyStore(p node.Proving, progress func(step string, done float64)) *params.Store {
	return params.New(p.Keys, func(p params.Progress) {
		if progress != nil {
			progress(p.Circuit+": "+p.Step, p.Done)
		}
	})
}

// PrepareKeys makes the proving keys of a devnet that exists already, where they are missing,
// so that its providers need not make them while they run.
func (f *Folder) PrepareKeys(ctx context.Context, p node.Proving, progress func(step string, done float64)) error {
	b, err := os.ReadFile(filepath.Join(f.dir, NetworkFile))
	if err != nil {
		return err
	}
	n, err := types.ParseNetwork(b)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(f.dir, NetworkFile), err)
	}
	if n.Keys.InsecureSeed == "" || p.Keys == "" {
		return nil // there is nothing to make, or nowhere, which a provider will say
	}
	err = snark.PrepareKeys(ctx, keyStore(p, progress), abi.SectorSize(n.Policy.SectorSize), []byte(n.Keys.InsecureSeed), n.Keys.Bytes())
	if err != nil {
		return fmt.Errorf("proving keys: %w", err)
	}
	return nil
}

// Warning is what people must know of a network's proofs, or "".
func Warning(n types.Network) string {
	switch {
	case n.Proofs == types.ProofsInsecure:
		return "NOTE: the proof system \"insecure\" binds proofs to their statements and proves nothing to anyone else; use it for development only"
	case n.Proofs == types.ProofsGroth16 && n.Keys.InsecureSeed != "":
		return "INSECURE: the keys of the proof system come from a public seed, so anyone can forge proofs; use it for development only"
	}
	return ""
}
