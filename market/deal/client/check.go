package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/market/dag"
	"github.com/lodenet/lode/market/deal"
)

// collateralPercent of the chain's least collateral is proposed: between it and twice it,
// so that neither a growing nor a shrinking supply breaks the provider's window before the
// deal is published (110 % times 120 %, as usual clients do).
const collateralPercent = 132

// ErrAsk: the provider's terms are not acceptable, or there are none.
var ErrAsk = errors.New("ask not acceptable")

// PieceTooLarge: the provider does not take pieces of this size.
type PieceTooLarge struct {
	Piece     int
	Size, Max abi.PaddedPieceSize
}

func (e PieceTooLarge) Error() string {
	return fmt.Sprintf("piece %d has %d bytes, the provider takes at most %d: import the file again for smaller sectors, or choose another provider", e.Piece, e.Size, e.Max)
}

// Broken: a proposal would break a provider's rules.
type Broken struct {
	Piece int
	Rules []deal.Rejection
}

func (e Broken) Error() string { return fmt.Sprintf("piece %d: %s", e.Piece, e.Rules[0]) }

// Unwrap gives the first rule.
func (e Broken) Unwrap() error { return e.Rules[0] }

// PieceQuote is what a deal of one piece would be.
type PieceQuote struct {
	dag.Piece          // raised to the ask's smallest size
	PricePerEpoch      abi.TokenAmount
	Total              abi.TokenAmount // for the whole duration
	ProviderCollateral abi.TokenAmount
}

// Quote is what a request would do and cost; a dry run.
type Quote struct {
	Provider       address.Address
	Peer           peer.AddrInfo
	Client         address.Address
	Ask            deal.Ask
	Height         abi.ChainEpoch
	Start, End     abi.ChainEpoch
	Duration       abi.ChainEpoch
	PricePerGiB    abi.TokenAmount // an epoch
	Pieces         []PieceQuote
	Total          abi.TokenAmount
	Available      abi.TokenAmount // in the market's escrow, beside what other deals will lock
	Shortfall      abi.TokenAmount // that will be added from the wallet
	Wallet         abi.TokenAmount // balance
	EpochsPerMonth int

	// Problems is all that stands in the way; empty when the deals can be made.
	Problems []error
}

// Err is the first problem.
func (q *Quote) Err() error {
	if len(q.Problems) == 0 {
		return nil
	}
	return q.Problems[0]
}

// Check finds out what a request would do. Its error says that this could not be found out:
// the file is not here, the miner unknown, the provider down. What the deals themselves
// break is in Problems.
func (c *Client) Check(ctx context.Context, r Request) (*Quote, error) {
	return c.check(ctx, r, func(int) bool { return false })
}

// check is Check of the pieces that are not to be left out.
func (c *Client) check(ctx context.Context, r Request, without func(piece int) bool) (*Quote, error) {
	imp, err := c.Files.Get(ctx, r.Root)
	if err != nil {
		return nil, fmt.Errorf("file: %w; import it first", err)
	}
	q := &Quote{Provider: r.Provider, Client: r.Client, EpochsPerMonth: deal.EpochsPerMonth, Total: big.Zero(), Shortfall: big.Zero()}
	if q.Height, err = c.Chain.Height(ctx); err != nil {
		return nil, err
	}
	if err := c.findProvider(ctx, r, q); err != nil {
		return nil, err
	}
	c.times(r, q)
	q.PricePerGiB = q.Ask.Price
	if r.Verified {
		q.PricePerGiB = q.Ask.VerifiedPrice
	}
	if r.MaxPrice.Int != nil && q.PricePerGiB.GreaterThan(r.MaxPrice) {
		q.Problems = append(q.Problems, fmt.Errorf("%w: the provider asks %s per GiB and epoch (%s per GiB and month), at most %s is wanted",
			ErrAsk, deal.FIL(q.PricePerGiB), deal.FIL(deal.PerMonth(q.PricePerGiB)), deal.FIL(r.MaxPrice)))
	}
	if r.Price.Int != nil {
		q.PricePerGiB = r.Price
	}
	if r.HTTP && c.cfg.HTTPURL == "" {
		q.Problems = append(q.Problems, errors.New("this node offers no plain HTTP transfer: set its transfer URL, or use libp2p"))
	}
	for _, p := range imp.Pieces {
		if r.Piece != nil && *r.Piece != p.Index || without(p.Index) {
			continue
		}
		if err := c.quotePiece(ctx, r, q, p); err != nil {
			return nil, err
		}
	}
	if len(q.Pieces) == 0 {
		return nil, fmt.Errorf("file %s has %d pieces, none of number %d", r.Root, len(imp.Pieces), *r.Piece)
	}
	return q, c.quoteFunds(ctx, q)
}

// times sets the epochs.
func (c *Client) times(r Request, q *Quote) {
	shortest, _ := market.DealDurationBounds(0)
	q.Duration, q.Start = r.Duration, r.Start
	setDefault(&q.Duration, shortest)
	setDefault(&q.Start, q.Height+c.cfg.StartDelay)
	q.End = q.Start + q.Duration
}

