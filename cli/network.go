package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/devnet"
	"github.com/lodenet/lode/repo"
)

func (a *app) networkCmd() *cobra.Command {
	return a.noun("network", "Define networks", nil, a.networkNew(), a.networkInfo())
}

// networkFlags are those that set a network's parameters.
type networkFlags struct {
	params, name, out, proofs, keys, sector, funds string
	epoch                                          time.Duration
	miners, accounts, presealed                    int
	start                                          time.Duration
}

func (a *app) networkNew() *cobra.Command {
	var fl networkFlags
	return a.verb(verb{
		use: "new", short: "Make the genesis of a new network",
		long: "Make the genesis of a new network: network.toml and genesis.car, which every node needs, and a folder for each miner and account with its keys and first sectors, which lode init --preseal takes in.\n" +
			"Proof systems are groth16, with succinct proofs, and insecure, which proves nothing to anyone. " +
			"The keys of groth16 are those of a ceremony with --keys, else they are derived from a public seed, so that anyone can forge proofs: such a network is for development, and says so.",
		example: "  lode network new --out net --name office --miners 2 --accounts 3 --proofs groth16 --keys ceremony-keys\n  lode network new --out net --params my-network.toml --proofs insecure",
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&fl.out, "out", "", "folder to write, which must not exist (needed)")
			f.StringVar(&fl.params, "params", "", "a network.toml whose parameters to take (default: the devnet's)")
			f.StringVar(&fl.name, "name", "", "the network's name")
			f.StringVar(&fl.proofs, "proofs", "", "proof system (needed unless --params names one)")
			f.StringVar(&fl.keys, "keys", "", "folder with the keys that a ceremony made for this network (lode params import, with LODE_PARAMS)")
			f.StringVar(&fl.sector, "sector-size", "", "2KiB, 8MiB, 512MiB or 32GiB")
			f.DurationVar(&fl.epoch, "epoch", 0, "length of an epoch, whole seconds")
			f.IntVar(&fl.miners, "miners", 1, "miners")
			f.IntVar(&fl.accounts, "accounts", 1, "other accounts with money")
			f.IntVar(&fl.presealed, "presealed", 2, "sectors that each miner starts with")
			f.StringVar(&fl.funds, "funds", "1000000 FIL", "what each account starts with")
			f.DurationVar(&fl.start, "start-in", 30*time.Second, "how long after this the first epoch is")
		},
		run: func(ctx context.Context, _ []string) error { return a.newNetwork(ctx, fl) },
	})
}

func (a *app) newNetwork(ctx context.Context, fl networkFlags) error {
	if fl.out == "" {
		return usagef("name the folder to write with --out")
	}
	if _, err := os.Lstat(fl.out); err == nil {
		return fmt.Errorf("%s exists already; name another folder", fl.out)
	}
	net, err := fl.network()
	if err != nil {
		return err
	}
	funds, err := parseAmount(fl.funds)
	if err != nil {
		return err
	}
	if fl.keys != "" {
		if err := ceremonyKeys(ctx, fl.keys, &net); err != nil {
			return err
		}
	}
	proving, err := a.proving()
	if err != nil {
		return err
	}
	spec := devnet.Spec{Network: net, Nodes: fl.miners + fl.accounts, Miners: fl.miners, PresealedSectors: fl.presealed, Funds: funds, Proving: proving}
	tmp := strings.TrimRight(fl.out, string(filepath.Separator)) + ".new"
	birth, err := a.birth(ctx, tmp, spec, fl)
	if err != nil {
		return errors.Join(err, os.RemoveAll(tmp))
	}
	if err := os.Rename(tmp, fl.out); err != nil {
		return errors.Join(err, os.RemoveAll(tmp))
	}
	return a.showBirth(fl.out, birth)
}

// birth makes everything in a temporary folder.
func (a *app) birth(ctx context.Context, tmp string, spec devnet.Spec, fl networkFlags) (*devnet.Birth, error) {
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return nil, err
	}
	work := filepath.Join(tmp, "work")
	last := ""
	birth, err := devnet.Create(ctx, work, spec, func() time.Time { return time.Now().Add(fl.start) }, func(step string, _ float64) {
		if step != last {
			last = step
			a.say("%s", step)
		}
	})
	if err != nil {
		return nil, err
	}
	for i := range birth.Members {
		if m := &birth.Members[i]; i < fl.miners {
			m.Name = fmt.Sprintf("miner-%d", i)
		} else {
			m.Name = fmt.Sprintf("account-%d", i-fl.miners)
		}
	}
	if err := birth.Write(tmp); err != nil {
		return nil, err
	}
	return birth, os.RemoveAll(work)
}

