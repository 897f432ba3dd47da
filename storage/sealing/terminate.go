package sealing

import (
	"context"
	"fmt"

	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"

	"github.com/lodenet/lode/storage/sector"
)

// sendTerminate ends a live sector, unless it has expired meanwhile or was ended otherwise: the
// chain takes no such message then.
func (s *Sealing) sendTerminate(ctx context.Context, sec sector.Sector) (sector.Event, error) {
	head, v, err := s.at(ctx)
	if err != nil {
		return nil, err
	}
	on, err := s.chainSectors(ctx, v)
	if err != nil {
		return nil, err
	}
	if ev, ok := ended(sec, on, head.Height()); ok {
		return ev, nil
	}
	dl, part, err := v.FindSector(ctx, s.deps.Miner, sec.Number)
	if err != nil {
		return nil, err
	}
	st, _, err := v.Miner(ctx, s.deps.Miner)
	if err != nil {
		return nil, err
	}
	// The chain refuses for the open deadline and the next one.
	if open := st.DeadlineInfo(head.Height()).Index; dl == open || dl == (open+1)%miner.WPoStPeriodDeadlines {
		return nil, fmt.Errorf("deadline %d is too near to end a sector of it; it is tried again", dl)
	}
	id, err := s.send(ctx, v, "terminate", sec, sec.Terminate.Try, builtin.MethodsMiner.TerminateSectors, big.Zero(),
		&miner.TerminateSectorsParams{Terminations: []miner.TerminationDeclaration{{
			Deadline: dl, Partition: part, Sectors: bitfield.NewFromSet([]uint64{uint64(sec.Number)}),
		}}})
	if err != nil {
		return nil, err
	}
	return sector.Sent{ID: id}, nil
}

func (s *Sealing) awaitTerminate(ctx context.Context, sec sector.Sector) (sector.Event, error) {
	if err := s.wait(ctx, "terminate", sec.Terminate.ID); err != nil {
		return nil, err
	}
	return sector.Ended{At: s.deps.Chain.Head().Height(), Why: "terminated by the operator"}, nil
}

// awaitFinality keeps the files of an ended sector while an election may still ask for it.
func (s *Sealing) awaitFinality(ctx context.Context, sec sector.Sector) (sector.Event, error) {
	for {
		head := s.deps.Chain.Head()
		if head.Height() > sec.EndedAt+miner.ChainFinality {
			return sector.Final{}, nil
		}
		if _, err := s.deps.Chain.HeadChanged(ctx, head.Key()); err != nil {
			return nil, err
		}
	}
}
