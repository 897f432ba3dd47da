package types

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/network"
	"github.com/ipfs/go-cid"
)

// NetworkVersion is the version of the protocol that every network of lode starts and stays
// at: actors v8 run natively.
const NetworkVersion = network.Version16

// ProofsInsecure names the proof system that proves nothing to anyone but a test: it binds a
// proof to its statement, and that is all.
const ProofsInsecure = "insecure"

// ProofsGroth16 names the proof system of succinct proofs.
const ProofsGroth16 = "groth16"

// Network is the data that, with a genesis CAR, defines a network (network.toml). It is
// immutable once a node has started.
type Network struct {
	Name          string `toml:"name"`
	AddressPrefix string `toml:"address_prefix"` // "t" or "f", for output only
	EpochSeconds  uint64 `toml:"epoch_seconds"`
	// PropagationMillis is how long after an epoch's start a miner waits for the blocks of
	// the epoch before; EquivocationMillis how long it then looks for two-faced blocks.
	PropagationMillis  uint64 `toml:"propagation_ms"`
	EquivocationMillis uint64 `toml:"equivocation_ms"`

	// GenesisTime (unix seconds) and Genesis (CID of the genesis header) are filled in when
	// the genesis is made.
	GenesisTime uint64 `toml:"genesis_time"`
	Genesis     string `toml:"genesis"`
	// CirculatingAtGenesis is what the template's accounts hold, in attoFIL: the starting
	// point of the circulating supply.
	CirculatingAtGenesis string `toml:"circulating_at_genesis"`

	Proofs    string   `toml:"proofs"` // name of the proof system
	Beacon    string   `toml:"beacon"` // "local"
	Bootstrap []string `toml:"bootstrap"`
	Policy    Policy   `toml:"policy"`
	Keys      Keys     `toml:"keys,omitempty"`
}

// Policy is what a network sets of the actors' policy (spec chain.md h.4). Durations are in
// epochs, sizes in bytes.
type Policy struct {
	SectorSize              uint64         `toml:"sector_size"`
	MinPower                uint64         `toml:"consensus_miner_min_power"`
	ChallengeWindow         abi.ChainEpoch `toml:"wpost_challenge_window"`
	ProvingPeriod           abi.ChainEpoch `toml:"wpost_proving_period"`
	DisputeWindow           abi.ChainEpoch `toml:"wpost_dispute_window"`
	FaultMaxAge             abi.ChainEpoch `toml:"fault_max_age"`
	PreCommitChallengeDelay abi.ChainEpoch `toml:"pre_commit_challenge_delay"`
	MaxProveCommitDuration  abi.ChainEpoch `toml:"max_prove_commit_duration"`
	// DepositProjection is how many epochs of a sector's expected reward a pre-commit must
	// deposit. The public value, 57,600, asks a young network with little power for millions
	// of FIL a sector; see docs/decisions.
	DepositProjection abi.ChainEpoch `toml:"pre_commit_deposit_projection"`
}

// Devnet is the built-in development network without its genesis (spec chain.md h.5).
func Devnet() Network {
	return Network{
		Name:               "devnet",
		AddressPrefix:      "t",
		EpochSeconds:       4,
		PropagationMillis:  1000,
		EquivocationMillis: 500,
		Proofs:             ProofsInsecure,
		Beacon:             "local",
		Policy: Policy{
			SectorSize:              8 << 20,
			MinPower:                8 << 20,
			ChallengeWindow:         21,
			ProvingPeriod:           48 * 21,
			DisputeWindow:           901,
			FaultMaxAge:             42 * 48 * 21,
			PreCommitChallengeDelay: 10,
			MaxProveCommitDuration:  500,
			DepositProjection:       20,
		},
	}
}

// ParseNetwork reads a network.toml. Unknown keys are refused, so a typo is not ignored.
func ParseNetwork(b []byte) (Network, error) {
	var n Network
	md, err := toml.Decode(string(b), &n)
	if err != nil {
		return Network{}, fmt.Errorf("network file: %w", err)
	}
	if u := md.Undecoded(); len(u) > 0 {
		return Network{}, fmt.Errorf("network file: unknown key %s", u[0])
	}
	if err := n.Check(); err != nil {
		return Network{}, err
	}
	return n, nil
}

// Encode writes the network.toml form.
func (n Network) Encode() ([]byte, error) {
	var buf bytes.Buffer
	err := toml.NewEncoder(&buf).Encode(n)
	return buf.Bytes(), err
}

