package client

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/market/deal"
)

// follow looks at the chain, and at the provider while it has news.
func (c *Client) follow(ctx context.Context, d *Deal) (Event, error) {
	if d.Found {
		e, err := c.look(ctx, d)
		if err != nil || e != nil {
			return e, err
		}
	}
	c.Host.Peerstore().AddAddrs(d.Peer.ID, d.Peer.Addrs, peerstore.TempAddrTTL)
	st, err := c.Ask(ctx, d)
	if err != nil {
		return nil, err
	}
	if st.DealStatus == nil {
		return nil, fmt.Errorf("provider: %s", st.Error)
	}
	s := st.DealStatus
	if landed(s) && !d.Found {
		e, err := c.verify(ctx, d, s)
		if err == nil {
			return e, nil
		}
		if !errors.Is(err, view.ErrNotFound) {
			return nil, err
		}
		// Our head may be behind the provider's.
	}
	told := Told{deal.Checkpoint(printable(s.Status)), printable(s.Error), st.NBytesReceived, printable(s.SealingStatus)}
	if Step(d.Life, told) == d.Life {
		return nil, nil
	}
	return told, nil
}

// landed tells whether the provider says that the deal is on chain. The id does not tell:
// 0 is both "not known" and a chain's first deal.
func landed(s *deal.Status) bool {
	switch deal.Checkpoint(s.Status) {
	case deal.PublishConfirmed, deal.AddedPiece, deal.Indexed, deal.Complete:
		return s.PublishCid != nil
	}
	return false
}

// printable keeps what a provider says short and on one line.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if len(s) > 500 {
		s = strings.ToValidUTF8(s[:500], "") + "…"
	}
	return s
}

// verify compares the deal on chain with ours; the provider's word alone is not believed.
func (c *Client) verify(ctx context.Context, d *Deal, s *deal.Status) (Event, error) {
	got, state, err := c.Chain.Deal(ctx, s.ChainDealID)
	if err != nil {
		return nil, err
	}
	have, err := got.Cid()
	if err != nil {
		return nil, err
	}
	want, err := deal.OnChainCID(ctx, c.Chain, d.signed.Proposal)
	if err != nil {
		return nil, err
	}
	if !have.Equals(want) {
		return nil, fmt.Errorf("the provider says it is deal %d, which is another proposal", s.ChainDealID)
	}
	e := OnChain{ID: s.ChainDealID, Active: active(state)}
	if s.PublishCid != nil {
		e.Message = *s.PublishCid
	}
	return e, nil
}

// search looks for a deal on chain without the provider; nil when it is not there.
func (c *Client) search(ctx context.Context, d *Deal) (Event, error) {
	id, state, err := deal.Find(ctx, c.Chain, d.signed.Proposal)
	switch {
	case errors.Is(err, view.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return OnChain{ID: id, Active: active(state)}, nil
}

func active(s *market.DealState) bool { return s != nil && s.SectorStartEpoch > 0 }

// look reads the chain's word on a deal that is there; nil is nothing new.
func (c *Client) look(ctx context.Context, d *Deal) (Event, error) {
	h, err := c.Chain.Height(ctx)
	if err != nil {
		return nil, err
	}
	id, state, err := deal.Locate(ctx, c.Chain, d.DealID, d.signed.Proposal)
	if err == nil && id != d.DealID {
		return Renumbered{id}, nil
	}
	switch {
	case errors.Is(err, view.ErrNotFound):
		e := Gone{h}
		if Step(d.Life, e) == d.Life {
			return nil, nil // a reorg may have taken it away for a while
		}
		// A head that came between the two looks may have taken it away, at the epoch of its end
		// and not before. Then the next look tells.
		if now, err := c.Chain.Height(ctx); err != nil || now != h {
			return nil, err
		}
		return e, nil
	case err != nil:
		return nil, err
	case state != nil && state.SlashEpoch > 0:
		return SlashedAt{state.SlashEpoch}, nil
	case active(state) && d.State != Active:
		return OnChain{ID: d.DealID, Active: true}, nil
	}
	return nil, nil
}

// sweep looks at active deals now and then, for their end.
func (c *Client) sweep(ctx context.Context) {
	for clock.Sleep(ctx, c.Clock, c.cfg.Sweep) == nil {
		ds, err := c.rows.list(ctx, `state=?`, string(Active))
		for _, d := range ds {
			if err != nil {
				break
			}
			var e Event
			if e, err = c.look(ctx, d); err == nil && e != nil {
				_, err = c.step(ctx, d.UUID, e, nil)
			}
		}
		if err != nil && ctx.Err() == nil {
			c.Log.Warn("look at active deals", "error", err)
		}
	}
}