// findProvider finds the miner's peer and asks for its terms.
func (c *Client) findProvider(ctx context.Context, r Request, q *Quote) error {
	info, err := c.Chain.MinerInfo(ctx, r.Provider)
	if errors.Is(err, view.ErrNotFound) {
		return fmt.Errorf("provider %s is not a miner of this network: %w", r.Provider, err)
	}
	if err != nil {
		return fmt.Errorf("provider %s: %w", r.Provider, err)
	}
	q.Peer = r.Peer
	if q.Peer.ID == "" {
		if q.Peer, err = deal.PeerOf(info.PeerId, info.Multiaddrs); err != nil {
			return fmt.Errorf("provider %s: %w", r.Provider, err)
		}
	}
	if len(q.Peer.Addrs) > 0 {
		c.Host.Peerstore().AddAddrs(q.Peer.ID, q.Peer.Addrs, peerstore.TempAddrTTL)
	}
	res, err := deal.QueryAsk(ctx, c.Host, q.Peer.ID, &deal.AskRequest{Miner: r.Provider})
	if err != nil {
		return err
	}
	if res.Ask == nil || res.Ask.Ask == nil {
		return fmt.Errorf("%w: peer %s has none for miner %s; is it the provider's peer?", ErrAsk, q.Peer.ID, r.Provider)
	}
	worker, err := c.Chain.KeyAddress(ctx, info.Worker)
	if err != nil {
		return fmt.Errorf("provider %s: %w", r.Provider, err)
	}
	if err := deal.VerifyAsk(res.Ask, worker); err != nil {
		return fmt.Errorf("%w: it is not signed by the worker %s of %s: %w", ErrAsk, worker, r.Provider, err)
	}
	q.Ask = *res.Ask.Ask
	return nil
}

// quotePiece adds a piece and what its proposal would break.
func (c *Client) quotePiece(ctx context.Context, r Request, q *Quote, p dag.Piece) error {
	if p.PieceSize > q.Ask.MaxPieceSize {
		q.Problems = append(q.Problems, PieceTooLarge{p.Index, p.PieceSize, q.Ask.MaxPieceSize})
	}
	p, err := p.Raise(q.Ask.MinPieceSize)
	if err != nil {
		return err
	}
	pq := PieceQuote{Piece: p, PricePerEpoch: deal.PieceFee(q.PricePerGiB, p.PieceSize)}
	pq.Total = big.Mul(pq.PricePerEpoch, big.NewInt(int64(q.Duration)))
	d := &Deal{
		Life: Life{Start: q.Start, End: q.End}, Root: r.Root, PieceCID: p.CID, PieceSize: p.PieceSize,
		Provider: r.Provider, Client: r.Client, PricePerEpoch: pq.PricePerEpoch, Verified: r.Verified, Collateral: r.Collateral,
	}
	prop, err := c.proposal(ctx, d)
	if err != nil {
		return err
	}
	pq.ProviderCollateral = prop.ProviderCollateral
	terms, err := deal.ReadTerms(ctx, c.Chain, r.Provider, q.Ask, prop)
	if err != nil {
		return err
	}
	terms.Unsigned = true
	terms.ClientEscrow, terms.ClientLocked = pq.Total, big.Zero() // is filled up to that
	if broken := deal.Broken(&market.ClientDealProposal{Proposal: *prop}, terms); len(broken) > 0 {
		q.Problems = append(q.Problems, Broken{p.Index, broken})
	}
	q.Pieces = append(q.Pieces, pq)
	q.Total = big.Add(q.Total, pq.Total)
	return nil
}

// quoteFunds compares what the deals lock with what there is.
func (c *Client) quoteFunds(ctx context.Context, q *Quote) error {
	tagged, err := c.tagged(ctx, q.Client)
	if err != nil {
		return err
	}
	short, err := c.funds.Short(ctx, q.Client, big.Add(tagged, q.Total))
	if err != nil {
		return err
	}
	q.Available = big.Sub(q.Total, short)
	if q.Wallet, err = c.Chain.Balance(ctx, q.Client); err != nil {
		return err
	}
	if short.Sign() <= 0 {
		return nil
	}
	q.Shortfall = short
	if need := big.Add(short, deal.FeeReserve); q.Wallet.LessThan(need) {
		q.Problems = append(q.Problems, deal.Unfunded{Wallet: q.Client, Need: need, Have: q.Wallet})
	}
	return nil
}

// tagged is what deals under way will still lock of a wallet's escrow.
func (c *Client) tagged(ctx context.Context, wallet address.Address) (abi.TokenAmount, error) {
	ds, err := c.rows.underWay(ctx)
	if err != nil {
		return big.Zero(), err
	}
	sum := big.Zero()
	for _, d := range ds {
		if d.Client == wallet && d.State.order() < Published.order() {
			sum = big.Add(sum, big.Mul(d.PricePerEpoch, big.NewInt(int64(d.Duration))))
		}
	}
	return sum, nil
}

// proposal is a deal's proposal at this moment. The label is the root, so that whoever
// reads the chain can tell what a deal holds.
func (c *Client) proposal(ctx context.Context, d *Deal) (*market.DealProposal, error) {
	least, _, err := c.Chain.CollateralBounds(ctx, d.PieceSize, d.Verified)
	if err != nil {
		return nil, err
	}
	collateral := big.Div(big.Mul(least, big.NewInt(collateralPercent)), big.NewInt(100))
	if d.Collateral != nil {
		collateral = *d.Collateral
	}
	label, err := market.NewLabelFromString(d.Root.String())
	if err != nil {
		return nil, err
	}
	return &market.DealProposal{
		PieceCID: d.PieceCID, PieceSize: d.PieceSize, VerifiedDeal: d.Verified,
		Client: d.Client, Provider: d.Provider, Label: label,
		StartEpoch: d.Start, EndEpoch: d.End, StoragePricePerEpoch: d.PricePerEpoch,
		ProviderCollateral: collateral, ClientCollateral: big.Zero(),
	}, nil
}