// network puts the parameters together.
func (fl networkFlags) network() (types.Network, error) {
	net := types.Devnet()
	net.Proofs = ""
	if fl.params != "" {
		var err error
		if net, err = readNetwork(fl.params); err != nil {
			return net, err
		}
		net.Genesis, net.GenesisTime, net.CirculatingAtGenesis = "", 0, ""
	}
	if fl.name != "" {
		net.Name = fl.name
	}
	if fl.proofs != "" {
		net.Proofs = fl.proofs
	}
	switch net.Proofs {
	case "":
		return net, usagef("name the proof system with --proofs: %s, or %s, which proves nothing to anyone and is for development", types.ProofsGroth16, types.ProofsInsecure)
	case types.ProofsInsecure, types.ProofsGroth16:
	default:
		return net, usagef("there is no proof system %q; there are %s and %s", net.Proofs, types.ProofsGroth16, types.ProofsInsecure)
	}
	if fl.sector != "" {
		n, err := parseSize(fl.sector)
		if err != nil {
			return net, err
		}
		net.Policy.SectorSize, net.Policy.MinPower = n, n
	}
	if fl.epoch == 0 && fl.params == "" && net.Proofs == types.ProofsGroth16 {
		fl.epoch = groth16Epoch
	}
	if fl.epoch != 0 {
		if fl.epoch < time.Second || fl.epoch%time.Second != 0 {
			return net, usagef("--epoch %s is not whole seconds", fl.epoch)
		}
		// The delays keep their share of the epoch.
		was := net.EpochSeconds
		net.EpochSeconds = uint64(fl.epoch / time.Second)
		net.PropagationMillis = net.PropagationMillis * net.EpochSeconds / was
		net.EquivocationMillis = net.EquivocationMillis * net.EpochSeconds / was
	}
	return net, net.Check()
}

// parseSize reads a number of bytes with a binary unit: 8MiB.
func parseSize(s string) (uint64, error) {
	t := strings.ToLower(strings.ReplaceAll(s, " ", ""))
	shift := 0
	for i, u := range []string{"kib", "mib", "gib", "tib"} {
		if v, ok := strings.CutSuffix(t, u); ok {
			t, shift = v, 10*(i+1)
		}
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(t, "b"), 10, 20)
	if err != nil {
		return 0, usagef("%q is not a size such as 8MiB", s)
	}
	return n << shift, nil
}

// newMember is a member as lode network new prints it.
type newMember struct {
	Name    string
	Miner   string `json:",omitempty"`
	Address string
	Folder  string
}

func (a *app) showBirth(dir string, b *devnet.Birth) error {
	out := &struct {
		Network types.Network
		Folder  string
		Members []newMember
	}{Network: b.Network, Folder: dir}
	for _, m := range b.Members {
		nm := newMember{Name: m.Name, Folder: filepath.Join(dir, m.Name)}
		if m.Preseal != "" {
			nm.Miner = m.Miner.String()
		}
		if len(m.Keys) > 0 {
			nm.Address = m.Keys[0].Address.String()
		}
		out.Members = append(out.Members, nm)
	}
	return a.show(out, func(w io.Writer) error {
		if err := showNetwork(w, b.Network); err != nil {
			return err
		}
		var rows [][]string
		for _, m := range out.Members {
			rows = append(rows, []string{m.Name, dash(m.Miner), m.Address, m.Folder})
		}
		if err := grid(w, []string{"member", "miner", "address", "folder"}, rows); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w, "\nNext: lode --repo NODE init --network %s --preseal %s --no-passphrase\n", dir, out.Members[0].Folder)
		return err
	})
}

func showNetwork(w io.Writer, n types.Network) error {
	p := n.Policy
	return fields(w, "Network", n.Name, "Genesis", n.Genesis, "Begins", when(time.Unix(int64(n.GenesisTime), 0)), "Epoch", fmt.Sprintf("%d s", n.EpochSeconds),
		"Proofs", proofsNote(n.Proofs), "Keys", keysNote(n.Keys), "Beacon", n.Beacon, "Addresses", n.AddressPrefix+"…", "Sector size", size(p.SectorSize),
		"Power to mine", size(p.MinPower), "Proving period", epochs(p.ProvingPeriod, n), "Deadline", epochs(p.ChallengeWindow, n),
		"Pre-commit delay", epochs(p.PreCommitChallengeDelay, n), "Prove commit within", epochs(p.MaxProveCommitDuration, n),
		"Bootstrap", strings.Join(n.Bootstrap, " "))
}

// keysNote names the verifying keys of a network, and says whether they can be trusted.
func keysNote(k types.Keys) string {
	if len(k.Verifying) == 0 {
		return ""
	}
	note := "from a ceremony"
	if k.InsecureSeed != "" {
		note = fmt.Sprintf("INSECURE, from the public seed %q: anyone can forge proofs", k.InsecureSeed)
	}
	for _, name := range slices.Sorted(maps.Keys(k.Verifying)) {
		note += fmt.Sprintf("\n    %s %x", name, sha256.Sum256(k.Verifying[name]))
	}
	return note
}

// epochs shows a number of epochs with the time they take.
func epochs(e abi.ChainEpoch, n types.Network) string {
	return fmt.Sprintf("%d epochs, %s", e, time.Duration(uint64(e)*n.EpochSeconds)*time.Second)
}

func (a *app) networkInfo() *cobra.Command {
	return a.verb(verb{
		use: "info [FILE]", short: "Show what defines a network: the repo's, or that of a network.toml",
		example: "  lode network info\n  lode network info net/network.toml --json",
		args:    cobra.MaximumNArgs(1),
		run: func(_ context.Context, args []string) error {
			net, err := a.networkOf(args)
			if err != nil {
				return err
			}
			return a.show(&net, func(w io.Writer) error { return showNetwork(w, net) })
		},
	})
}

func (a *app) networkOf(args []string) (types.Network, error) {
	if len(args) == 0 {
		return repo.Network(a.dir)
	}
	return readNetwork(args[0])
}
