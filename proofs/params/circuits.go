package params

import (
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"

	"github.com/lodenet/lode/proofs/circuit"
	"github.com/lodenet/lode/proofs/registry"
)

// seals are a seal proof of each sector size. Those of a size that differ in graph or in how
// challenges are drawn have the circuit in common.
var seals = [...]abi.RegisteredSealProof{
	abi.RegisteredSealProof_StackedDrg2KiBV1_1,
	abi.RegisteredSealProof_StackedDrg8MiBV1_1,
	abi.RegisteredSealProof_StackedDrg512MiBV1_1,
	abi.RegisteredSealProof_StackedDrg32GiBV1_1,
	abi.RegisteredSealProof_StackedDrg64GiBV1_1,
}

// Circuits are those of a sector size: replication, winning and window PoSt.
func Circuits(size abi.SectorSize) ([]Circuit, error) {
	for _, p := range seals {
		s, err := registry.SealOf(p)
		if err != nil {
			return nil, err
		}
		if s.SectorSize == size {
			return circuitsOf(p, s)
		}
	}
	return nil, fmt.Errorf("there are no circuits for sectors of %d bytes; take 2KiB, 8MiB, 512MiB, 32GiB or 64GiB", size)
}

func circuitsOf(p abi.RegisteredSealProof, s registry.Seal) ([]Circuit, error) {
	replication, err := circuit.PoRep(s)
	if err != nil {
		return nil, err
	}
	winning, err := p.RegisteredWinningPoStProof()
	if err != nil {
		return nil, err
	}
	window, err := p.RegisteredWindowPoStProof()
	if err != nil {
		return nil, err
	}
	out := []Circuit{replication}
	for _, k := range []struct {
		proof abi.RegisteredPoStProof
		of    func(registry.PoSt) (*circuit.Statement, error)
	}{{winning, circuit.Winning}, {window, circuit.Window}} {
		post, err := registry.PoStOf(k.proof)
		if err != nil {
			return nil, err
		}
		c, err := k.of(post)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// CircuitNamed finds the circuit of a name.
func CircuitNamed(name string) (Circuit, error) {
	for _, p := range seals {
		s, err := registry.SealOf(p)
		if err != nil {
			return nil, err
		}
		all, err := circuitsOf(p, s)
		if err != nil {
			return nil, err
		}
		for _, c := range all {
			if c.Name() == name {
				return c, nil
			}
		}
	}
	return nil, fmt.Errorf("this version of lode has no circuit %s", name)
}
