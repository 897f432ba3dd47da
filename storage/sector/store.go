package sector

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/filecoin-project/go-state-types/abi"

	"github.com/lodenet/lode/clock"
)

// ErrNotFound: there is no record of the sector.
var ErrNotFound = errors.New("no such sector")

// ErrStale: the event is the result of a job that is not the sector's last one. Drop it.
var ErrStale = errors.New("job is obsolete")

// logKept is how many entries of a sector's history are kept.
const logKept = 200

const schema = `
CREATE TABLE IF NOT EXISTS sector (
	miner   INTEGER NOT NULL,
	number  INTEGER NOT NULL,
	state   TEXT    NOT NULL,
	version INTEGER NOT NULL,
	wake    INTEGER,           -- unix milliseconds of the node's clock
	record  BLOB    NOT NULL,  -- JSON of Sector
	PRIMARY KEY (miner, number)
);
CREATE TABLE IF NOT EXISTS sector_next (
	miner INTEGER PRIMARY KEY,
	next  INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS sector_deal (
	miner  INTEGER NOT NULL,
	deal   INTEGER NOT NULL,
	number INTEGER NOT NULL,
	PRIMARY KEY (miner, deal)
);
CREATE TABLE IF NOT EXISTS sector_log (
	miner   INTEGER NOT NULL,
	number  INTEGER NOT NULL,
	version INTEGER NOT NULL,
	at      INTEGER NOT NULL,
	event   TEXT    NOT NULL,
	state   TEXT    NOT NULL,
	detail  TEXT    NOT NULL,
	PRIMARY KEY (miner, number, version)
);`

// Migrate makes the package's tables.
func Migrate(ctx context.Context, db *sql.DB) error {
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return fmt.Errorf("sector tables: %w", err)
	}
	return nil
}

// Store keeps the sectors of one miner in SQLite. All methods are safe from many goroutines
// and none keeps the database's connection after it returns.
type Store struct {
	db    *sql.DB
	miner abi.ActorID
	rules Rules
	clock clock.Clock
}

// NewStore makes a store; Migrate must have run.
func NewStore(db *sql.DB, miner abi.ActorID, r Rules, c clock.Clock) *Store {
	return &Store{db, miner, r, c}
}

// Rules are those that the store applies.
func (st *Store) Rules() Rules { return st.rules }

// Then is called inside the transaction that stores a changed record, with the Run actions.
// It may use nothing of the database but the transaction.
type Then func(ctx context.Context, tx *sql.Tx, s Sector, runs []Run) error

// Create reserves the next free number, at least min, and stores a new sector with the
// events applied.
func (st *Store) Create(ctx context.Context, p abi.RegisteredSealProof, least abi.SectorNumber, then Then, events ...Event) (s Sector, err error) {
	err = st.tx(ctx, func(tx *sql.Tx) error {
		next := uint64(least)
		var kept uint64
		switch err := tx.QueryRowContext(ctx, `SELECT next FROM sector_next WHERE miner = ?`, st.miner).Scan(&kept); {
		case err == nil:
			next = max(next, kept)
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO sector_next (miner, next) VALUES (?, ?)
			ON CONFLICT (miner) DO UPDATE SET next = excluded.next`, st.miner, next+1); err != nil {
			return err
		}
		s = New(st.miner, abi.SectorNumber(next), p)
		s, err = st.apply(ctx, tx, s, then, events)
		return err
	})
	if err != nil {
		return Sector{}, fmt.Errorf("new sector: %w", err)
	}
	return s, nil
}

// Import stores a sector that was sealed elsewhere. The same sector again changes nothing;
// another record of its number is an error.
func (st *Store) Import(ctx context.Context, s Sector) error {
	return st.tx(ctx, func(tx *sql.Tx) error {
		old, err := st.get(ctx, tx, s.Number)
		switch {
		case err == nil && old.CommR == s.CommR:
			return nil
		case err == nil:
			return fmt.Errorf("sector %d: another sector has this number", s.Number)
		case !errors.Is(err, ErrNotFound):
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO sector_next (miner, next) VALUES (?, ?)
			ON CONFLICT (miner) DO UPDATE SET next = max(next, excluded.next)`, st.miner, uint64(s.Number)+1); err != nil {
			return err
		}
		_, err = st.apply(ctx, tx, New(st.miner, s.Number, s.SealProof), nil, []Event{Imported{s}})
		return err
	})
}

// Apply applies events to a sector in one transaction: all or none. When entry is not 0 the
// events are results of the job of that number, and ErrStale is returned when it is not the
// last one.
func (st *Store) Apply(ctx context.Context, n abi.SectorNumber, entry uint64, then Then, events ...Event) (s Sector, err error) {
	err = st.tx(ctx, func(tx *sql.Tx) error {
		s, err = st.get(ctx, tx, n)
		if err != nil {
			return err
		}
		if entry != 0 && s.Entry != entry {
			return fmt.Errorf("sector %d, job %d: %w", n, entry, ErrStale)
		}
		s, err = st.apply(ctx, tx, s, then, events)
		return err
	})
	return s, err
}

