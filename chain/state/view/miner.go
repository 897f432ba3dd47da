package view

import (
	"context"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/dline"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"
	"github.com/filecoin-project/specs-actors/v8/actors/util/adt"
)

// Miner reads the state of a miner actor.
func (v *View) Miner(ctx context.Context, a address.Address) (*miner.State, adt.Store, error) {
	var st miner.State
	if err := v.state(ctx, a, builtin.StorageMinerActorCodeID, &st); err != nil {
		return nil, nil, err
	}
	return &st, v.Store(ctx), nil
}

// MinerInfo reads the part of a miner that seldom changes: owner, worker, peer, sector size.
func (v *View) MinerInfo(ctx context.Context, a address.Address) (*miner.MinerInfo, error) {
	st, store, err := v.Miner(ctx, a)
	if err != nil {
		return nil, err
	}
	info, err := st.GetInfo(store)
	if err != nil {
		return nil, fmt.Errorf("info of miner %s: %w", a, err)
	}
	return info, nil
}

// Sector reads a sector that has been proven to the chain; false when there is none.
func (v *View) Sector(ctx context.Context, a address.Address, n abi.SectorNumber) (*miner.SectorOnChainInfo, bool, error) {
	st, store, err := v.Miner(ctx, a)
	if err != nil {
		return nil, false, err
	}
	s, found, err := st.GetSector(store, n)
	if err != nil {
		return nil, false, fmt.Errorf("sector %d of %s: %w", n, a, err)
	}
	return s, found, nil
}

// PreCommit reads a sector that is pre-committed and not yet proven; false when there is none.
func (v *View) PreCommit(ctx context.Context, a address.Address, n abi.SectorNumber) (*miner.SectorPreCommitOnChainInfo, bool, error) {
	st, store, err := v.Miner(ctx, a)
	if err != nil {
		return nil, false, err
	}
	p, found, err := st.GetPrecommittedSector(store, n)
	if err != nil {
		return nil, false, fmt.Errorf("pre-commit of sector %d of %s: %w", n, a, err)
	}
	return p, found, nil
}

// AllSectors lists all sectors on chain by number.
func (v *View) AllSectors(ctx context.Context, a address.Address) ([]*miner.SectorOnChainInfo, error) {
	st, store, err := v.Miner(ctx, a)
	if err != nil {
		return nil, err
	}
	var out []*miner.SectorOnChainInfo
	err = st.ForEachSector(store, func(s *miner.SectorOnChainInfo) {
		one := *s
		out = append(out, &one)
	})
	if err != nil {
		return nil, fmt.Errorf("sectors of %s: %w", a, err)
	}
	return out, nil
}

// ActiveSectors lists by number the sectors that are proven, live and not faulty: the set
// that a winning PoSt draws from (spec chain.md e.7).
func (v *View) ActiveSectors(ctx context.Context, a address.Address) ([]*miner.SectorOnChainInfo, error) {
	st, store, err := v.Miner(ctx, a)
	if err != nil {
		return nil, err
	}
	deadlines, err := st.LoadDeadlines(store)
	if err != nil {
		return nil, fmt.Errorf("deadlines of %s: %w", a, err)
	}
	var sets []bitfield.BitField
	err = deadlines.ForEach(store, func(i uint64, dl *miner.Deadline) error {
		return forEachPartition(store, dl, func(_ uint64, p *miner.Partition) error {
			active, err := p.ActiveSectors()
			if err != nil {
				return fmt.Errorf("deadline %d: %w", i, err)
			}
			sets = append(sets, active)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("partitions of %s: %w", a, err)
	}
	all, err := bitfield.MultiMerge(sets...)
	if err != nil {
		return nil, fmt.Errorf("partitions of %s: %w", a, err)
	}
	out, err := st.LoadSectorInfos(store, all)
	if err != nil {
		return nil, fmt.Errorf("sectors of %s: %w", a, err)
	}
	return out, nil
}

// Partitions lists the partitions of one deadline.
func (v *View) Partitions(ctx context.Context, a address.Address, deadline uint64) ([]*miner.Partition, error) {
	dl, store, err := v.deadline(ctx, a, deadline)
	if err != nil {
		return nil, err
	}
	var out []*miner.Partition
	err = forEachPartition(store, dl, func(_ uint64, p *miner.Partition) error {
		out = append(out, p)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("deadline %d of %s: %w", deadline, a, err)
	}
	return out, nil
}

// Deadline reads one deadline of a miner.
func (v *View) Deadline(ctx context.Context, a address.Address, deadline uint64) (*miner.Deadline, error) {
	dl, _, err := v.deadline(ctx, a, deadline)
	return dl, err
}

func (v *View) deadline(ctx context.Context, a address.Address, deadline uint64) (*miner.Deadline, adt.Store, error) {
	st, store, err := v.Miner(ctx, a)
	if err != nil {
		return nil, nil, err
	}
	deadlines, err := st.LoadDeadlines(store)
	if err != nil {
		return nil, nil, fmt.Errorf("deadlines of %s: %w", a, err)
	}
	dl, err := deadlines.LoadDeadline(store, deadline)
	if err != nil {
		return nil, nil, fmt.Errorf("deadline %d of %s: %w", deadline, a, err)
	}
	return dl, store, nil
}

// SectorsIn reads the infos of the sectors of a set, by number.
func (v *View) SectorsIn(ctx context.Context, a address.Address, set bitfield.BitField) ([]*miner.SectorOnChainInfo, error) {
	st, store, err := v.Miner(ctx, a)
	if err != nil {
		return nil, err
	}
	out, err := st.LoadSectorInfos(store, set)
	if err != nil {
		return nil, fmt.Errorf("sectors of %s: %w", a, err)
	}
	return out, nil
}

// DeadlineInfo tells where the miner stands in its proving period at an epoch; the state of
// a miner without sectors may lag, so this is computed, not read.
func (v *View) DeadlineInfo(ctx context.Context, a address.Address, epoch abi.ChainEpoch) (*dline.Info, error) {
	st, _, err := v.Miner(ctx, a)
	if err != nil {
		return nil, err
	}
	return st.DeadlineInfo(epoch), nil
}

// FindSector tells the deadline and the partition that hold a sector.
func (v *View) FindSector(ctx context.Context, a address.Address, n abi.SectorNumber) (deadline, partition uint64, err error) {
	st, store, err := v.Miner(ctx, a)
	if err != nil {
		return 0, 0, err
	}
	deadline, partition, err = st.FindSector(store, n)
	if err != nil {
		return 0, 0, fmt.Errorf("sector %d of %s: %w", n, a, err)
	}
	return deadline, partition, nil
}

func forEachPartition(store adt.Store, dl *miner.Deadline, f func(uint64, *miner.Partition) error) error {
	parts, err := dl.PartitionsArray(store)
	if err != nil {
		return err
	}
	var p miner.Partition
	return parts.ForEach(&p, func(i int64) error {
		one := p
		return f(uint64(i), &one)
	})
}
