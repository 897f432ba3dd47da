package circuit

import (
	"fmt"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/filecoin-project/go-state-types/proof"

	"github.com/lodenet/lode/proofs/commitment"
	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/proofs/post"
	"github.com/lodenet/lode/proofs/registry"
	"github.com/lodenet/lode/proofs/sdr"
)

// PoRepInputs are the public inputs of one partition of a seal proof, from the statement
// alone, in the order of the reference (spec: proofs 8.1).
func PoRepInputs(info proof.SealVerifyInfo, partition int) ([]fr.Element, error) {
	seal, err := registry.SealOf(info.SealProof)
	if err != nil {
		return nil, fmt.Errorf("sector %d: %w", info.Number, err)
	}
	in, err := porepInputs(seal, info, partition)
	if err != nil {
		return nil, fmt.Errorf("sector %d: %w", info.Number, err)
	}
	return in, nil
}

func porepInputs(seal registry.Seal, info proof.SealVerifyInfo, partition int) ([]fr.Element, error) {
	if len(info.Randomness) != 32 {
		return nil, fmt.Errorf("a ticket of %d bytes, it has 32", len(info.Randomness))
	}
	commD, err := commitment.Unsealed(info.UnsealedCID)
	if err != nil {
		return nil, err
	}
	commR, err := commitment.Sealed(info.SealedCID)
	if err != nil {
		return nil, err
	}
	id := sdr.ReplicaID(registry.ProverID(info.Miner), info.Number, [32]byte(info.Randomness), commD, seal.PoRepID)
	challenges, err := porep.Challenges(seal, id, commR, info.InteractiveRandomness, partition)
	if err != nil {
		return nil, err
	}
	graph, err := sdr.NewGraph(seal.PoRepID, seal.Nodes(), seal.Version)
	if err != nil {
		return nil, err
	}

	in := make([]fr.Element, 0, porepHeader+porepEach*len(challenges))
	for _, n := range []fr32.Node{id, commD, commR} {
		e, err := fr32.Element(&n)
		if err != nil {
			return nil, err
		}
		in = append(in, e)
	}
	for _, c := range challenges {
		node := fr.NewElement(c)
		in = append(in, node)
		for _, parent := range graph.Parents(c) {
			in = append(in, fr.NewElement(uint64(parent)))
		}
		in = append(in, node, node, node)
	}
	return in, nil
}

// PoStInputs are the public inputs of one partition of a PoSt, from the statement alone, in
// the order of the reference (spec: proofs 8.2).
func PoStInputs(st *post.Statement, partition int) ([]fr.Element, error) {
	sectors, err := partitionSectors(st, partition)
	if err != nil {
		return nil, err
	}
	in := make([]fr.Element, 0, postInputs(st.PoSt))
	for _, i := range sectors {
		commR, err := fr32.Element(&st.CommR[i])
		if err != nil {
			return nil, fmt.Errorf("sector %d: %w", st.Sectors[i].SectorNumber, err)
		}
		for n, c := range st.Challenges(i) {
			if n == 0 || st.Winning {
				in = append(in, commR)
			}
			in = append(in, fr.NewElement(c))
		}
	}
	return in, nil
}

// partitionSectors are the places in the statement of the sectors of a partition. A short
// last one repeats its last sector (spec: proofs 7.3).
func partitionSectors(st *post.Statement, partition int) ([]int, error) {
	if partition < 0 || partition >= st.Partitions() {
		return nil, fmt.Errorf("partition %d of %d", partition, st.Partitions())
	}
	sectors := make([]int, st.PoSt.Sectors)
	for i := range sectors {
		sectors[i] = min(partition*len(sectors)+i, len(st.Sectors)-1)
	}
	return sectors, nil
}
