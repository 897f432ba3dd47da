package deal

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/chain/state/view"
)

// Locate reads a proposal on chain that had a number when it was last seen, and the number that
// it has now: a reorg may have changed it. view.ErrNotFound when it is not, or no longer, there.
func Locate(ctx context.Context, c Chain, last abi.DealID, p market.DealProposal) (id abi.DealID, state *market.DealState, err error) {
	want, err := OnChainCID(ctx, c, p)
	if err != nil {
		return 0, nil, err
	}
	on, state, err := c.Deal(ctx, last)
	if errors.Is(err, view.ErrNotFound) {
		return find(ctx, c, p.PieceCID, want)
	}
	if err != nil {
		return 0, nil, err
	}
	have, err := on.Cid()
	if err != nil {
		return 0, nil, err
	}
	if !have.Equals(want) {
		return find(ctx, c, p.PieceCID, want)
	}
	return last, state, nil
}

// Find looks for a proposal among all deals on chain; view.ErrNotFound when it is not there.
func Find(ctx context.Context, c Chain, p market.DealProposal) (id abi.DealID, state *market.DealState, err error) {
	want, err := OnChainCID(ctx, c, p)
	if err != nil {
		return 0, nil, err
	}
	return find(ctx, c, p.PieceCID, want)
}

var errFound = errors.New("found")

func find(ctx context.Context, c Chain, piece, want cid.Cid) (id abi.DealID, state *market.DealState, err error) {
	found := false
	err = c.ForEachDeal(ctx, func(at abi.DealID, on *market.DealProposal, s *market.DealState) error {
		if !on.PieceCID.Equals(piece) {
			return ctx.Err()
		}
		have, err := on.Cid()
		if err != nil || !have.Equals(want) {
			return err
		}
		id, state, found = at, s, true
		return errFound
	})
	switch {
	case found:
		return id, state, nil
	case err != nil:
		return 0, nil, fmt.Errorf("search the chain for the deal: %w", err)
	}
	return 0, nil, fmt.Errorf("%w: no deal on chain has the proposal", view.ErrNotFound)
}

// OnChainCID identifies on chain a proposal that may name its parties by keys.
func OnChainCID(ctx context.Context, c Chain, p market.DealProposal) (cid.Cid, error) {
	client, err := c.LookupID(ctx, p.Client)
	if err != nil {
		return cid.Undef, err
	}
	provider, err := c.LookupID(ctx, p.Provider)
	if err != nil {
		return cid.Undef, err
	}
	return ProposalCID(p, client, provider)
}
