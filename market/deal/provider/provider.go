package provider

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/google/uuid"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/market/deal"
	"github.com/lodenet/lode/market/pieces"
	"github.com/lodenet/lode/market/transfer"
)

// Config is what an operator sets. Miner, SectorSize and Staging are needed; the zero value
// of the rest is a sensible default.
type Config struct {
	Miner      address.Address
	SectorSize abi.SectorSize
	Sender     address.Address // publishes and pays collateral; undefined: the miner's worker
	Staging    string          // folder of incoming data

	StagingBytes   uint64        // room for incoming data; 0: no limit
	PublishWait    time.Duration // how long a publish waits for more deals; 0: not at all
	PublishMax     int           // deals in one publish message; 0: 8
	Confidence     abi.ChainEpoch
	SealDuration   abi.ChainEpoch // a deal must start at least so long after the head
	MaxStartDelay  abi.ChainEpoch // and at most so long after that; 0: 14 days
	Transfers      int            // at a time; 0: 20
	TransferTries  int            // in a row without a byte; 0: 15
	LiveDeals      int            // at a time; 0: 1000
	PublicOnly     bool           // refuse to fetch from private addresses
	Retry          time.Duration  // first wait before a step is tried again; 0: 5 s
	Poll           time.Duration  // how often sealing is asked how far it is; 0: 2 s
	RefuseOnline   bool
	RefuseOffline  bool
	RefuseVerified bool
	RefuseOthers   bool      // deals that are not verified
	Blocked        []cid.Cid // pieces never taken
}

