package node

import (
	"context"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/dline"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/power"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
)

func (a stateAPI) StateListMiners(ctx context.Context, tsk types.TipSetKey) ([]address.Address, error) {
	v, _, err := a.n.before(ctx, tsk)
	if err != nil {
		return nil, err
	}
	return v.ListMiners(ctx)
}

func (a stateAPI) StateMinerInfo(ctx context.Context, maddr address.Address, tsk types.TipSetKey) (*api.MinerInfo, error) {
	v, _, err := a.before(ctx, maddr, tsk)
	if err != nil {
		return nil, err
	}
	info, err := v.MinerInfo(ctx, maddr)
	if err != nil {
		return nil, coded(err)
	}
	out := &api.MinerInfo{
		Owner: info.Owner, Worker: info.Worker, ControlAddresses: info.ControlAddresses, WorkerChangeEpoch: -1,
		Multiaddrs: info.Multiaddrs, WindowPoStProofType: info.WindowPoStProofType, SectorSize: info.SectorSize,
		WindowPoStPartitionSectors: info.WindowPoStPartitionSectors, ConsensusFaultElapsed: info.ConsensusFaultElapsed,
		PendingOwnerAddress: info.PendingOwnerAddress,
		Beneficiary:         info.Owner, // actors v8 know no other
	}
	if p := info.PendingWorkerKey; p != nil {
		out.NewWorker, out.WorkerChangeEpoch = p.NewWorker, p.EffectiveAt
	}
	// The chain takes any bytes as a peer id.
	if id, err := peer.IDFromBytes(info.PeerId); err == nil {
		out.PeerId = &id
	}
	return out, nil
}

func (a stateAPI) StateMinerPower(ctx context.Context, maddr address.Address, tsk types.TipSetKey) (*api.MinerPower, error) {
	v, _, err := a.before(ctx, maddr, tsk)
	if err != nil {
		return nil, err
	}
	if _, _, err := v.Miner(ctx, maddr); err != nil {
		return nil, coded(err)
	}
	st, store, err := v.Power(ctx)
	if err != nil {
		return nil, err
	}
	out := &api.MinerPower{MinerPower: api.Claim{RawBytePower: big.Zero(), QualityAdjPower: big.Zero()}}
	out.TotalPower.RawBytePower, out.TotalPower.QualityAdjPower = power.CurrentTotalPower(st)
	claim, ok, err := v.Claim(ctx, maddr)
	if err != nil || !ok {
		return out, err
	}
	out.MinerPower = api.Claim{RawBytePower: claim.RawBytePower, QualityAdjPower: claim.QualityAdjPower}
	id, err := v.LookupID(ctx, maddr)
	if err != nil {
		return nil, err
	}
	out.HasMinPower, err = st.MinerNominalPowerMeetsConsensusMinimum(store, id)
	return out, err
}

func (a stateAPI) StateMinerAvailableBalance(ctx context.Context, maddr address.Address, tsk types.TipSetKey) (abi.TokenAmount, error) {
	fail := func(err error) (abi.TokenAmount, error) { return big.Zero(), coded(err) }
	v, ts, err := a.before(ctx, maddr, tsk)
	if err != nil {
		return fail(err)
	}
	st, store, err := v.Miner(ctx, maddr)
	if err != nil {
		return fail(err)
	}
	act, err := v.Actor(ctx, maddr)
	if err != nil {
		return fail(err)
	}
	free, err := st.GetAvailableBalance(act.Balance)
	if err != nil {
		return fail(fmt.Errorf("balance of %s: %w", maddr, err))
	}
	// A withdrawal unlocks these first.
	vested, err := st.CheckVestedFunds(store, ts.Height())
	if err != nil {
		return fail(fmt.Errorf("vesting funds of %s: %w", maddr, err))
	}
	return big.Add(free, vested), nil
}

func (a stateAPI) StateMinerProvingDeadline(ctx context.Context, maddr address.Address, tsk types.TipSetKey) (*dline.Info, error) {
	v, ts, err := a.before(ctx, maddr, tsk)
	if err != nil {
		return nil, err
	}
	d, err := v.DeadlineInfo(ctx, maddr, ts.Height())
	if err != nil {
		return nil, coded(err)
	}
	return d.NextNotElapsed(), nil
}

