package provider

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/filecoin-project/go-state-types/big"
	"github.com/google/uuid"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/market/deal"
	"github.com/lodenet/lode/market/transfer"
)

// accept answers a proposal: nil when it is taken, and then it is a row already. A
// deal.Rejection breaks a rule of spec markets.md A.5; any other error is the provider's.
// The same proposal again, by UUID, is taken again: its first answer may have been lost.
func (p *Provider) accept(ctx context.Context, from string, m *deal.Params) error {
	p.accepting.Lock()
	defer p.accepting.Unlock()
	id, err := deal.ID(m.DealUUID)
	if err != nil {
		return deal.Rejection{Rule: "deal UUID", Offered: fmt.Sprintf("%d bytes", len(m.DealUUID)), Required: "16 bytes"}
	}
	signed, err := deal.SignedCID(&m.ClientDealProposal)
	if err != nil {
		return deal.Rejection{Rule: "proposal", Offered: err.Error(), Required: "a complete proposal"}
	}
	if known, err := p.known(ctx, id, signed); known || err != nil {
		return err
	}
	ask, err := p.Ask(ctx)
	if err != nil {
		return err
	}
	prop := &m.ClientDealProposal.Proposal
	terms, err := deal.ReadTerms(ctx, p.Chain, p.cfg.Miner, *ask.Ask, prop)
	if err != nil {
		return err
	}
	if broken := deal.Broken(&m.ClientDealProposal, terms); len(broken) > 0 {
		return broken[0]
	}
	if err := p.filter(m, terms); err != nil {
		return err
	}
	if err := p.afford(ctx, m); err != nil {
		return err
	}
	d := &Deal{
		Life: Life{State: deal.Accepted, Start: prop.StartEpoch, Offline: m.IsOffline},
		UUID: id, Peer: from, Signed: m.ClientDealProposal, SignedCID: signed, DataRoot: m.DealDataRoot,
		Transfer: m.Transfer, RemoveUnsealed: m.RemoveUnsealedCopy, SkipAnnounce: m.SkipIPNIAnnounce,
		Created: p.Clock.Now(), Updated: p.Clock.Now(),
	}
	err = p.rows.inTx(ctx, func(tx *sql.Tx) error { return put(ctx, tx, d, string(deal.Accepted)) })
	if err != nil {
		return err
	}
	p.report(ctx, d, []string{string(deal.Accepted)})
	p.start(ctx, id)
	return nil
}

// known looks for the proposal among the deals there are. One that failed before it was
// published may be proposed again under a new UUID.
func (p *Provider) known(ctx context.Context, id uuid.UUID, signed cid.Cid) (bool, error) {
	d, err := p.rows.get(ctx, id)
	switch {
	case err == nil && d.SignedCID.Equals(signed):
		if d.State == deal.Complete && d.Error != "" {
			return true, fmt.Errorf("deal %s failed: %s", id, d.Error)
		}
		return true, nil
	case err == nil:
		return true, deal.Rejection{Rule: "deal UUID", Offered: id.String() + ", which another proposal has", Required: "a new one"}
	case !errors.Is(err, ErrNotFound):
		return true, err
	}
	same, err := p.rows.list(ctx, `signed=?`, signed.String())
	if err != nil {
		return true, err
	}
	for _, d := range same {
		if d.State != deal.Complete || d.Error == "" || d.Batch != "" {
			return true, deal.Rejection{Rule: "duplicate", Offered: "the same signed proposal as deal " + d.UUID.String(), Required: "a proposal not made before"}
		}
	}
	return false, nil
}

