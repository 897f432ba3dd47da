package beacon

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/minio/blake2b-simd"

	"github.com/lodenet/lode/chain/types"
)

// ErrEntries: a block's beacon entries are not those that its epoch prescribes.
var ErrEntries = errors.New("beacon entries are wrong")

// Beacon maps epochs to rounds, and gives and checks entries. Safe from many goroutines.
type Beacon interface {
	// Round is the round prescribed for an epoch.
	Round(epoch abi.ChainEpoch) uint64
	// Entry waits for a round to be published and returns it.
	Entry(ctx context.Context, round uint64) (types.BeaconEntry, error)
	// EntriesFor lists what a block at epoch must carry on a parent at parentEpoch, whose
	// chain's last entry is prev. It waits for rounds that are not out yet.
	EntriesFor(ctx context.Context, epoch, parentEpoch abi.ChainEpoch, prev types.BeaconEntry) ([]types.BeaconEntry, error)
	// Check tells whether entries are those that EntriesFor lists; an error wraps ErrEntries.
	Check(epoch, parentEpoch abi.ChainEpoch, prev types.BeaconEntry, entries []types.BeaconEntry) error
}

// Local is a beacon that is a hash of the round. It needs no network and protects against
// nobody: whoever wants to know a round ahead computes it. A network that uses it says so.
type Local struct{}

var _ Beacon = Local{}

// localOffset keeps the rounds of the first epochs away from 0, which means "none yet".
const localOffset = 100

// Round implements Beacon.
func (Local) Round(epoch abi.ChainEpoch) uint64 {
	if epoch < 0 {
		epoch = 0
	}
	return uint64(epoch) + localOffset
}

// Known tells whether the entry of an epoch can be had without waiting: always, since it is
// computed.
func (Local) Known(abi.ChainEpoch) bool { return true }

// Entry implements Beacon.
func (Local) Entry(ctx context.Context, round uint64) (types.BeaconEntry, error) {
	return localEntry(round), ctx.Err()
}

func localEntry(round uint64) types.BeaconEntry {
	var be [8]byte
	binary.BigEndian.PutUint64(be[:], round)
	d := blake2b.Sum256(be[:])
	return types.BeaconEntry{Round: round, Data: d[:]}
}

// EntriesFor implements Beacon: one entry an epoch since the parent's.
func (b Local) EntriesFor(ctx context.Context, epoch, parentEpoch abi.ChainEpoch, prev types.BeaconEntry) ([]types.BeaconEntry, error) {
	if epoch <= parentEpoch {
		return nil, fmt.Errorf("%w: epoch %d is not after its parent's %d", ErrEntries, epoch, parentEpoch)
	}
	if b.Round(epoch) == prev.Round {
		return nil, ctx.Err()
	}
	// After a long silence of the network this list is long; a header holds 8192 at most.
	n := int64(epoch - parentEpoch)
	if n > maxEntries {
		return nil, fmt.Errorf("%w: %d null rounds in a row, a header has room for %d", ErrEntries, n, maxEntries)
	}
	out := make([]types.BeaconEntry, 0, n)
	for e := parentEpoch + 1; e <= epoch; e++ {
		out = append(out, localEntry(b.Round(e)))
	}
	return out, ctx.Err()
}

// maxEntries is what the codec of a block header takes in one list.
const maxEntries = 8192

// Check implements Beacon.
func (b Local) Check(epoch, parentEpoch abi.ChainEpoch, prev types.BeaconEntry, entries []types.BeaconEntry) error {
	if epoch <= parentEpoch {
		return fmt.Errorf("%w: epoch %d is not after its parent's %d", ErrEntries, epoch, parentEpoch)
	}
	if b.Round(epoch) == prev.Round {
		if len(entries) != 0 {
			return fmt.Errorf("%w: %d of them, want none", ErrEntries, len(entries))
		}
		return nil
	}
	if int64(len(entries)) != int64(epoch-parentEpoch) {
		return fmt.Errorf("%w: %d of them, want %d", ErrEntries, len(entries), epoch-parentEpoch)
	}
	for i, e := range entries {
		want := localEntry(b.Round(parentEpoch + 1 + abi.ChainEpoch(i)))
		if e.Round != want.Round || !bytes.Equal(e.Data, want.Data) {
			return fmt.Errorf("%w: entry %d is of round %d, want %d, or its data differs", ErrEntries, i, e.Round, want.Round)
		}
	}
	return nil
}
