package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/vm"
	"github.com/lodenet/lode/devnet"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/node"
	"github.com/lodenet/lode/repo"
	"github.com/lodenet/lode/wallet"
)

// initFlags are those of lode init.
type initFlags struct {
	network, genesis, preseal, key, passphrase string
	plain                                      bool
	apiAddr                                    string
	listen                                     []string
}

func (a *app) initCmd() *cobra.Command {
	var fl initFlags
	return a.verb(verb{
		use: "init", short: "Make a node's folder",
		long: "Make a node's folder for a network: its settings, a key, a peer id. It appears whole or not at all.\n" +
			"Keys are encrypted with a passphrase, read from --passphrase-file, LODE_PASSPHRASE_FILE or the terminal; --no-passphrase keeps them plain.",
		example: "  lode network new --out net --proofs insecure\n  lode init --network net --preseal net/miner-0 --no-passphrase\n  lode --repo ~/second init --network net/network.toml --genesis net/genesis.car",
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&fl.network, "network", "", "the network's folder, or its network.toml (needed)")
			f.StringVar(&fl.genesis, "genesis", "", "the network's genesis CAR (default: genesis.car beside network.toml)")
			f.StringVar(&fl.preseal, "preseal", "", "folder of a miner or account that lode network new wrote: its keys, peer id and sectors")
			f.StringVar(&fl.key, "import-key", "", "file with a key to use instead of a new one")
			f.StringVar(&fl.passphrase, "passphrase-file", "", "file with the passphrase of the keys")
			f.BoolVar(&fl.plain, "no-passphrase", false, "do not encrypt the keys")
			f.StringVar(&fl.apiAddr, "api-listen", "", "multiaddr of the node's API (default: /ip4/127.0.0.1/tcp/1234/http)")
			f.StringArrayVar(&fl.listen, "listen", nil, "multiaddr to listen on for peers")
		},
		run: func(ctx context.Context, _ []string) error { return a.init(ctx, fl) },
	})
}

// born is what lode init prints.
type born struct {
	Repo    string
	Network string
	Peer    peer.ID
	Address address.Address
	Miner   string `json:",omitempty"`
}

func (a *app) init(ctx context.Context, fl initFlags) error {
	net, genesis, err := openNetwork(fl.network, fl.genesis)
	if err != nil {
		return err
	}
	defer genesis.Close() // read only
	opt := wallet.Options{Plain: fl.plain}
	if !fl.plain {
		if opt.Passphrase, err = a.passphrase(fl.passphrase, true); err != nil {
			return err
		}
	}
	if err := vm.SetNetwork(net); err != nil {
		return err
	}
	cfg := repo.DefaultConfig()
	if fl.apiAddr != "" {
		cfg.API.ListenAddress = fl.apiAddr
	}
	if len(fl.listen) > 0 {
		cfg.Libp2p.ListenAddresses = fl.listen
	}
	var member *devnet.Member
	if fl.preseal != "" {
		if member, err = devnet.ReadMember(fl.preseal); err != nil {
			return err
		}
		if member.Miner != address.Undef {
			cfg.Mining = repo.MiningConfig{Enabled: true, Miner: member.Miner.String()}
		}
	}
	out := &born{Repo: a.dir, Network: net.Name, Miner: cfg.Mining.Miner}
	err = repo.Init(ctx, a.dir, net, genesis, repo.Options{Config: &cfg, Fill: func(ctx context.Context, dir string) error {
		keys, err := wallet.Open(filepath.Join(dir, "keystore"), opt)
		if err != nil {
			return err
		}
		if member != nil {
			if err := member.Settle(ctx, dir, keys); err != nil {
				return err
			}
		}
		return fill(dir, keys, fl.key, out)
	}})
	if err != nil {
		return err
	}
	return a.show(out, func(w io.Writer) error {
		return fields(w, "Repo", out.Repo, "Network", out.Network, "Peer", out.Peer.String(), "Address", out.Address.String(), "Miner", out.Miner,
			"Next", "lode daemon --repo "+a.dir)
	})
}

