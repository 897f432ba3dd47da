package porcelain

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/types"
)

// Deals is what waiting for deals needs.
type Deals interface {
	Heads
	DealGet(ctx context.Context, id uuid.UUID) (*api.ClientDeal, error)
}

// DealError is a deal that came to nothing.
type DealError struct{ Deal *api.ClientDeal }

// Error implements error.
func (e *DealError) Error() string {
	return fmt.Sprintf("deal %s with %s failed: %s", e.Deal.ID, e.Deal.Proposal.Provider, e.Deal.Err)
}

// WaitDeals waits until every deal is active on chain. report, when set, is called for each
// deal that changed. The error is *DealError for the first that failed; the others go on.
func WaitDeals(ctx context.Context, node Deals, ids []uuid.UUID, report func(*api.ClientDeal)) ([]*api.ClientDeal, error) {
	last := make([]*api.ClientDeal, len(ids))
	err := OnHead(ctx, node, func(ctx context.Context, _ *types.TipSet) (bool, error) {
		done := true
		for i, id := range ids {
			if last[i] != nil && last[i].Done {
				continue
			}
			d, err := node.DealGet(ctx, id)
			if err != nil {
				return false, err
			}
			if report != nil && (last[i] == nil || changed(last[i], d)) {
				report(d)
			}
			last[i] = d
			if d.Done && !d.Active {
				return false, &DealError{d}
			}
			done = done && d.Done
		}
		return done, nil
	})
	return last, err
}

func changed(a, b *api.ClientDeal) bool {
	return a.State != b.State || a.Checkpoint != b.Checkpoint || a.Sent != b.Sent || a.Active != b.Active || a.Done != b.Done ||
		a.Waiting != b.Waiting || a.ChainDealID != b.ChainDealID || a.Err != b.Err
}

// Fetch retrieves data and waits for the end. report, when set, is called with each progress.
func Fetch(ctx context.Context, node interface {
	Retrieve(ctx context.Context, order *api.RetrieveOrder) (<-chan *api.RetrieveEvent, error)
}, order *api.RetrieveOrder, report func(*api.RetrieveEvent),
) (*api.RetrieveEvent, error) {
	events, err := node.Retrieve(ctx, order)
	if err != nil {
		return nil, err
	}
	for e := range events {
		switch {
		case e.Err != "":
			return e, errors.New(e.Err) // it names the root
		case e.Done:
			return e, nil
		case report != nil:
			report(e)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("retrieve %s: %w", order.Root, errCut)
}

var errCut = errors.New("the node broke off without saying why; try again")
