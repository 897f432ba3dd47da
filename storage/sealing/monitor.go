package sealing

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"

	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/storage/sector"
)

// monitorEvery is how many epochs pass between looks at what the chain says of live sectors.
const monitorEvery = 5

// monitor follows the head: it starts sectors whose deals will not wait, and learns what
// became of live ones.
func (s *Sealing) monitor(ctx context.Context) error {
	last := abi.ChainEpoch(-monitorEvery)
	head := s.deps.Chain.Head()
	for {
		err := s.starts(ctx, head.Height())
		if err == nil {
			err = s.giveUp(ctx)
		}
		if err == nil && (head.Height() >= last+monitorEvery || head.Height() < last) {
			last = head.Height()
			err = s.compare(ctx, head)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			s.log.Warn("sectors not compared with the chain", "tipset", head.Height(), "err", err)
		}
		if head, err = s.deps.Chain.HeadChanged(ctx, head.Key()); err != nil {
			return stopped(ctx, err)
		}
	}
}

// starts seals the sectors whose first deal starts soon.
func (s *Sealing) starts(ctx context.Context, now abi.ChainEpoch) error {
	waiting, err := s.store.List(ctx, sector.WaitDeals)
	if err != nil {
		return err
	}
	for _, sec := range waiting {
		if start, ok := sec.FirstStart(); ok && start-s.opt.StartBuffer <= now {
			if err := s.event(ctx, sec.Number, sector.Seal{}); err != nil && !errors.Is(err, sector.ErrUnexpected) {
				return err
			}
		}
	}
	return nil
}

// compare brings the records of live sectors in line with the chain.
func (s *Sealing) compare(ctx context.Context, head *types.TipSet) error {
	live, err := s.store.List(ctx, sector.Proving, sector.Faulty)
	if err != nil || len(live) == 0 {
		return err
	}
	v, err := s.deps.Chain.View(ctx, head)
	if err != nil {
		return err
	}
	on, err := s.chainSectors(ctx, v)
	if err != nil {
		return err
	}
	infos, err := s.infos(ctx, v, live)
	if err != nil {
		return err
	}
	for _, sec := range live {
		if si := infos[sec.Number]; si != nil && (si.Activation != sec.Activation || si.Expiration != sec.Expiration) {
			err := s.event(ctx, sec.Number, sector.Refreshed{Activation: si.Activation, Expiration: si.Expiration})
			if err != nil && !errors.Is(err, sector.ErrUnexpected) {
				return err
			}
		}
		if err := s.settle(ctx, sec, on, head.Height()); err != nil && !errors.Is(err, sector.ErrUnexpected) {
			return err
		}
	}
	return nil
}

// infos are the chain's records of sectors that it has.
func (s *Sealing) infos(ctx context.Context, v *view.View, live []sector.Sector) (map[abi.SectorNumber]*miner.SectorOnChainInfo, error) {
	out := make(map[abi.SectorNumber]*miner.SectorOnChainInfo, len(live))
	for _, sec := range live {
		si, found, err := v.Sector(ctx, s.deps.Miner, sec.Number)
		if err != nil {
			return nil, err
		}
		if found {
			out[sec.Number] = si
		}
	}
	return out, nil
}

type standing struct{ faulty, ended bool }

// chainSectors is what the partitions say of every sector.
func (s *Sealing) chainSectors(ctx context.Context, v *view.View) (map[uint64]standing, error) {
	out := map[uint64]standing{}
	for i := range miner.WPoStPeriodDeadlines {
		parts, err := v.Partitions(ctx, s.deps.Miner, i)
		if err != nil {
			return nil, err
		}
		for _, p := range parts {
			err := errors.Join(
				p.Sectors.ForEach(func(n uint64) error { out[n] = standing{}; return nil }),
				p.Faults.ForEach(func(n uint64) error { out[n] = standing{faulty: true}; return nil }),
				p.Terminated.ForEach(func(n uint64) error { out[n] = standing{ended: true}; return nil }),
			)
			if err != nil {
				return nil, fmt.Errorf("deadline %d: %w", i, err)
			}
		}
	}
	return out, nil
}

// ended tells whether the chain ended a sector, or has none of it any more.
func ended(sec sector.Sector, on map[uint64]standing, now abi.ChainEpoch) (ev sector.Ended, ok bool) {
	st, known := on[uint64(sec.Number)]
	switch {
	case known && st.ended && sec.Expiration > 0 && now >= sec.Expiration:
		return sector.Ended{At: now, Why: "expired"}, true
	case known && st.ended:
		return sector.Ended{At: now, Why: "ended by the chain"}, true
	case !known && sec.Activation > 0 && now > sec.Activation+miner.ChainFinality:
		return sector.Ended{At: now, Why: "the chain does not have the sector any more"}, true
	}
	return sector.Ended{}, false
}

func (s *Sealing) settle(ctx context.Context, sec sector.Sector, on map[uint64]standing, now abi.ChainEpoch) error {
	if ev, ok := ended(sec, on, now); ok {
		return s.event(ctx, sec.Number, ev)
	}
	st, known := on[uint64(sec.Number)]
	s.mu.Lock()
	local := s.unreadable[sec.Number]
	s.mu.Unlock()
	switch {
	case !known:
		return nil // a reorg; its messages come back
	case sec.State == sector.Proving && local != "":
		return s.event(ctx, sec.Number, sector.Faulted{Err: local})
	case sec.State == sector.Proving && st.faulty:
		return s.event(ctx, sec.Number, sector.Faulted{Err: "the chain counts it as faulty: a window passed without its proof"})
	case sec.State == sector.Faulty && !st.faulty && local == "":
		return s.event(ctx, sec.Number, sector.Recovered{})
	}
	return nil
}

// Readable is told by proving which sectors could be read, and of the others why not. The
// latter become Faulty.
func (s *Sealing) Readable(ctx context.Context, results map[abi.SectorNumber]error) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	for n, err := range results {
		s.mu.Lock()
		if err == nil {
			delete(s.unreadable, n)
		} else {
			s.unreadable[n] = err.Error()
		}
		s.mu.Unlock()
		if err == nil {
			continue
		}
		aerr := s.event(ctx, n, sector.Faulted{Err: err.Error()})
		if aerr != nil && !errors.Is(aerr, sector.ErrUnexpected) && !errors.Is(aerr, sector.ErrNotFound) {
			return aerr
		}
	}
	return nil
}