// fill gives a new repo a key, unless it has one, and a peer id.
func fill(dir string, keys *wallet.Wallet, keyFile string, out *born) error {
	switch {
	case keyFile != "":
		b, err := os.ReadFile(keyFile)
		if err != nil {
			return err
		}
		k, err := wallet.ParseKey(b)
		if err != nil {
			return fmt.Errorf("%s: %w", keyFile, err)
		}
		a, err := keys.Import(k)
		if err != nil {
			return err
		}
		if err := keys.SetDefault(a); err != nil {
			return err
		}
	case len(keys.List()) == 0:
		if _, err := keys.New(crypto.SigTypeSecp256k1); err != nil {
			return err
		}
	}
	a, err := keys.Default()
	if err != nil {
		return err
	}
	id, err := host.Identity(node.IdentityPath(filepath.Join(dir, "keystore")))
	if err != nil {
		return err
	}
	out.Address = a
	out.Peer, err = peer.IDFromPrivateKey(id)
	return err
}

// openNetwork finds network.toml and the genesis that goes with it.
func openNetwork(network, genesis string) (types.Network, *os.File, error) {
	fail := func(err error) (types.Network, *os.File, error) { return types.Network{}, nil, err }
	if network == "" {
		return fail(usagef("name the network with --network FOLDER; lode network new makes one, and its operator gives you one that exists"))
	}
	network = networkFile(network)
	net, err := readNetwork(network)
	if err != nil {
		return fail(err)
	}
	if genesis == "" {
		genesis = filepath.Join(filepath.Dir(network), devnet.GenesisFile)
	}
	f, err := os.Open(genesis)
	if err != nil {
		return fail(err)
	}
	return net, f, nil
}

// networkFile is the network.toml that a folder, or itself, names.
func networkFile(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return filepath.Join(path, devnet.NetworkFile)
	}
	return path
}

// readNetwork reads a network's folder or its network.toml.
func readNetwork(path string) (types.Network, error) {
	path = networkFile(path)
	b, err := os.ReadFile(path)
	if err != nil {
		return types.Network{}, err
	}
	net, err := types.ParseNetwork(b)
	if err != nil {
		return types.Network{}, fmt.Errorf("%s: %w", path, err)
	}
	return net, nil
}

// passphraseLimit bounds a passphrase file, in bytes.
const passphraseLimit = 4 << 10

// passphrase reads the passphrase of the keys from a file, or from the terminal; twice when
// it is new.
func (a *app) passphrase(file string, fresh bool) ([]byte, error) {
	if file == "" {
		file = a.env("LODE_PASSPHRASE_FILE")
	}
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close() // read only
		b, err := io.ReadAll(io.LimitReader(f, passphraseLimit))
		if err != nil {
			return nil, err
		}
		p := strings.TrimRight(string(b), "\r\n")
		if p == "" {
			return nil, fmt.Errorf("%s: the passphrase is empty; use --no-passphrase to have none", file)
		}
		return []byte(p), nil
	}
	in, ok := a.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return nil, usagef("the keys need a passphrase: name its file with --passphrase-file or LODE_PASSPHRASE_FILE, or keep them plain with lode init --no-passphrase")
	}
	ask := func(what string) ([]byte, error) {
		fmt.Fprint(a.Err, what)
		b, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(a.Err)
		return b, err
	}
	p, err := ask("Passphrase: ")
	if err != nil {
		return nil, err
	}
	if len(p) == 0 {
		return nil, errors.New("the passphrase is empty; use --no-passphrase to have none")
	}
	if fresh {
		again, err := ask("Once more: ")
		if err != nil {
			return nil, err
		}
		if string(again) != string(p) {
			return nil, errors.New("the two are not the same; nothing was made")
		}
	}
	return p, nil
}
