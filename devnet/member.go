package devnet

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/filecoin-project/go-address"

	"github.com/lodenet/lode/node"
	"github.com/lodenet/lode/repo"
	"github.com/lodenet/lode/wallet"
)

// The files of a network that was made and laid down in a folder, to be carried to other
// machines:
//
//	network.toml genesis.car
//	NAME/member.json         what the node is born with: its miner and its wallet keys
//	NAME/identity            the key of its peer id
//	NAME/preseal/            the first sectors, if it is a miner
const (
	NetworkFile = "network.toml"
	GenesisFile = "genesis.car"

	memberFile   = "member.json"
	identityFile = "identity"
	presealDir   = "preseal"
)

// memberJSON is member.json. Keys are in the usual hex form of wallets, the default first.
type memberJSON struct {
	Name  string   `json:"name"`
	Miner string   `json:"miner,omitempty"`
	Keys  []string `json:"keys"`
}

// Write lays the network down in dir, a folder for each member. What members refer to on
// disk is moved there.
func (b *Birth) Write(dir string) error {
	net, err := b.Network.Encode()
	if err != nil {
		return err
	}
	for i := range b.Members {
		if err := b.Members[i].write(filepath.Join(dir, b.Members[i].Name)); err != nil {
			return fmt.Errorf("%s: %w", b.Members[i].Name, err)
		}
	}
	if err := repo.WriteFile(filepath.Join(dir, GenesisFile), b.CAR, 0o644); err != nil {
		return err
	}
	return repo.WriteFile(filepath.Join(dir, NetworkFile), net, 0o644)
}

func (m *Member) write(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	j := memberJSON{Name: m.Name}
	if m.Miner != address.Undef {
		j.Miner = m.Miner.String()
	}
	for _, k := range m.Keys {
		text, err := wallet.KeyInfo{Type: k.Type, PrivateKey: k.Private}.Hex()
		if err != nil {
			return err
		}
		j.Keys = append(j.Keys, text)
	}
	b, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	if err := os.Rename(m.Identity, filepath.Join(dir, identityFile)); err != nil {
		return err
	}
	if m.Preseal != "" {
		if err := os.Rename(m.Preseal, filepath.Join(dir, presealDir)); err != nil {
			return err
		}
	}
	return repo.WriteFile(filepath.Join(dir, memberFile), append(b, '\n'), 0o600)
}

// ErrMember: the folder does not hold a member of a network.
var ErrMember = errors.New("not a folder that lode network new wrote")

// ReadMember reads the folder of a member.
func ReadMember(dir string) (*Member, error) {
	b, err := os.ReadFile(filepath.Join(dir, memberFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrMember)
	}
	if err != nil {
		return nil, err
	}
	var j memberJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", dir, ErrMember, err)
	}
	m := &Member{Name: j.Name, Identity: filepath.Join(dir, identityFile)}
	if j.Miner != "" {
		if m.Miner, err = address.NewFromString(j.Miner); err != nil {
			return nil, fmt.Errorf("%s: miner %q: %w", dir, j.Miner, err)
		}
	}
	for i, text := range j.Keys {
		if _, err := hex.DecodeString(text); err != nil {
			return nil, fmt.Errorf("%s: key %d: %w", dir, i, err)
		}
		k, err := wallet.ParseKey([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("%s: key %d: %w", dir, i, err)
		}
		a, err := k.Address()
		if err != nil {
			return nil, fmt.Errorf("%s: key %d: %w", dir, i, err)
		}
		m.Keys = append(m.Keys, Key{k.Type, k.PrivateKey, a})
	}
	if _, err := os.Stat(filepath.Join(dir, presealDir)); err == nil {
		m.Preseal = filepath.Join(dir, presealDir)
	}
	return m, nil
}

// Settle puts what a member is born with into a repo that is being made, by copying: keys
// into the wallet, the identity, the first sectors.
func (m *Member) Settle(ctx context.Context, repoDir string, keys *wallet.Wallet) error {
	for _, k := range m.Keys {
		if _, err := keys.Import(wallet.KeyInfo{Type: k.Type, PrivateKey: k.Private}); err != nil {
			return err
		}
	}
	identity, err := os.ReadFile(m.Identity)
	if err != nil {
		return err
	}
	if err := repo.WriteFile(node.IdentityPath(filepath.Join(repoDir, "keystore")), bytes.Clone(identity), 0o600); err != nil {
		return err
	}
	if m.Preseal == "" {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return os.CopyFS(filepath.Join(repoDir, node.PresealDir), os.DirFS(m.Preseal))
}
