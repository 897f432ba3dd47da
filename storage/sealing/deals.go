package sealing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"

	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/storage/sector"
)

// deals tells whether the chain still has a sector's deals, under the numbers we know, and
// whether they can still be activated.
func (s *Sealing) deals(ctx context.Context, v *view.View, sec sector.Sector, now abi.ChainEpoch) error {
	for _, p := range sec.Pieces {
		if p.Deal == nil {
			continue
		}
		if p.Deal.Start <= now {
			return because(sector.DealExpired, "deal %d had to be active by epoch %d, it is %d", p.Deal.ID, p.Deal.Start, now)
		}
		have, _, err := v.Deal(ctx, p.Deal.ID)
		if err != nil && !errors.Is(err, view.ErrNotFound) {
			return err
		}
		if err == nil {
			same, err := sameDeal(ctx, v, p.Deal, have)
			if err != nil {
				return err
			}
			if same {
				continue
			}
		}
		return because(sector.DealMoved, "the chain has another deal or none under number %d", p.Deal.ID)
	}
	return nil
}

// sameDeal tells whether the chain's proposal is the one that we keep, which may name its
// parties by their keys.
func sameDeal(ctx context.Context, v *view.View, d *sector.Deal, have *market.DealProposal) (bool, error) {
	var ours market.DealProposal
	if err := ours.UnmarshalCBOR(bytes.NewReader(d.Proposal)); err != nil {
		return false, because(sector.Fatal, "proposal of deal %d: %w", d.ID, err)
	}
	var err error
	if ours.Client, err = v.LookupID(ctx, ours.Client); err != nil {
		return false, err
	}
	if ours.Provider, err = v.LookupID(ctx, ours.Provider); err != nil {
		return false, err
	}
	var a, b bytes.Buffer
	if err := errors.Join(ours.MarshalCBOR(&a), have.MarshalCBOR(&b)); err != nil {
		return false, err
	}
	return bytes.Equal(a.Bytes(), b.Bytes()), nil
}

// recoverDeals finds the numbers that a reorg gave a sector's deals.
func (s *Sealing) recoverDeals(ctx context.Context, sec sector.Sector) (sector.Event, error) {
	head, v, err := s.at(ctx)
	if err != nil {
		return nil, err
	}
	pieces := slices.Clone(sec.Pieces)
	taken := map[abi.DealID]bool{}
	for i, p := range pieces {
		if p.Deal == nil {
			continue
		}
		var found *abi.DealID
		err := v.ForEachDeal(ctx, func(id abi.DealID, have *market.DealProposal, _ *market.DealState) error {
			if found != nil || taken[id] || have.PieceCID != p.CID {
				return nil
			}
			same, err := sameDeal(ctx, v, p.Deal, have)
			if same {
				found = &id
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if found == nil {
			if p.Deal.Start <= head.Height() {
				return nil, because(sector.DealExpired, "deal %d is not on chain and its start, epoch %d, has passed", p.Deal.ID, p.Deal.Start)
			}
			return nil, fmt.Errorf("deal %d is not on chain; its publish message %s may come back", p.Deal.ID, p.Deal.PublishMessage)
		}
		taken[*found] = true
		deal := *p.Deal
		deal.ID = *found
		pieces[i].Deal = &deal
	}
	return sector.Renumbered{Pieces: pieces}, nil
}
