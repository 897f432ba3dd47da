package beacon

import (
	"errors"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"

	"github.com/lodenet/lode/chain/types"
)

func TestLocalEntriesFitTheirCheck(t *testing.T) {
	var b Local
	prev := types.BeaconEntry{Round: b.Round(10)}
	for _, epoch := range []abi.ChainEpoch{11, 12, 40} {
		entries, err := b.EntriesFor(t.Context(), epoch, 10, prev)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) != int(epoch-10) || entries[len(entries)-1].Round != b.Round(epoch) {
			t.Errorf("epoch %d: got %d entries ending in round %d", epoch, len(entries), entries[len(entries)-1].Round)
		}
		if err := b.Check(epoch, 10, prev, entries); err != nil {
			t.Errorf("epoch %d: %v", epoch, err)
		}
	}
}

func TestLocalRefuses(t *testing.T) {
	var b Local
	prev := types.BeaconEntry{Round: b.Round(10)}
	good, err := b.EntriesFor(t.Context(), 12, 10, prev)
	if err != nil {
		t.Fatal(err)
	}
	flipped := types.BeaconEntry{Round: good[1].Round, Data: append([]byte{good[1].Data[0] ^ 1}, good[1].Data[1:]...)}
	for name, entries := range map[string][]types.BeaconEntry{
		"none":        nil,
		"too few":     good[:1],
		"too many":    append(good[:2:2], good[1]),
		"other order": {good[1], good[0]},
		"other data":  {good[0], flipped},
	} {
		if err := b.Check(12, 10, prev, entries); !errors.Is(err, ErrEntries) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := b.Check(10, 10, prev, nil); !errors.Is(err, ErrEntries) {
		t.Errorf("same epoch: got %v", err)
	}
	if _, err := b.EntriesFor(t.Context(), 10_000, 10, prev); !errors.Is(err, ErrEntries) {
		t.Errorf("after thousands of null rounds: got %v", err)
	}
}
