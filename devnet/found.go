package devnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/filecoin-project/go-address"

	"github.com/lodenet/lode/repo"
)

// Found makes a devnet folder. dir must be empty or missing; when Found fails,
// nothing is left there; when it is killed, what is there is no devnet, and the next Found
// takes it away.
func Found(ctx context.Context, dir string, spec Spec, progress func(step string, done float64)) (*Folder, error) {
	if err := spec.check(); err != nil { // before anything is made
		return nil, err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := clear(dir); err != nil {
		return nil, err
	}
	_, before := os.Stat(dir)
	f, err := found(ctx, dir, spec, progress)
	if err == nil {
		return f, nil
	}
	if e := clear(dir); e != nil {
		return nil, errors.Join(err, e)
	}
	if errors.Is(before, fs.ErrNotExist) {
		_ = os.Remove(dir) // empty now, or never made
	}
	return nil, err
}

func found(ctx context.Context, dir string, spec Spec, progress func(step string, done float64)) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, foundingFile), nil, 0o644); err != nil {
		return nil, err
	}
	// The nodes start right after; until then the network's clock stands at its beginning.
	birth, err := Create(ctx, filepath.Join(dir, "birth"), spec, func() time.Time { return time.Now().Add(startLead) }, progress)
	if err != nil {
		return nil, err
	}
	if err := birth.InitRepos(ctx, dir); err != nil {
		return nil, err
	}
	network, err := birth.Network.Encode()
	if err != nil {
		return nil, err
	}
	for name, b := range map[string][]byte{"network.toml": network, "genesis.car": birth.CAR} {
		if err := repo.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return nil, err
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, "birth")); err != nil {
		return nil, err
	}
	f := &Folder{dir: dir, plan: birth.plan()}
	b, err := json.MarshalIndent(f.plan, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := repo.WriteFile(filepath.Join(dir, planFile), append(b, '\n'), 0o644); err != nil {
		return nil, err
	}
	return f, os.Remove(filepath.Join(dir, foundingFile))
}

// foundingFile marks a folder in which a devnet is being made.
const foundingFile = "founding"

// clear takes away what an interrupted Found left, and nothing else.
func clear(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return nil
	}
	if _, err := os.Stat(filepath.Join(dir, foundingFile)); err != nil {
		return fmt.Errorf("%s is not empty and holds no devnet; give another folder", dir)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (b *Birth) plan() Plan {
	p := Plan{
		Network: b.Network.Name, Proofs: b.Network.Proofs, Epoch: b.Network.EpochSeconds,
		Genesis: b.Network.GenesisTime, Created: time.Unix(int64(b.Network.GenesisTime), 0).UTC(),
	}
	for _, m := range b.Members {
		pm := PlanMember{Name: m.Name, Roles: []string{"client", "gateway"}, Account: m.Keys[0].Address.String()}
		if m.Miner != address.Undef {
			pm.Roles, pm.Miner = []string{"provider", "client", "gateway"}, m.Miner.String()
		}
		p.Nodes = append(p.Nodes, pm)
	}
	return p
}
