package node

import (
	"errors"
	"fmt"

	"github.com/lodenet/lode/chain/beacon"
	"github.com/lodenet/lode/chain/mining"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/proofs/insecure"
	"github.com/lodenet/lode/storage/prover"
)

// Proving says where a provider makes succinct proofs.
type Proving struct {
	// Keys is the folder of proving keys; empty: there are none, so this node proves nothing.
	Keys string
	// Command is this program with the arguments that make it serve prover.Serve; empty: all
	// proofs are made in this process.
	Command []string
}

// ErrProofs: the network asks for a proof system that this program does not have.
var ErrProofs = errors.New("unknown proof system")

// ErrNoKeys: the node is a provider and was not told where proving keys are.
var ErrNoKeys = errors.New("no folder of proving keys")

// buildProofs makes the proof system that the network names. A node that is no provider
// needs the verifying keys alone, which are the network's.
func (n *Node) buildProofs() (err error) {
	switch n.network.Proofs {
	case types.ProofsInsecure:
		system := insecure.New()
		n.verifier, n.prover = system, system
		return nil
	case types.ProofsGroth16:
	default:
		return fmt.Errorf("%w: the network asks for %q, this program has %q and %q", ErrProofs, n.network.Proofs, types.ProofsGroth16, types.ProofsInsecure)
	}
	v, err := prover.Verifier(n.network)
	if err != nil {
		return err
	}
	n.verifier = v
	if n.config.Mining.Miner == "" {
		return nil
	}
	if n.opt.Proving.Keys == "" {
		return fmt.Errorf("%w: the miner %s cannot prove without", ErrNoKeys, n.config.Mining.Miner)
	}
	p, err := prover.New(n.network, v, prover.Options{Keys: n.opt.Proving.Keys, Command: n.opt.Proving.Command, Log: n.log})
	if err != nil {
		return err
	}
	n.prover, n.runProver, n.foresight = p, p.Run, foresight{n.beacon, p}
	return nil
}

// foresight is that of a provider whose winning PoSts take so long that they are worth making
// before their rounds. While a long proof is made, those that there are leave it the machine.
type foresight struct {
	beacon.Local
	prover *prover.Prover
}

var _ mining.Foresight = foresight{}

// Rounds implements mining.Foresight.
func (f foresight) Rounds() int {
	if f.prover.Busy() {
		return 1
	}
	return 8
}

// warnProofs says at each start when proofs of this network prove nothing.
func (n *Node) warnProofs() {
	switch {
	case n.network.Proofs == types.ProofsInsecure:
		n.log.Warn("this network runs the proof system \"insecure\": it proves nothing to anyone; use it for development only", "network", n.network.Name)
	case n.network.Keys.InsecureSeed != "":
		n.log.Warn("INSECURE: the proving keys of this network come from a public seed, so anyone can forge proofs; use it for development only", "network", n.network.Name)
	}
}
