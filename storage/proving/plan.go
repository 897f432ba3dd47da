package proving

import (
	"errors"
	"fmt"
	"slices"

	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/proof"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"
)

// target is what a partition's proof is about.
type target struct {
	index uint64
	all   []uint64 // all sectors of the partition by number, terminated ones too
	prove []uint64 // those to prove: live and good, or recovering
}

// targets lists the partitions of a deadline that have something to prove and are not proven.
func targets(parts []*miner.Partition, proven bitfield.BitField) ([]target, error) {
	var out []target
	for i, p := range parts {
		done, err := proven.IsSet(uint64(i))
		if err != nil {
			return nil, err
		}
		if done {
			continue
		}
		all, err := p.Sectors.All(miner.AddressedSectorsMax)
		if err != nil {
			return nil, fmt.Errorf("partition %d: %w", i, err)
		}
		live, err := p.LiveSectors()
		if err != nil {
			return nil, fmt.Errorf("partition %d: %w", i, err)
		}
		still, err := bitfield.SubtractBitField(p.Faults, p.Recoveries)
		if err != nil {
			return nil, fmt.Errorf("partition %d: %w", i, err)
		}
		good, err := bitfield.SubtractBitField(live, still)
		if err != nil {
			return nil, fmt.Errorf("partition %d: %w", i, err)
		}
		prove, err := good.All(miner.AddressedSectorsMax)
		if err != nil {
			return nil, fmt.Errorf("partition %d: %w", i, err)
		}
		if len(prove) > 0 {
			out = append(out, target{uint64(i), all, prove})
		}
	}
	return out, nil
}

// batches cuts targets into messages of at most n partitions.
func batches(ts []target, n int) [][]target {
	return slices.Collect(slices.Chunk(ts, max(1, n)))
}

// statement is what one message proves: for every partition in it which sectors were left
// out, and the sectors of all of them with each that is not proven replaced by the first that
// is (spec markets.md C.4, step 3). A partition with nothing left to prove is not in it.
type statement struct {
	partitions []miner.PoStPartition
	sectors    []proof.SectorInfo
}

var errNothing = errors.New("no sector of the partition can be read")

func state(batch []target, skip map[uint64]bool, info func(uint64) (proof.SectorInfo, error)) (statement, error) {
	var st statement
	good := map[uint64]bool{}
	var all []uint64
	for _, t := range batch {
		var skipped []uint64
		for _, n := range t.prove {
			if skip[n] {
				skipped = append(skipped, n)
			}
		}
		if len(skipped) == len(t.prove) {
			continue
		}
		for _, n := range t.prove {
			good[n] = !skip[n]
		}
		all = append(all, t.all...)
		st.partitions = append(st.partitions, miner.PoStPartition{Index: t.index, Skipped: bitfield.NewFromSet(skipped)})
	}
	if len(all) == 0 {
		return st, errNothing
	}
	slices.Sort(all)
	first := slices.IndexFunc(all, func(n uint64) bool { return good[n] })
	for _, n := range all {
		if !good[n] {
			n = all[first]
		}
		si, err := info(n)
		if err != nil {
			return st, err
		}
		st.sectors = append(st.sectors, si)
	}
	return st, nil
}

func sectorInfo(s *miner.SectorOnChainInfo) proof.SectorInfo {
	return proof.SectorInfo{SealProof: s.SealProof, SectorNumber: s.SectorNumber, SealedCID: s.SealedCID}
}
