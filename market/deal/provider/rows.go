package provider

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/google/uuid"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/market/deal"
)

// ErrNotFound: the provider has no such deal.
var ErrNotFound = errors.New("no storage deal found with deal UUID")

// Deal is a deal as the provider has it.
type Deal struct {
	Life
	UUID           uuid.UUID
	Peer           string // who proposed it
	Signed         market.ClientDealProposal
	SignedCID      cid.Cid
	DataRoot       cid.Cid
	Transfer       deal.Transfer
	RemoveUnsealed bool
	SkipAnnounce   bool
	Created        time.Time
	Updated        time.Time
	Queued         time.Time // since when it waits to be published
}

// doc is a Deal in its row; the proposal is kept as signed.
type doc struct {
	Deal
	Signed []byte
}

type rows struct{ db *sql.DB }

const tables = `
CREATE TABLE IF NOT EXISTS deal_provider (uuid TEXT PRIMARY KEY, signed TEXT NOT NULL, state TEXT NOT NULL, created INTEGER NOT NULL, doc BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS deal_provider_state ON deal_provider (state);
CREATE INDEX IF NOT EXISTS deal_provider_signed ON deal_provider (signed);
CREATE TABLE IF NOT EXISTS deal_provider_batch (key TEXT PRIMARY KEY, doc BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS deal_provider_log (uuid TEXT NOT NULL, at INTEGER NOT NULL, text TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS deal_provider_log_uuid ON deal_provider_log (uuid);
CREATE TABLE IF NOT EXISTS deal_provider_ask (one INTEGER PRIMARY KEY CHECK (one=1), doc BLOB NOT NULL);`

func (r rows) migrate(ctx context.Context) error {
	_, err := r.db.ExecContext(ctx, tables)
	if err != nil {
		return fmt.Errorf("deal tables: %w", err)
	}
	return nil
}

func encodeDoc(d *Deal) ([]byte, error) {
	b, err := deal.Encode(&d.Signed)
	if err != nil {
		return nil, err
	}
	return json.Marshal(doc{*d, b})
}

func decodeDoc(b []byte) (*Deal, error) {
	var x doc
	if err := json.Unmarshal(b, &x); err != nil {
		return nil, err
	}
	return &x.Deal, deal.Decode(x.Signed, &x.Deal.Signed)
}

// execer is a database or a transaction.
type execer interface {
	ExecContext(ctx context.Context, q string, args ...any) (sql.Result, error)
}

// put writes a deal and lines of its history.
func put(ctx context.Context, x execer, d *Deal, lines ...string) error {
	b, err := encodeDoc(d)
	if err == nil {
		_, err = x.ExecContext(ctx, `INSERT INTO deal_provider VALUES (?,?,?,?,?) ON CONFLICT (uuid) DO UPDATE SET state=excluded.state, doc=excluded.doc`,
			d.UUID.String(), d.SignedCID.String(), string(d.State), d.Created.UnixNano(), b)
	}
	for _, l := range lines {
		if err == nil {
			_, err = x.ExecContext(ctx, `INSERT INTO deal_provider_log VALUES (?,?,?)`, d.UUID.String(), d.Updated.UnixMilli(), l)
		}
	}
	if err != nil {
		return fmt.Errorf("deal %s: write: %w", d.UUID, err)
	}
	return nil
}

// inTx runs f in a transaction. f must use nothing but the transaction.
func (r rows) inTx(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func (r rows) get(ctx context.Context, id uuid.UUID) (*Deal, error) {
	var b []byte
	err := r.db.QueryRowContext(ctx, `SELECT doc FROM deal_provider WHERE uuid=?`, id.String()).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%w %s", ErrNotFound, id)
	}
	if err != nil {
		return nil, fmt.Errorf("deal %s: %w", id, err)
	}
	return decodeDoc(b)
}

// list reads the deals that a condition selects, oldest first.
func (r rows) list(ctx context.Context, where string, args ...any) ([]*Deal, error) {
	return deal.ReadDocs(ctx, r.db, decodeDoc, `SELECT doc FROM deal_provider WHERE `+where+` ORDER BY created`, args...)
}

func (r rows) live(ctx context.Context) ([]*Deal, error) {
	return r.list(ctx, `state<>?`, string(deal.Complete))
}

func (r rows) log(ctx context.Context, id uuid.UUID) ([]deal.Entry, error) {
	return deal.ReadHistory(ctx, r.db, "deal_provider_log", id)
}
