package provider

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/lodenet/lode/market/deal"
)

// Offer is what an operator sets of the ask. Prices are attoFIL per GiB and epoch.
type Offer struct {
	Price, VerifiedPrice abi.TokenAmount
	MinPiece, MaxPiece   abi.PaddedPieceSize
	Duration             abi.ChainEpoch // how long the ask holds
}

// DefaultOffer is upstream's (spec markets.md A.3) for sectors of a size.
func DefaultOffer(sector abi.SectorSize) Offer {
	return Offer{
		Price: big.NewInt(50_000_000), VerifiedPrice: big.NewInt(5_000_000),
		MinPiece: 256, MaxPiece: abi.PaddedPieceSize(min(uint64(sector), 32<<30)), Duration: 1_000_000,
	}
}

func (o Offer) check(sector abi.SectorSize) error {
	switch {
	case o.Price.Int == nil || o.VerifiedPrice.Int == nil || o.Price.Sign() < 0 || o.VerifiedPrice.Sign() < 0:
		return errors.New("ask: a price is missing or negative")
	case o.MinPiece.Validate() != nil || o.MaxPiece.Validate() != nil:
		return fmt.Errorf("ask: piece sizes %d and %d must be powers of two of at least 128 bytes", o.MinPiece, o.MaxPiece)
	case o.MinPiece > o.MaxPiece:
		return fmt.Errorf("ask: smallest piece %d is larger than the largest %d", o.MinPiece, o.MaxPiece)
	case uint64(o.MaxPiece) > uint64(sector):
		return fmt.Errorf("ask: largest piece %d does not fit a sector of %d", o.MaxPiece, sector)
	case o.Duration <= 0:
		return fmt.Errorf("ask: duration of %d epochs", o.Duration)
	}
	return nil
}

// askDoc is the ask's row.
type askDoc struct {
	Offer  Offer
	Signed []byte // CBOR of deal.SignedAsk
}

// Ask is the signed ask in force: that of the default offer when none was set, and signed
// anew when it has expired.
func (p *Provider) Ask(ctx context.Context) (*deal.SignedAsk, error) {
	p.asking.Lock()
	defer p.asking.Unlock()
	row, ask, err := p.readAsk(ctx)
	if err != nil {
		return nil, err
	}
	h, err := p.Chain.Height(ctx)
	if err != nil {
		return nil, err
	}
	if ask != nil && h < ask.Ask.Expiry {
		return ask, nil
	}
	return p.writeAsk(ctx, row.Offer, ask, h)
}

// SetAsk changes the terms; the sequence number rises.
func (p *Provider) SetAsk(ctx context.Context, o Offer) (*deal.SignedAsk, error) {
	if err := o.check(p.cfg.SectorSize); err != nil {
		return nil, err
	}
	p.asking.Lock()
	defer p.asking.Unlock()
	_, old, err := p.readAsk(ctx)
	if err != nil {
		return nil, err
	}
	h, err := p.Chain.Height(ctx)
	if err != nil {
		return nil, err
	}
	return p.writeAsk(ctx, o, old, h)
}

func (p *Provider) readAsk(ctx context.Context) (askDoc, *deal.SignedAsk, error) {
	var b []byte
	err := p.DB.QueryRowContext(ctx, `SELECT doc FROM deal_provider_ask`).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		return askDoc{Offer: DefaultOffer(p.cfg.SectorSize)}, nil, nil
	}
	var row askDoc
	var ask deal.SignedAsk
	if err == nil {
		err = json.Unmarshal(b, &row)
	}
	if err == nil {
		err = deal.Decode(row.Signed, &ask)
	}
	if err != nil {
		return askDoc{}, nil, fmt.Errorf("ask: %w", err)
	}
	return row, &ask, nil
}

func (p *Provider) writeAsk(ctx context.Context, o Offer, old *deal.SignedAsk, h abi.ChainEpoch) (*deal.SignedAsk, error) {
	info, err := p.Chain.MinerInfo(ctx, p.cfg.Miner)
	if err != nil {
		return nil, fmt.Errorf("ask: %w", err)
	}
	worker, err := p.Chain.KeyAddress(ctx, info.Worker)
	if err != nil {
		return nil, fmt.Errorf("ask: %w", err)
	}
	a := deal.Ask{
		Price: o.Price, VerifiedPrice: o.VerifiedPrice, MinPieceSize: o.MinPiece, MaxPieceSize: o.MaxPiece,
		Miner: p.cfg.Miner, Timestamp: h, Expiry: h + o.Duration,
	}
	if old != nil {
		a.SeqNo = old.Ask.SeqNo + 1
	}
	signed, err := deal.SignAsk(ctx, p.Keys, worker, a)
	if err != nil {
		return nil, err
	}
	row := askDoc{Offer: o}
	if row.Signed, err = deal.Encode(signed); err != nil {
		return nil, err
	}
	b, err := json.Marshal(row)
	if err == nil {
		_, err = p.DB.ExecContext(ctx, `INSERT OR REPLACE INTO deal_provider_ask VALUES (1,?)`, b)
	}
	if err != nil {
		return nil, fmt.Errorf("ask: %w", err)
	}
	return signed, nil
}