func (a stateAPI) StateMinerDeadlines(ctx context.Context, maddr address.Address, tsk types.TipSetKey) ([]api.Deadline, error) {
	v, _, err := a.before(ctx, maddr, tsk)
	if err != nil {
		return nil, err
	}
	st, store, err := v.Miner(ctx, maddr)
	if err != nil {
		return nil, coded(err)
	}
	deadlines, err := st.LoadDeadlines(store)
	if err != nil {
		return nil, fmt.Errorf("deadlines of %s: %w", maddr, err)
	}
	var out []api.Deadline
	err = deadlines.ForEach(store, func(_ uint64, d *miner.Deadline) error {
		proofs, err := d.OptimisticProofsSnapshotArray(store)
		if err != nil {
			return err
		}
		out = append(out, api.Deadline{PostSubmissions: d.PartitionsPoSted, DisputableProofCount: proofs.Length(), DailyFee: big.Zero()})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("deadlines of %s: %w", maddr, err)
	}
	return out, nil
}

func (a stateAPI) StateMinerPartitions(ctx context.Context, maddr address.Address, deadline uint64, tsk types.TipSetKey) ([]api.Partition, error) {
	v, _, err := a.before(ctx, maddr, tsk)
	if err != nil {
		return nil, err
	}
	if deadline >= miner.WPoStPeriodDeadlines {
		return nil, badParam("deadline %d: a proving period has 0 to %d", deadline, miner.WPoStPeriodDeadlines-1)
	}
	parts, err := v.Partitions(ctx, maddr, deadline)
	if err != nil {
		return nil, coded(err)
	}
	out := make([]api.Partition, len(parts))
	for i, p := range parts {
		if out[i], err = partition(p); err != nil {
			return nil, fmt.Errorf("partition %d of deadline %d of %s: %w", i, deadline, maddr, err)
		}
	}
	return out, nil
}

func partition(p *miner.Partition) (out api.Partition, err error) {
	out = api.Partition{AllSectors: p.Sectors, FaultySectors: p.Faults, RecoveringSectors: p.Recoveries}
	if out.LiveSectors, err = p.LiveSectors(); err != nil {
		return out, err
	}
	out.ActiveSectors, err = p.ActiveSectors()
	return out, err
}

// partitions lists those of all deadlines. The head is looked at once: another one on the way
// would show a sector in two states, or in none.
func (a stateAPI) partitions(ctx context.Context, maddr address.Address, tsk types.TipSetKey) ([]api.Partition, error) {
	ts, err := a.n.tipset(ctx, tsk)
	if err != nil {
		return nil, err
	}
	tsk = ts.Key()
	var out []api.Partition
	for d := range miner.WPoStPeriodDeadlines {
		parts, err := a.StateMinerPartitions(ctx, maddr, d, tsk)
		if err != nil {
			return nil, err
		}
		out = append(out, parts...)
	}
	return out, nil
}

// merged joins one set of each partition.
func (a stateAPI) merged(ctx context.Context, maddr address.Address, tsk types.TipSetKey, of func(api.Partition) bitfield.BitField) (bitfield.BitField, error) {
	parts, err := a.partitions(ctx, maddr, tsk)
	if err != nil {
		return bitfield.BitField{}, err
	}
	sets := make([]bitfield.BitField, len(parts))
	for i, p := range parts {
		sets[i] = of(p)
	}
	return bitfield.MultiMerge(sets...)
}

func (a stateAPI) StateMinerFaults(ctx context.Context, maddr address.Address, tsk types.TipSetKey) (bitfield.BitField, error) {
	return a.merged(ctx, maddr, tsk, func(p api.Partition) bitfield.BitField { return p.FaultySectors })
}

func (a stateAPI) StateMinerRecoveries(ctx context.Context, maddr address.Address, tsk types.TipSetKey) (bitfield.BitField, error) {
	return a.merged(ctx, maddr, tsk, func(p api.Partition) bitfield.BitField { return p.RecoveringSectors })
}

func (a stateAPI) StateMinerSectorCount(ctx context.Context, maddr address.Address, tsk types.TipSetKey) (api.MinerSectors, error) {
	var out api.MinerSectors
	parts, err := a.partitions(ctx, maddr, tsk)
	if err != nil {
		return out, err
	}
	for _, p := range parts {
		for _, c := range []struct {
			to  *uint64
			set bitfield.BitField
		}{{&out.Live, p.LiveSectors}, {&out.Active, p.ActiveSectors}, {&out.Faulty, p.FaultySectors}} {
			n, err := c.set.Count()
			if err != nil {
				return out, err
			}
			*c.to += n
		}
	}
	return out, nil
}

func (a stateAPI) StateMinerSectors(ctx context.Context, maddr address.Address, set *bitfield.BitField, tsk types.TipSetKey) ([]*api.SectorOnChainInfo, error) {
	v, _, err := a.before(ctx, maddr, tsk)
	if err != nil {
		return nil, err
	}
	all, err := v.AllSectors(ctx, maddr)
	if err != nil {
		return nil, coded(err)
	}
	if set != nil {
		if all, err = only(all, *set); err != nil {
			return nil, err
		}
	}
	return sectorInfos(all), nil
}

// only keeps the sectors of a set, which comes from a caller and may be of any size.
func only(all []*miner.SectorOnChainInfo, set bitfield.BitField) ([]*miner.SectorOnChainInfo, error) {
	numbers := bitfield.New()
	for _, s := range all {
		numbers.Set(uint64(s.SectorNumber))
	}
	wanted, err := bitfield.IntersectBitField(numbers, set)
	if err != nil {
		return nil, badParam("sectors: %v", err)
	}
	keep, err := wanted.AllMap(uint64(len(all)))
	if err != nil {
		return nil, badParam("sectors: %v", err)
	}
	var out []*miner.SectorOnChainInfo
	for _, s := range all {
		if keep[uint64(s.SectorNumber)] {
			out = append(out, s)
		}
	}
	return out, nil
}

func (a stateAPI) StateMinerActiveSectors(ctx context.Context, maddr address.Address, tsk types.TipSetKey) ([]*api.SectorOnChainInfo, error) {
	v, _, err := a.before(ctx, maddr, tsk)
	if err != nil {
		return nil, err
	}
	active, err := v.ActiveSectors(ctx, maddr)
	return sectorInfos(active), coded(err)
}

func sectorInfos(list []*miner.SectorOnChainInfo) []*api.SectorOnChainInfo {
	out := make([]*api.SectorOnChainInfo, len(list))
	for i, s := range list {
		out[i] = sectorInfo(s)
	}
	return out
}

func sectorInfo(s *miner.SectorOnChainInfo) *api.SectorOnChainInfo {
	return &api.SectorOnChainInfo{SectorOnChainInfo: *s, PowerBaseEpoch: s.Activation}
}

func (a stateAPI) StateSectorGetInfo(ctx context.Context, maddr address.Address, number abi.SectorNumber, tsk types.TipSetKey) (*api.SectorOnChainInfo, error) {
	v, err := a.beforeSector(ctx, maddr, number, tsk)
	if err != nil {
		return nil, err
	}
	s, ok, err := v.Sector(ctx, maddr, number)
	if err != nil || !ok {
		return nil, coded(err)
	}
	return sectorInfo(s), nil
}

func (a stateAPI) StateSectorPreCommitInfo(ctx context.Context, maddr address.Address, number abi.SectorNumber, tsk types.TipSetKey) (*api.SectorPreCommitOnChainInfo, error) {
	v, err := a.beforeSector(ctx, maddr, number, tsk)
	if err != nil {
		return nil, err
	}
	p, ok, err := v.PreCommit(ctx, maddr, number)
	if err != nil || !ok {
		return nil, coded(err)
	}
	return p, nil
}

func (a stateAPI) StateSectorPartition(ctx context.Context, maddr address.Address, number abi.SectorNumber, tsk types.TipSetKey) (*api.SectorLocation, error) {
	v, err := a.beforeSector(ctx, maddr, number, tsk)
	if err != nil {
		return nil, err
	}
	d, p, err := v.FindSector(ctx, maddr, number)
	if err != nil {
		return nil, coded(err)
	}
	return &api.SectorLocation{Deadline: d, Partition: p}, nil
}

func (a stateAPI) beforeSector(ctx context.Context, maddr address.Address, number abi.SectorNumber, tsk types.TipSetKey) (*view.View, error) {
	if number > abi.MaxSectorNumber {
		return nil, badParam("sector %d: numbers are at most %d", number, uint64(abi.MaxSectorNumber))
	}
	v, _, err := a.before(ctx, maddr, tsk)
	return v, err
}