// Check fills in the defaults.
func (c *Config) Check() error {
	switch {
	case c.Miner == address.Undef:
		return errors.New("deals: no miner address")
	case c.SectorSize == 0:
		return errors.New("deals: no sector size")
	case c.Staging == "":
		return errors.New("deals: no staging folder")
	}
	setDefault(&c.PublishMax, 8)
	setDefault(&c.MaxStartDelay, 14*2880)
	setDefault(&c.Transfers, 20)
	setDefault(&c.TransferTries, 15)
	setDefault(&c.LiveDeals, 1000)
	setDefault(&c.Retry, 5*time.Second)
	setDefault(&c.Poll, 2*time.Second)
	return nil
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Piece is what sealing gets.
type Piece struct {
	CID            cid.Cid
	Size           abi.PaddedPieceSize
	DealID         abi.DealID
	PublishMessage cid.Cid
	Proposal       market.DealProposal // as published, with ID addresses
	KeepUnsealed   bool
}

// Placement is where a piece lies: offset and size are of padded bytes.
type Placement struct {
	Sector abi.SectorNumber
	Offset abi.PaddedPieceSize
	Size   abi.PaddedPieceSize
}

// SectorStatus is how far a sector is. Failed: it will never hold the deal. Gone: nothing of
// it can be read any more.
type SectorStatus struct {
	State  string
	Failed bool
	Gone   bool
	Error  string
}

// Sealer puts pieces into sectors (storage/sealing).
type Sealer interface {
	// AddPiece is idempotent by deal id: a deal added before answers with its place. r has
	// the piece's unpadded bytes; those missing at the end are zeros.
	AddPiece(ctx context.Context, p Piece, r io.Reader) (Placement, error)
	SectorStatus(ctx context.Context, n abi.SectorNumber) (SectorStatus, error)
}

// Deps is what a provider works with; all are needed.
type Deps struct {
	DB     *sql.DB
	Host   host.Host
	Chain  deal.Chain
	Outbox deal.Outbox
	Keys   deal.Signer
	Sealer Sealer
	Index  *pieces.Index
	Clock  clock.Clock
	Log    *slog.Logger
}

// Provider takes deals for one miner. Its methods are safe from many goroutines; those that
// need a running worker take effect when Run runs.
type Provider struct {
	Deps
	cfg   Config
	rows  rows
	funds *deal.Funds
	get   *transfer.Getter

	transfers chan struct{} // slots
	publish   chan struct{} // rings the publisher
	started   chan uuid.UUID

	accepting sync.Mutex // one proposal at a time is measured against funds and space
	writing   sync.Mutex // one Step at a time
	sending   sync.Mutex // one publish Send at a time
	asking    sync.Mutex // the ask's row

	mu      sync.Mutex
	wakes   map[uuid.UUID]func() // guarded by mu: interrupts a worker's step
	imports map[uuid.UUID]bool   // guarded by mu: deals whose data is being imported
	running bool                 // guarded by mu
}

// Open makes a provider and its tables. Nothing is taken before Run.
func Open(ctx context.Context, cfg Config, d Deps) (*Provider, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	p := &Provider{
		Deps: d, cfg: cfg, rows: rows{d.DB},
		get:       transfer.NewGetter(d.Host, cfg.PublicOnly),
		transfers: make(chan struct{}, cfg.Transfers),
		publish:   make(chan struct{}, 1),
		started:   make(chan uuid.UUID),
		wakes:     make(map[uuid.UUID]func()),
		imports:   make(map[uuid.UUID]bool),
	}
	if err := p.rows.migrate(ctx); err != nil {
		return nil, err
	}
	var err error
	if p.funds, err = deal.OpenFunds(ctx, d.DB, d.Chain, d.Outbox, cfg.Confidence); err != nil {
		return nil, err
	}
	return p, nil
}

// Deals lists all deals, oldest first.
func (p *Provider) Deals(ctx context.Context) ([]*Deal, error) { return p.rows.list(ctx, `1`) }

// Deal reads one deal; ErrNotFound when there is none.
func (p *Provider) Deal(ctx context.Context, id uuid.UUID) (*Deal, error) { return p.rows.get(ctx, id) }

// History reads what happened to a deal.
func (p *Provider) History(ctx context.Context, id uuid.UUID) ([]deal.Entry, error) {
	return p.rows.log(ctx, id)
}

// Cancel ends a deal that is not published yet.
func (p *Provider) Cancel(ctx context.Context, id uuid.UUID) error {
	d, err := p.step(ctx, id, Cancelled{})
	if err != nil {
		return err
	}
	if d.State != deal.Complete {
		return fmt.Errorf("deal %s is %s: only a deal that is not published can be cancelled", id, d.State)
	}
	p.wake(id)
	return nil
}

// Resume lets a deal that is held or waits before its next try go on at once.
func (p *Provider) Resume(ctx context.Context, id uuid.UUID) error {
	if _, err := p.step(ctx, id, Resumed{}); err != nil {
		return err
	}
	p.wake(id)
	return nil
}

// step feeds an event to a deal's machine and writes what becomes of it.
func (p *Provider) step(ctx context.Context, id uuid.UUID, e Event) (*Deal, error) {
	p.writing.Lock()
	defer p.writing.Unlock()
	d, err := p.rows.get(ctx, id)
	if err != nil {
		return nil, err
	}
	before := d.Life
	lines := p.turn(d, e)
	if d.Life == before {
		return d, nil
	}
	err = p.rows.inTx(ctx, func(tx *sql.Tx) error { return put(ctx, tx, d, lines...) })
	if err != nil {
		return nil, err
	}
	p.report(ctx, d, lines)
	return d, nil
}

// turn applies an event and says what to write in the history.
func (p *Provider) turn(d *Deal, e Event) []string {
	before := d.Life
	d.Life = Step(d.Life, e)
	d.Updated = p.Clock.Now()
	var lines []string
	if d.State == deal.Transferred && before.State != d.State {
		d.Queued = d.Updated
	}
	if d.State != before.State {
		line := string(d.State)
		switch e := e.(type) {
		case Batched:
			line += " in message " + e.Key
		case Landed:
			line += fmt.Sprintf(" as deal %d by message %s", e.ID, e.Message)
		case Placed:
			line += fmt.Sprintf(" to sector %d at %d", e.Place.Sector, e.Place.Offset)
		case BlocksIndexed:
			line += fmt.Sprintf(" (%d blocks)", e.Count)
		}
		lines = append(lines, line)
	}
	if d.Error != "" && d.Error != before.Error {
		lines = append(lines, d.Error)
	}
	if d.Sector != before.Sector {
		lines = append(lines, "sector: "+d.Sector)
	}
	return lines
}

func (p *Provider) report(ctx context.Context, d *Deal, lines []string) {
	for _, l := range lines {
		level := slog.LevelInfo
		if d.Error != "" {
			level = slog.LevelWarn
		}
		p.Log.Log(ctx, level, "deal", "deal", d.UUID, "event", l)
	}
}

// wake interrupts what a deal's worker does, so that it looks at its row again.
func (p *Provider) wake(id uuid.UUID) {
	p.mu.Lock()
	f := p.wakes[id]
	p.mu.Unlock()
	if f != nil {
		f()
	}
}
