package sector

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
)

// Entry is one line of a sector's history.
type Entry struct {
	Version uint64
	At      time.Time
	Event   string
	State   State // after the event
	Detail  string
}

// Log is a sector's history, oldest first; only the last 200 events are kept.
func (st *Store) Log(ctx context.Context, n abi.SectorNumber) ([]Entry, error) {
	rows, err := st.db.QueryContext(ctx, `SELECT version, at, event, state, detail FROM sector_log
		WHERE miner = ? AND number = ? ORDER BY version`, st.miner, n)
	if err != nil {
		return nil, fmt.Errorf("sector %d: history: %w", n, err)
	}
	defer rows.Close()
	var out []Entry
	for rows.Next() {
		var e Entry
		var at int64
		if err := rows.Scan(&e.Version, &at, &e.Event, &e.State, &e.Detail); err != nil {
			return nil, fmt.Errorf("sector %d: history: %w", n, err)
		}
		e.At = time.UnixMilli(at)
		out = append(out, e)
	}
	return out, rows.Err()
}

func eventName(ev Event) string {
	return strings.TrimPrefix(fmt.Sprintf("%T", ev), "sector.")
}

// detail is what a history line says of an event besides its name.
func detail(ev Event) string {
	switch ev := ev.(type) {
	case Reserved:
		return fmt.Sprintf("deal %d, %d bytes at %d", ev.Piece.Deal.ID, ev.Piece.Size, ev.Piece.Offset)
	case Stored:
		return fmt.Sprintf("deal %d", ev.Deal)
	case Dropped:
		return fmt.Sprintf("deal %d: %s", ev.Deal, ev.Err)
	case Packed:
		return fmt.Sprintf("%d pieces, CommD %s", len(ev.Pieces), ev.CommD)
	case Ticketed:
		return fmt.Sprintf("ticket of epoch %d", ev.Epoch)
	case Replicated:
		return fmt.Sprintf("CommR %s", ev.CommR)
	case Sent:
		return fmt.Sprintf("message %s", ev.ID)
	case PreCommitted:
		return fmt.Sprintf("pre-commit of epoch %d, expires %d", ev.Epoch, ev.Expiration)
	case Seeded:
		return fmt.Sprintf("seed of epoch %d", ev.Epoch)
	case Activated:
		return fmt.Sprintf("active since %d, expires %d", ev.Activation, ev.Expiration)
	case Refreshed:
		return fmt.Sprintf("active since %d, expires %d", ev.Activation, ev.Expiration)
	case Failed:
		return fmt.Sprintf("%s: %s", ev.Reason, ev.Err)
	case Faulted:
		return ev.Err
	case Ended:
		return fmt.Sprintf("epoch %d: %s", ev.At, ev.Why)
	}
	return ""
}
