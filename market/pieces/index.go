package pieces

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/market/car"
	"github.com/multiformats/go-multihash"
)

// Location is a piece kept in a sector. Size and Offset are of padded bytes.
type Location struct {
	CID    cid.Cid
	Size   abi.PaddedPieceSize
	Sector abi.SectorNumber
	Offset abi.PaddedPieceSize
	Deal   abi.DealID
}

// Where is a block inside a piece; Offset and Length are of unpadded bytes of the piece.
type Where struct {
	Location
	Start, Length uint64
}

// batch is how many rows one transaction writes: short, since all share one connection.
const batch = 256

// Index is the table of pieces and their blocks. Safe from many goroutines.
type Index struct {
	db *sql.DB
}

// Open makes the tables.
func Open(ctx context.Context, db *sql.DB) (*Index, error) {
	_, err := db.ExecContext(ctx, `
CREATE TABLE IF NOT EXISTS pieces_piece (id INTEGER PRIMARY KEY, cid TEXT NOT NULL, size INTEGER NOT NULL,
 sector INTEGER NOT NULL, offset INTEGER NOT NULL, deal INTEGER NOT NULL UNIQUE);
CREATE INDEX IF NOT EXISTS pieces_piece_cid ON pieces_piece (cid);
CREATE TABLE IF NOT EXISTS pieces_block (mh BLOB NOT NULL, piece INTEGER NOT NULL, start INTEGER NOT NULL, length INTEGER NOT NULL,
 PRIMARY KEY (mh, piece)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pieces_block_piece ON pieces_block (piece);`)
	if err != nil {
		return nil, fmt.Errorf("piece index tables: %w", err)
	}
	return &Index{db}, nil
}

// Add records where a deal's piece is; again is fine and moves it.
func (x *Index) Add(ctx context.Context, l Location) error {
	_, err := x.db.ExecContext(ctx, `INSERT INTO pieces_piece (cid, size, sector, offset, deal) VALUES (?,?,?,?,?)
 ON CONFLICT (deal) DO UPDATE SET cid=excluded.cid, size=excluded.size, sector=excluded.sector, offset=excluded.offset`,
		l.CID.String(), int64(l.Size), int64(l.Sector), int64(l.Offset), int64(l.Deal))
	if err != nil {
		return fmt.Errorf("index piece %s: %w", l.CID, err)
	}
	return nil
}