func (st *Store) apply(ctx context.Context, tx *sql.Tx, s Sector, then Then, events []Event) (Sector, error) {
	var runs []Run
	var wake *int64 // set: the new time
	now := st.clock.Now()
	for _, ev := range events {
		next, actions, err := st.rules.Apply(s, ev)
		if err != nil {
			return s, err
		}
		s = next
		runs = runs[:0]
		for _, a := range actions {
			switch a := a.(type) {
			case Run:
				runs = append(runs, a)
			case Wake:
				at := now.Add(a.After).UnixMilli()
				wake = &at
			}
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO sector_log (miner, number, version, at, event, state, detail) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			st.miner, s.Number, s.Version, now.UnixMilli(), eventName(ev), string(s.State), detail(ev)); err != nil {
			return s, err
		}
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM sector_log WHERE miner = ? AND number = ? AND version <= ?`,
		st.miner, s.Number, int64(s.Version)-logKept); err != nil {
		return s, err
	}
	record, err := json.Marshal(s)
	if err != nil {
		return s, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO sector (miner, number, state, version, wake, record) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (miner, number) DO UPDATE SET state = excluded.state, version = excluded.version,
			wake = CASE WHEN ? THEN coalesce(excluded.wake, wake) END, record = excluded.record`,
		st.miner, s.Number, string(s.State), s.Version, wake, record, s.Timer)
	if err != nil {
		return s, err
	}
	for _, p := range s.Pieces {
		// The deals of a sector that goes away may be in another one meanwhile.
		if p.Deal == nil || s.State.Gone() {
			continue
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO sector_deal (miner, deal, number) VALUES (?, ?, ?)
			ON CONFLICT (miner, deal) DO UPDATE SET number = excluded.number WHERE number <> excluded.number`,
			st.miner, p.Deal.ID, s.Number); err != nil {
			return s, err
		}
	}
	if then != nil {
		err = then(ctx, tx, s, runs)
	}
	return s, err
}

func (st *Store) tx(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := st.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (st *Store) get(ctx context.Context, q querier, n abi.SectorNumber) (Sector, error) {
	var record []byte
	err := q.QueryRowContext(ctx, `SELECT record FROM sector WHERE miner = ? AND number = ?`, st.miner, n).Scan(&record)
	if errors.Is(err, sql.ErrNoRows) {
		return Sector{}, fmt.Errorf("%w: %d", ErrNotFound, n)
	}
	if err != nil {
		return Sector{}, fmt.Errorf("sector %d: %w", n, err)
	}
	return decode(record)
}

func decode(record []byte) (Sector, error) {
	var s Sector
	if err := json.Unmarshal(record, &s); err != nil {
		return Sector{}, fmt.Errorf("sector record: %w", err)
	}
	return s, nil
}

// Get reads one record.
func (st *Store) Get(ctx context.Context, n abi.SectorNumber) (Sector, error) {
	return st.get(ctx, st.db, n)
}

// List reads all records by number; with states, those alone.
func (st *Store) List(ctx context.Context, states ...State) ([]Sector, error) {
	want := make(map[State]bool, len(states))
	for _, s := range states {
		want[s] = true
	}
	rows, err := st.db.QueryContext(ctx, `SELECT state, record FROM sector WHERE miner = ? ORDER BY number`, st.miner)
	if err != nil {
		return nil, fmt.Errorf("sectors: %w", err)
	}
	defer rows.Close()
	var out []Sector
	for rows.Next() {
		var state string
		var record []byte
		if err := rows.Scan(&state, &record); err != nil {
			return nil, fmt.Errorf("sectors: %w", err)
		}
		if len(want) > 0 && !want[State(state)] {
			continue
		}
		s, err := decode(record)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// OfDeal finds the sector that a deal was last placed in.
func (st *Store) OfDeal(ctx context.Context, id abi.DealID) (Sector, error) {
	var n uint64
	err := st.db.QueryRowContext(ctx, `SELECT number FROM sector_deal WHERE miner = ? AND deal = ?`, st.miner, id).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return Sector{}, fmt.Errorf("%w of deal %d", ErrNotFound, id)
	}
	if err != nil {
		return Sector{}, fmt.Errorf("sector of deal %d: %w", id, err)
	}
	s, err := st.Get(ctx, abi.SectorNumber(n))
	if err != nil {
		return Sector{}, err
	}
	if _, ok := s.Piece(id); !ok {
		return Sector{}, fmt.Errorf("%w of deal %d", ErrNotFound, id)
	}
	return s, nil
}

// Due lists the sectors whose timer has run out; next is when the next one does, zero when
// there is none.
func (st *Store) Due(ctx context.Context) (due []abi.SectorNumber, next time.Time, err error) {
	now := st.clock.Now().UnixMilli()
	rows, err := st.db.QueryContext(ctx, `SELECT number, wake FROM sector WHERE miner = ? AND wake IS NOT NULL ORDER BY wake`, st.miner)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("sector timers: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var n uint64
		var wake int64
		if err := rows.Scan(&n, &wake); err != nil {
			return nil, time.Time{}, fmt.Errorf("sector timers: %w", err)
		}
		if wake > now {
			return due, time.UnixMilli(wake), nil
		}
		due = append(due, abi.SectorNumber(n))
	}
	return due, time.Time{}, rows.Err()
}