// filter is the provider's own policy (A.5, 17).
func (p *Provider) filter(m *deal.Params, t deal.Terms) error {
	prop := &m.ClientDealProposal.Proposal
	reject := func(rule, offered, required string) error {
		return deal.Rejection{Rule: rule, Offered: offered, Required: required}
	}
	soonest := t.Height + p.cfg.SealDuration
	latest := soonest + p.cfg.MaxStartDelay
	switch {
	case m.IsOffline && p.cfg.RefuseOffline:
		return reject("data", "offline", "online transfer: this provider takes no offline deals")
	case !m.IsOffline && p.cfg.RefuseOnline:
		return reject("data", "online transfer", "offline: this provider takes no online deals")
	case prop.VerifiedDeal && p.cfg.RefuseVerified:
		return reject("verified", "verified", "not verified: this provider takes no verified deals")
	case !prop.VerifiedDeal && p.cfg.RefuseOthers:
		return reject("verified", "not verified", "verified: this provider takes verified deals only")
	case slices.ContainsFunc(p.cfg.Blocked, prop.PieceCID.Equals):
		return reject("piece", prop.PieceCID.String(), "a piece that this provider does not block")
	case prop.StartEpoch < soonest:
		return reject("start epoch", fmt.Sprint(prop.StartEpoch), fmt.Sprintf("at least %d: sealing takes %d epochs and the head is at %d", soonest, p.cfg.SealDuration, t.Height))
	case !m.IsOffline && prop.StartEpoch > latest:
		return reject("start epoch", fmt.Sprint(prop.StartEpoch), fmt.Sprintf("at most %d for a deal with transfer", latest))
	case uint64(prop.PieceSize) > uint64(p.cfg.SectorSize):
		return reject("piece size", fmt.Sprint(prop.PieceSize), fmt.Sprintf("at most the sector size %d", p.cfg.SectorSize))
	}
	// The bound holds offline too, where the size says nothing: it is counted as staging space.
	least := uint64(1)
	if m.IsOffline {
		least = 0
	}
	if n := m.Transfer.Size; n < least || n > uint64(prop.PieceSize.Unpadded()) {
		return reject("transfer size", fmt.Sprintf("%d bytes", n), fmt.Sprintf("%d to %d bytes in a piece of %d", least, prop.PieceSize.Unpadded(), prop.PieceSize))
	}
	if m.IsOffline {
		return nil
	}
	if _, err := source(&m.Transfer); err != nil {
		return reject("transfer", err.Error(), "an http, https or libp2p URL")
	}
	return nil
}

// source reads where a deal's data is.
func source(t *deal.Transfer) (transfer.Source, error) {
	var tp deal.TransferParams
	if err := json.Unmarshal(t.Params, &tp); err != nil {
		return transfer.Source{}, fmt.Errorf("transfer parameters: %w", err)
	}
	if tp.URL == "" {
		return transfer.Source{}, errors.New("transfer parameters: no URL")
	}
	return transfer.Source{URL: tp.URL, Headers: tp.Headers, Size: t.Size}, nil
}

// afford looks whether there are room, money and workers for one more deal (A.5, 18 and 19).
func (p *Provider) afford(ctx context.Context, m *deal.Params) error {
	live, err := p.rows.live(ctx)
	if err != nil {
		return err
	}
	if len(live) >= p.cfg.LiveDeals {
		return fmt.Errorf("server error: provider has %d deals under way, its limit: try again later", len(live))
	}
	var room uint64
	var tagged []*Deal
	for _, d := range live {
		if d.State != deal.Indexed {
			room += d.Transfer.Size
		}
		if !d.OnChain() {
			tagged = append(tagged, d)
		}
	}
	if p.cfg.StagingBytes > 0 && room+m.Transfer.Size > p.cfg.StagingBytes {
		return fmt.Errorf("server error: provider has no space left for storage deals: %d of %d bytes are taken, the deal needs %d", room, p.cfg.StagingBytes, m.Transfer.Size)
	}
	need := big.Add(collateral(tagged), m.ClientDealProposal.Proposal.ProviderCollateral)
	short, err := p.funds.Short(ctx, p.cfg.Miner, need)
	if err != nil {
		return err
	}
	from, err := p.sender(ctx)
	if err != nil {
		return err
	}
	have, err := p.Chain.Balance(ctx, from)
	if err != nil {
		return err
	}
	if want := big.Add(big.Max(short, big.Zero()), deal.FeeReserve); have.LessThan(want) {
		p.Log.Warn("a deal was refused: the publishing wallet has too little", "wallet", from, "has", deal.FIL(have), "needs", deal.FIL(want))
		return errors.New("server error: provider has insufficient funds to accept deal")
	}
	return nil
}
