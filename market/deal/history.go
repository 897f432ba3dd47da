package deal

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Entry is a line of a deal's history.
type Entry struct {
	At   time.Time
	Text string
}

// ReadHistory reads the history of a deal from a side's table of it, oldest first.
func ReadHistory(ctx context.Context, db *sql.DB, table string, id uuid.UUID) ([]Entry, error) {
	rs, err := db.QueryContext(ctx, `SELECT at, text FROM `+table+` WHERE uuid=? ORDER BY rowid`, id.String())
	if err != nil {
		return nil, fmt.Errorf("deal %s: history: %w", id, err)
	}
	defer rs.Close()
	var out []Entry
	for rs.Next() {
		var at int64
		var e Entry
		if err := rs.Scan(&at, &e.Text); err != nil {
			return nil, fmt.Errorf("deal %s: history: %w", id, err)
		}
		e.At = time.UnixMilli(at)
		out = append(out, e)
	}
	return out, rs.Err()
}

// ReadDocs reads the deals that a query of documents selects.
func ReadDocs[D any](ctx context.Context, db *sql.DB, decode func([]byte) (*D, error), query string, args ...any) ([]*D, error) {
	rs, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("deals: %w", err)
	}
	defer rs.Close()
	var out []*D
	for rs.Next() {
		var b []byte
		if err := rs.Scan(&b); err != nil {
			return nil, fmt.Errorf("deals: %w", err)
		}
		d, err := decode(b)
		if err != nil {
			return nil, fmt.Errorf("deals: %w", err)
		}
		out = append(out, d)
	}
	return out, rs.Err()
}