// Check tells whether the values fit together (spec chain.md h.4).
func (n Network) Check() error {
	p := n.Policy
	switch {
	case !validName(n.Name):
		return fmt.Errorf("network: name %.80q is not 1 to %d letters, digits, dots, dashes and underscores", n.Name, maxNameBytes)
	case n.AddressPrefix != "t" && n.AddressPrefix != "f":
		return fmt.Errorf("network %s: address prefix %q is not t or f", n.Name, n.AddressPrefix)
	case n.EpochSeconds == 0 || n.EpochSeconds > maxEpochSeconds:
		return fmt.Errorf("network %s: epoch of %d seconds is not 1 to %d", n.Name, n.EpochSeconds, maxEpochSeconds)
	case n.GenesisTime > maxGenesisTime:
		return fmt.Errorf("network %s: genesis time %d is not in unix seconds", n.Name, n.GenesisTime)
	case n.PropagationMillis > 1000*n.EpochSeconds || n.EquivocationMillis > 1000*n.EpochSeconds || n.PropagationMillis+n.EquivocationMillis >= 1000*n.EpochSeconds:
		return fmt.Errorf("network %s: propagation and equivocation delays do not fit in an epoch", n.Name)
	case n.Proofs == "":
		return fmt.Errorf("network %s: no proof system", n.Name)
	case n.Beacon != "local":
		return fmt.Errorf("network %s: unknown beacon %q", n.Name, n.Beacon)
	case p.ChallengeWindow > maxPolicyEpochs || p.DisputeWindow > maxPolicyEpochs || p.MaxProveCommitDuration > maxPolicyEpochs || p.FaultMaxAge > maxPolicyEpochs:
		return fmt.Errorf("network %s: a duration of the policy is above %d epochs", n.Name, maxPolicyEpochs)
	case p.ProvingPeriod != 48*p.ChallengeWindow:
		return fmt.Errorf("network %s: proving period %d is not 48 windows of %d", n.Name, p.ProvingPeriod, p.ChallengeWindow)
	case p.ChallengeWindow < 21 || p.DisputeWindow <= 900 || 3*p.ChallengeWindow+p.DisputeWindow > p.ProvingPeriod:
		return fmt.Errorf("network %s: window %d, dispute window %d and period %d break the actors' invariants", n.Name, p.ChallengeWindow, p.DisputeWindow, p.ProvingPeriod)
	case p.MaxProveCommitDuration <= p.PreCommitChallengeDelay || p.PreCommitChallengeDelay <= 0:
		return fmt.Errorf("network %s: prove commit within %d epochs with a delay of %d", n.Name, p.MaxProveCommitDuration, p.PreCommitChallengeDelay)
	case p.DepositProjection <= 0:
		return fmt.Errorf("network %s: pre_commit_deposit_projection %d is not positive", n.Name, p.DepositProjection)
	}
	if _, err := n.SealProof(); err != nil {
		return err
	}
	if err := n.Keys.check(); err != nil {
		return fmt.Errorf("network %s: %w", n.Name, err)
	}
	if _, err := n.Circulating(); err != nil {
		return err
	}
	if n.Genesis != "" {
		if _, err := cid.Decode(n.Genesis); err != nil {
			return fmt.Errorf("network %s: genesis: %w", n.Name, err)
		}
	}
	return nil
}

// Bounds on what a network file may say, far outside what makes sense: within them no sum or
// product of these values overflows.
const (
	maxNameBytes                   = 64
	maxEpochSeconds                = 86_400
	maxGenesisTime                 = 1 << 40
	maxPolicyEpochs abi.ChainEpoch = 1 << 40
)

// validName keeps to what can stand in a topic, a protocol ID and a file name.
func validName(s string) bool {
	ok := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_'
	}
	return s != "" && len(s) <= maxNameBytes && s[0] != '.' && !strings.ContainsFunc(s, func(r rune) bool { return !ok(r) })
}

// Circulating is CirculatingAtGenesis as a number; empty is 0.
func (n Network) Circulating() (abi.TokenAmount, error) {
	if n.CirculatingAtGenesis == "" {
		return big.Zero(), nil
	}
	if len(n.CirculatingAtGenesis) > len(TotalFilecoin.String()) {
		return big.Zero(), fmt.Errorf("network %s: circulating_at_genesis has %d digits", n.Name, len(n.CirculatingAtGenesis))
	}
	v, err := big.FromString(n.CirculatingAtGenesis)
	if err != nil || v.Sign() < 0 || v.GreaterThan(TotalFilecoin) {
		return big.Zero(), fmt.Errorf("network %s: circulating_at_genesis %q is not an amount in attoFIL", n.Name, n.CirculatingAtGenesis)
	}
	return v, nil
}

// SealProof is the registered proof of the network's sectors (interactive V1_1).
func (n Network) SealProof() (abi.RegisteredSealProof, error) {
	switch n.Policy.SectorSize {
	case 2 << 10:
		return abi.RegisteredSealProof_StackedDrg2KiBV1_1, nil
	case 8 << 20:
		return abi.RegisteredSealProof_StackedDrg8MiBV1_1, nil
	case 512 << 20:
		return abi.RegisteredSealProof_StackedDrg512MiBV1_1, nil
	case 32 << 30:
		return abi.RegisteredSealProof_StackedDrg32GiBV1_1, nil
	}
	return 0, fmt.Errorf("network %s: sector size %d is not 2 KiB, 8 MiB, 512 MiB or 32 GiB", n.Name, n.Policy.SectorSize)
}

// Propagation is the propagation delay.
func (n Network) Propagation() time.Duration {
	return time.Duration(n.PropagationMillis) * time.Millisecond
}

// Equivocation is the equivocation delay.
func (n Network) Equivocation() time.Duration {
	return time.Duration(n.EquivocationMillis) * time.Millisecond
}
