package client

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/google/uuid"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/market/dag"
	"github.com/lodenet/lode/market/deal"
	"github.com/lodenet/lode/market/transfer"
)

// Config is what a client's operator sets; each zero value is a sensible default.
type Config struct {
	StartDelay abi.ChainEpoch // from the head to a deal's start; 0: a day, 2880
	Confidence abi.ChainEpoch // of escrow messages
	Poll       time.Duration  // first wait between looks at a deal; 0: 5 s
	MaxPoll    time.Duration  // longest such wait; 0: 1 min
	Sweep      time.Duration  // between looks at active deals; 0: 1 min
	Transfers  int            // served at a time; 0: 16
	HTTPURL    string         // where TransferHandler is reachable; empty: only over libp2p
}

// Deps is what a client works with; all are needed.
type Deps struct {
	DB     *sql.DB
	Host   host.Host
	Chain  deal.Chain
	Outbox deal.Outbox
	Keys   deal.Signer
	Files  *dag.Store
	Clock  clock.Clock
	Log    *slog.Logger
}

// Client makes deals. Its methods are safe from many goroutines.
type Client struct {
	Deps
	cfg   Config
	rows  rows
	funds *deal.Funds

	serve   http.Handler
	started chan uuid.UUID
	writing sync.Mutex // one Step at a time
	funding sync.Mutex // one escrow addition at a time
	making  sync.Mutex // deals are added by one call at a time, so that none adds what another did

	mu    sync.Mutex
	ended chan struct{} // guarded by mu: closed when Run ends, nil while none runs
}