// AddBlocks indexes the blocks of a deal's piece from its bytes and returns how many there
// are. Bytes that are no CARv1 have none: the error then is car.ErrFormat, and what was
// indexed before the bad place stays. It can be repeated.
func (x *Index) AddBlocks(ctx context.Context, deal abi.DealID, r io.Reader) (int, error) {
	var piece int64
	if err := x.db.QueryRowContext(ctx, `SELECT id FROM pieces_piece WHERE deal=?`, int64(deal)).Scan(&piece); err != nil {
		return 0, fmt.Errorf("index blocks of deal %d: its piece: %w", deal, err)
	}
	cr, err := car.NewReader(r)
	if err != nil {
		return 0, fmt.Errorf("index blocks of deal %d: %w", deal, err)
	}
	type row struct {
		mh            []byte
		start, length uint64
	}
	var rows []row
	n := 0
	flush := func() error {
		tx, err := x.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		for _, r := range rows {
			if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO pieces_block VALUES (?,?,?,?)`, r.mh, piece, int64(r.start), int64(r.length)); err != nil {
				return err
			}
		}
		n += len(rows)
		rows = rows[:0]
		return tx.Commit()
	}
	for {
		s, err := cr.Next()
		if err != nil || len(rows) == batch {
			if ferr := flush(); ferr != nil {
				return n, fmt.Errorf("index blocks of deal %d: %w", deal, ferr)
			}
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("index blocks of deal %d: %w", deal, err)
		}
		if s.Cid.Prefix().MhType != multihash.IDENTITY {
			rows = append(rows, row{s.Cid.Hash(), s.Offset, uint64(len(s.Data))})
		}
	}
}

// Sectors lists the sectors that have pieces, by number.
func (x *Index) Sectors(ctx context.Context) ([]abi.SectorNumber, error) {
	rows, err := x.db.QueryContext(ctx, `SELECT DISTINCT sector FROM pieces_piece ORDER BY sector`)
	if err != nil {
		return nil, fmt.Errorf("sectors of pieces: %w", err)
	}
	defer rows.Close()
	var out []abi.SectorNumber
	for rows.Next() {
		var n abi.SectorNumber
		if err := rows.Scan(&n); err != nil {
			return nil, fmt.Errorf("sectors of pieces: %w", err)
		}
		out = append(out, n)
	}
	return out, rows.Err()
}

// Forget drops the pieces of a sector with their blocks. When it is interrupted, some are
// left, and it is to be called again.
func (x *Index) Forget(ctx context.Context, sector abi.SectorNumber) error {
	for _, q := range []string{
		`DELETE FROM pieces_block WHERE (mh, piece) IN (
 SELECT b.mh, b.piece FROM pieces_piece p JOIN pieces_block b ON b.piece=p.id WHERE p.sector=? LIMIT ?)`,
		`DELETE FROM pieces_piece WHERE id IN (SELECT id FROM pieces_piece WHERE sector=? LIMIT ?)`,
	} {
		for {
			res, err := x.db.ExecContext(ctx, q, int64(sector), batch)
			if err != nil {
				return fmt.Errorf("forget the pieces of sector %d: %w", sector, err)
			}
			if n, err := res.RowsAffected(); err != nil || n == 0 {
				if err != nil {
					return fmt.Errorf("forget the pieces of sector %d: %w", sector, err)
				}
				break
			}
		}
	}
	return nil
}

// Find lists the places of a block, at most 8; none is no error.
func (x *Index) Find(ctx context.Context, mh multihash.Multihash) ([]Where, error) {
	rows, err := x.db.QueryContext(ctx, `SELECT p.cid, p.size, p.sector, p.offset, p.deal, b.start, b.length
 FROM pieces_block b JOIN pieces_piece p ON p.id=b.piece WHERE b.mh=? LIMIT 8`, []byte(mh))
	if err != nil {
		return nil, fmt.Errorf("find block: %w", err)
	}
	defer rows.Close()
	var out []Where
	for rows.Next() {
		var w Where
		var c string
		if err := rows.Scan(&c, &w.Size, &w.Sector, &w.Offset, &w.Deal, &w.Start, &w.Length); err != nil {
			return nil, fmt.Errorf("find block: %w", err)
		}
		if w.CID, err = cid.Decode(c); err != nil {
			return nil, fmt.Errorf("find block: %w", err)
		}
		out = append(out, w)
	}
	return out, rows.Err()
}

// Has tells whether a block is in any piece.
func (x *Index) Has(ctx context.Context, mh multihash.Multihash) (bool, error) {
	var one int
	err := x.db.QueryRowContext(ctx, `SELECT 1 FROM pieces_block WHERE mh=? LIMIT 1`, []byte(mh)).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// Piece lists where a piece is kept; none is no error.
func (x *Index) Piece(ctx context.Context, c cid.Cid) ([]Location, error) {
	rows, err := x.db.QueryContext(ctx, `SELECT size, sector, offset, deal FROM pieces_piece WHERE cid=? LIMIT 8`, c.String())
	if err != nil {
		return nil, fmt.Errorf("find piece %s: %w", c, err)
	}
	defer rows.Close()
	var out []Location
	for rows.Next() {
		l := Location{CID: c}
		if err := rows.Scan(&l.Size, &l.Sector, &l.Offset, &l.Deal); err != nil {
			return nil, fmt.Errorf("find piece %s: %w", c, err)
		}
		out = append(out, l)
	}
	return out, rows.Err()
}
