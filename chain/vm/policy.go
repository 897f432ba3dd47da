package vm

import (
	"errors"
	"fmt"
	"sync"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/verifreg"

	"github.com/lodenet/lode/chain/types"
)

// ErrOtherNetwork: another network's policy was applied in this process before. Start a
// process for each network.
var ErrOtherNetwork = errors.New("this process already runs another network")

// applied remembers the policy that the actors have. It is the one thing in this package
// that changes, because specs-actors keeps its policy in package variables too.
var applied struct {
	mu   sync.Mutex
	name string        // guarded by mu
	set  *types.Policy // guarded by mu
}

// SetNetwork applies a network's policy to the actors (spec chain.md h.4), and its address
// prefix to what is printed, once a process, before the first VM is made. The same policy again is fine.
func SetNetwork(n types.Network) error {
	if err := n.Check(); err != nil {
		return err
	}
	applied.mu.Lock()
	defer applied.mu.Unlock()
	if applied.set != nil {
		if *applied.set == n.Policy {
			return nil
		}
		return fmt.Errorf("%w: %s, asked for %s with another policy", ErrOtherNetwork, applied.name, n.Name)
	}
	if err := apply(n); err != nil {
		return err
	}
	applied.name, applied.set = n.Name, &n.Policy
	return nil
}

// smallestVerifiedDeal applies where a sector could not hold the public minimum of 1 MiB.
const smallestVerifiedDeal = 256

func apply(n types.Network) error {
	seal, err := n.SealProof()
	if err != nil {
		return err
	}
	post, err := seal.RegisteredWindowPoStProof()
	if err != nil {
		return fmt.Errorf("network %s: %w", n.Name, err)
	}
	address.CurrentNetwork = address.Testnet // how addresses are written, everywhere
	if n.AddressPrefix == address.MainnetPrefix {
		address.CurrentNetwork = address.Mainnet
	}
	p := n.Policy
	for _, pol := range builtin.PoStProofPolicies {
		pol.ConsensusMinerMinPower = big.NewIntUnsigned(p.MinPower)
	}
	miner.WindowPoStProofTypes = map[abi.RegisteredPoStProof]struct{}{post: {}}
	miner.PreCommitSealProofTypesV8 = map[abi.RegisteredSealProof]struct{}{seal: {}}
	miner.WPoStChallengeWindow = p.ChallengeWindow
	miner.WPoStProvingPeriod = p.ProvingPeriod
	miner.WPoStDisputeWindow = p.DisputeWindow
	miner.FaultMaxAge = p.FaultMaxAge
	miner.PreCommitChallengeDelay = p.PreCommitChallengeDelay
	miner.MaxProveCommitDuration[seal] = p.MaxProveCommitDuration
	miner.PreCommitDepositProjectionPeriod = p.DepositProjection
	if verifreg.MinVerifiedDealSize.GreaterThan(big.NewIntUnsigned(p.SectorSize)) {
		verifreg.MinVerifiedDealSize = abi.NewStoragePower(smallestVerifiedDeal)
	}
	return nil
}
