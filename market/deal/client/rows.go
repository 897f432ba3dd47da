package client

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/google/uuid"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/market/deal"
)

// ErrNotFound: the client made no such deal.
var ErrNotFound = errors.New("no such deal")

// Deal is a deal as its client has it.
type Deal struct {
	Life
	UUID           uuid.UUID
	Root           cid.Cid // of the file
	Piece          int     // which piece of the file
	PieceCID       cid.Cid
	PieceSize      abi.PaddedPieceSize
	CARSize        uint64
	Provider       address.Address
	Peer           peer.AddrInfo
	Client         address.Address
	PricePerEpoch  abi.TokenAmount  // of the piece, attoFIL
	Collateral     *abi.TokenAmount // of the provider, attoFIL; nil: a little over the least allowed
	Duration       abi.ChainEpoch
	WantStart      abi.ChainEpoch // 0: chosen when signing
	Verified       bool
	RemoveUnsealed bool
	SkipAnnounce   bool
	HTTP           bool // the data is offered over plain HTTP
	Token          string
	Created        time.Time
	Updated        time.Time

	signed *market.ClientDealProposal // nil before it is signed
}

// Proposal is the signed proposal; nil before it is signed.
func (d *Deal) Proposal() *market.ClientDealProposal { return d.signed }

// doc is a Deal in its row.
type doc struct {
	Deal
	Signed []byte
}

type rows struct{ db *sql.DB }

const tables = `
CREATE TABLE IF NOT EXISTS deal_client (uuid TEXT PRIMARY KEY, root TEXT NOT NULL, token TEXT NOT NULL, state TEXT NOT NULL, created INTEGER NOT NULL, doc BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS deal_client_root ON deal_client (root);
CREATE INDEX IF NOT EXISTS deal_client_token ON deal_client (token);
CREATE INDEX IF NOT EXISTS deal_client_state ON deal_client (state);
CREATE TABLE IF NOT EXISTS deal_client_log (uuid TEXT NOT NULL, at INTEGER NOT NULL, text TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS deal_client_log_uuid ON deal_client_log (uuid);`

func (r rows) migrate(ctx context.Context) error {
	if _, err := r.db.ExecContext(ctx, tables); err != nil {
		return fmt.Errorf("deal tables: %w", err)
	}
	return nil
}

// put writes deals and lines of the history of the first, in one transaction.
func (r rows) put(ctx context.Context, lines []string, ds ...*Deal) error {
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("write deals: %w", err)
	}
	defer tx.Rollback()
	for _, d := range ds {
		if err := putOne(ctx, tx, d); err != nil {
			return fmt.Errorf("deal %s: write: %w", d.UUID, err)
		}
	}
	for _, l := range lines {
		if _, err := tx.ExecContext(ctx, `INSERT INTO deal_client_log VALUES (?,?,?)`, ds[0].UUID.String(), ds[0].Updated.UnixMilli(), l); err != nil {
			return fmt.Errorf("deal %s: write: %w", ds[0].UUID, err)
		}
	}
	return tx.Commit()
}

func putOne(ctx context.Context, tx *sql.Tx, d *Deal) error {
	x := doc{Deal: *d}
	var err error
	if d.signed != nil {
		if x.Signed, err = deal.Encode(d.signed); err != nil {
			return err
		}
	}
	b, err := json.Marshal(x)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO deal_client VALUES (?,?,?,?,?,?) ON CONFLICT (uuid) DO UPDATE SET state=excluded.state, doc=excluded.doc`,
		d.UUID.String(), d.Root.String(), d.Token, string(d.State), d.Created.UnixNano(), b)
	return err
}

func decodeDoc(b []byte) (*Deal, error) {
	var x doc
	if err := json.Unmarshal(b, &x); err != nil {
		return nil, err
	}
	d := &x.Deal
	if len(x.Signed) > 0 {
		d.signed = new(market.ClientDealProposal)
		return d, deal.Decode(x.Signed, d.signed)
	}
	return d, nil
}

func (r rows) get(ctx context.Context, id uuid.UUID) (*Deal, error) {
	ds, err := r.list(ctx, `uuid=?`, id.String())
	if err != nil {
		return nil, err
	}
	if len(ds) == 0 {
		return nil, fmt.Errorf("%s: %w", id, ErrNotFound)
	}
	return ds[0], nil
}

// list reads the deals that a condition selects, oldest first, then by piece.
func (r rows) list(ctx context.Context, where string, args ...any) ([]*Deal, error) {
	return deal.ReadDocs(ctx, r.db, decodeDoc, `SELECT doc FROM deal_client WHERE `+where+` ORDER BY created, rowid`, args...)
}

// underWay reads the deals that need a worker.
func (r rows) underWay(ctx context.Context) ([]*Deal, error) {
	all, err := r.list(ctx, `state NOT IN (?,?,?,?,?)`, string(Active), string(Expired), string(Slashed), string(Rejected), string(Failed))
	return all, err
}

func (r rows) log(ctx context.Context, id uuid.UUID) ([]deal.Entry, error) {
	return deal.ReadHistory(ctx, r.db, "deal_client_log", id)
}
