package proving

import (
	"errors"
	"fmt"
	"testing"

	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"
)

func bits(n ...uint64) bitfield.BitField { return bitfield.NewFromSet(n) }

func TestTargets(t *testing.T) {
	parts := []*miner.Partition{
		{Sectors: bits(1, 2, 3), Faults: bits(2, 3), Recoveries: bits(3), Terminated: bits(), Unproven: bits()},
		{Sectors: bits(4, 5), Faults: bits(), Recoveries: bits(), Terminated: bits(5), Unproven: bits()},
		{Sectors: bits(6), Faults: bits(6), Recoveries: bits(), Terminated: bits(), Unproven: bits()},
		{Sectors: bits(7), Faults: bits(), Recoveries: bits(), Terminated: bits(), Unproven: bits(7)},
		{Sectors: bits(8), Faults: bits(), Recoveries: bits(), Terminated: bits(), Unproven: bits()},
	}
	got, err := targets(parts, bits(4))
	if err != nil {
		t.Fatal(err)
	}
	if s, want := fmt.Sprint(got), "[{0 [1 2 3] [1 3]} {1 [4 5] [4]} {3 [7] [7]}]"; s != want {
		t.Errorf("got %s want %s", s, want)
	}
}

func TestStatement(t *testing.T) {
	info := func(n uint64) (proof.SectorInfo, error) {
		return proof.SectorInfo{SectorNumber: abi.SectorNumber(n)}, nil
	}
	all := []target{{0, []uint64{4, 5, 6}, []uint64{5, 6}}, {1, []uint64{1, 2}, []uint64{1, 2}}, {2, []uint64{7}, []uint64{7}}}
	for _, c := range []struct {
		name       string
		skip       []uint64
		sectors    string
		partitions string
		err        error
	}{
		{"all good", nil, "[1 2 1 5 6 7]", "0:[] 1:[] 2:[] ", nil},
		{"first skipped", []uint64{1}, "[2 2 2 5 6 7]", "0:[] 1:[1] 2:[] ", nil},
		{"a whole partition skipped", []uint64{7}, "[1 2 1 5 6]", "0:[] 1:[] ", nil},
		{"nothing left", []uint64{1, 2, 5, 6, 7}, "[]", "", errNothing},
	} {
		t.Run(c.name, func(t *testing.T) {
			skip := map[uint64]bool{}
			for _, n := range c.skip {
				skip[n] = true
			}
			st, err := state(all, skip, info)
			if !errors.Is(err, c.err) {
				t.Fatalf("got %v want %v", err, c.err)
			}
			var nums []uint64
			for _, s := range st.sectors {
				nums = append(nums, uint64(s.SectorNumber))
			}
			if got := fmt.Sprint(nums); got != c.sectors {
				t.Errorf("sectors: got %s want %s", got, c.sectors)
			}
			parts := ""
			for _, p := range st.partitions {
				skipped, err := p.Skipped.All(10)
				if err != nil {
					t.Fatal(err)
				}
				parts += fmt.Sprintf("%d:%v ", p.Index, skipped)
			}
			if parts != c.partitions {
				t.Errorf("partitions: got %s want %s", parts, c.partitions)
			}
		})
	}
}