// Open makes a client and its tables. Deals go on when Run runs.
func Open(ctx context.Context, cfg Config, d Deps) (*Client, error) {
	setDefault(&cfg.StartDelay, 2880)
	setDefault(&cfg.Poll, 5*time.Second)
	setDefault(&cfg.MaxPoll, time.Minute)
	setDefault(&cfg.Sweep, time.Minute)
	setDefault(&cfg.Transfers, 16)
	c := &Client{Deps: d, cfg: cfg, rows: rows{d.DB}, started: make(chan uuid.UUID)}
	c.serve = transfer.Handler(c, cfg.Transfers, d.Log)
	if err := c.rows.migrate(ctx); err != nil {
		return nil, err
	}
	var err error
	c.funds, err = deal.OpenFunds(ctx, d.DB, d.Chain, d.Outbox, cfg.Confidence)
	return c, err
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Make checks a request and makes its deals, one a piece, in one transaction. They are
// funded, proposed and followed by Run. A deal that exists for the same piece, parties and
// term, and has not ended, is returned and not made again. The error is the first of
// Quote.Problems.
func (c *Client) Make(ctx context.Context, r Request) ([]*Deal, error) {
	have, all, err := c.existing(ctx, r)
	if err != nil || all {
		return byPiece(slices.Collect(maps.Values(have))), err
	}
	q, err := c.check(ctx, r, func(piece int) bool { return have[piece] != nil })
	if err != nil {
		return nil, err
	}
	if err := q.Err(); err != nil {
		return nil, err
	}
	ds, have, err := c.add(ctx, r, q)
	if err != nil {
		return nil, err
	}
	for _, d := range ds {
		c.hand(ctx, d.UUID)
	}
	return byPiece(append(ds, slices.Collect(maps.Values(have))...)), nil
}

// add writes the deals of a quote, but for those that exist, which it returns too.
func (c *Client) add(ctx context.Context, r Request, q *Quote) (ds []*Deal, have map[int]*Deal, err error) {
	c.making.Lock()
	defer c.making.Unlock()
	if have, _, err = c.existing(ctx, r); err != nil {
		return nil, nil, err
	}
	now := c.Clock.Now()
	for _, p := range q.Pieces {
		if have[p.Index] != nil {
			continue // another call was quicker
		}
		token := make([]byte, 24)
		if _, err := rand.Read(token); err != nil {
			return nil, nil, err
		}
		ds = append(ds, &Deal{
			Life: Life{State: Funding}, UUID: uuid.New(), Root: r.Root, Piece: p.Index,
			PieceCID: p.CID, PieceSize: p.PieceSize, CARSize: p.CARSize,
			Provider: q.Provider, Peer: q.Peer, Client: q.Client,
			PricePerEpoch: p.PricePerEpoch, Collateral: r.Collateral, Duration: q.Duration, WantStart: r.Start,
			Verified: r.Verified, RemoveUnsealed: r.RemoveUnsealed, SkipAnnounce: r.SkipAnnounce,
			HTTP: r.HTTP, Token: hex.EncodeToString(token), Created: now, Updated: now,
		})
	}
	if len(ds) == 0 {
		return nil, have, nil
	}
	return ds, have, c.rows.put(ctx, []string{string(Funding)}, ds...)
}

// existing finds the deals that a request would make again, by piece; all says that there is
// one for each.
func (c *Client) existing(ctx context.Context, r Request) (have map[int]*Deal, all bool, err error) {
	imp, err := c.Files.Get(ctx, r.Root)
	if err != nil {
		return nil, false, fmt.Errorf("file: %w; import it first", err)
	}
	ds, err := c.OfFile(ctx, r.Root)
	if err != nil {
		return nil, false, err
	}
	have, wanted := make(map[int]*Deal), 0
	for _, p := range imp.Pieces {
		if r.Piece != nil && *r.Piece != p.Index {
			continue
		}
		wanted++
		for _, d := range ds {
			if d.Piece == p.Index && d.again(r) {
				have[p.Index] = d
			}
		}
	}
	return have, wanted > 0 && len(have) == wanted, nil
}

// again tells whether a request for the deal's piece would make it a second time.
func (d *Deal) again(r Request) bool {
	shortest, _ := market.DealDurationBounds(0)
	setDefault(&r.Duration, shortest)
	return !d.State.Ended() && d.Provider == r.Provider && d.Client == r.Client && d.WantStart == r.Start &&
		d.Duration == r.Duration && d.Verified == r.Verified
}

func byPiece(ds []*Deal) []*Deal {
	slices.SortStableFunc(ds, func(a, b *Deal) int { return a.Piece - b.Piece })
	return ds
}

// Deals lists all deals, oldest first.
func (c *Client) Deals(ctx context.Context) ([]*Deal, error) { return c.rows.list(ctx, `1`) }

// Deal reads one deal; ErrNotFound when there is none.
func (c *Client) Deal(ctx context.Context, id uuid.UUID) (*Deal, error) { return c.rows.get(ctx, id) }

// OfFile lists the deals of a file.
func (c *Client) OfFile(ctx context.Context, root cid.Cid) ([]*Deal, error) {
	return c.rows.list(ctx, `root=?`, root.String())
}

// Providers lists who should have a file, by our own deals: those that are or were active.
func (c *Client) Providers(ctx context.Context, root cid.Cid) ([]peer.AddrInfo, error) {
	ds, err := c.OfFile(ctx, root)
	if err != nil {
		return nil, err
	}
	var out []peer.AddrInfo
	seen := make(map[peer.ID]bool)
	for _, d := range ds {
		if d.Found && !seen[d.Peer.ID] {
			seen[d.Peer.ID] = true
			out = append(out, d.Peer)
		}
	}
	return out, nil
}

// History reads what happened to a deal.
func (c *Client) History(ctx context.Context, id uuid.UUID) ([]deal.Entry, error) {
	return c.rows.log(ctx, id)
}

// Cancel ends a deal that is not proposed yet.
func (c *Client) Cancel(ctx context.Context, id uuid.UUID) error {
	d, err := c.rows.get(ctx, id)
	if err != nil {
		return err
	}
	if d.State.order() < Proposing.order() {
		// The state may move on meanwhile; the event then changes nothing.
		if d, err = c.step(ctx, id, Cancelled{}, nil); err != nil {
			return err
		}
	}
	if d.State != Failed {
		return fmt.Errorf("deal %s is %s: only a deal that is not proposed yet can be cancelled", id, d.State)
	}
	return nil
}

// TransferHandler serves deal data over plain HTTP, to be mounted where Config.HTTPURL says.
func (c *Client) TransferHandler() http.Handler { return c.serve }

// step feeds an event to a deal's machine and writes what becomes of it. change may set
// more of the row and is nil mostly.
func (c *Client) step(ctx context.Context, id uuid.UUID, e Event, change func(*Deal)) (*Deal, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	d, err := c.rows.get(ctx, id)
	if err != nil {
		return nil, err
	}
	before := d.Life
	d.Life = Step(d.Life, e)
	if d.Life == before {
		return d, nil
	}
	if change != nil {
		change(d)
	}
	d.Updated = c.Clock.Now()
	var lines []string
	if d.State != before.State {
		line := string(d.State)
		if d.Found && !before.Found {
			line += fmt.Sprintf(" as deal %d", d.DealID)
		}
		lines = append(lines, line)
	}
	if d.Sector != before.Sector && d.Sector != "" {
		lines = append(lines, "sector: "+d.Sector)
	}
	if d.Error != "" && d.Error != before.Error {
		lines = append(lines, d.Error)
	}
	if err := c.rows.put(ctx, lines, d); err != nil {
		return nil, err
	}
	for _, l := range lines {
		c.Log.Info("deal", "deal", d.UUID, "piece", d.Piece, "event", l)
	}
	return d, nil
}

// Request is a wish for deals. Root, Provider and Client are needed.
type Request struct {
	Root     cid.Cid
	Piece    *int // only this piece of the file; nil: all
	Provider address.Address
	Client   address.Address
	Peer     peer.AddrInfo   // where the provider is; zero: as the chain says
	Price    abi.TokenAmount // attoFIL per GiB and epoch; nil: the ask's
	MaxPrice abi.TokenAmount // refuse an ask above this; nil: any
	// Collateral is what the provider sets at stake for each deal, attoFIL; nil: a little over
	// the least that the chain allows.
	Collateral *abi.TokenAmount
	Start      abi.ChainEpoch // 0: Config.StartDelay after the head
	Duration   abi.ChainEpoch // 0: the shortest allowed
	Verified   bool

	RemoveUnsealed bool // the provider need not keep an unsealed copy
	SkipAnnounce   bool
	HTTP           bool // offer the data over plain HTTP instead of libp2p
}
