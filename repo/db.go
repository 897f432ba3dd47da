package repo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	"modernc.org/sqlite"
)

// openDB opens or makes a database with one connection, written through to the disk before a
// commit returns, and checks that it is whole.
func openDB(ctx context.Context, path string) (_ *sql.DB, err error) {
	q := url.Values{}
	for _, p := range []string{"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"} {
		q.Add("_pragma", p)
	}
	dsn := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
	db := sql.OpenDB(Connector(dsn))
	db.SetMaxOpenConns(1)
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	var verdict string
	switch err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); {
	case err != nil:
		return nil, explainDB(path, err)
	case verdict != "ok":
		return nil, damaged(path, verdict)
	}
	return db, nil
}

// CloseDB closes a database with one connection when that has come back. Close alone does not
// wait for it: a transaction whose context ended is rolled back behind its caller's back, and
// who opens the file meanwhile finds it locked. The context bounds the waiting.
func CloseDB(ctx context.Context, db *sql.DB) error {
	c, err := db.Conn(ctx)
	if err == nil {
		err = c.Close()
	}
	return errors.Join(err, db.Close())
}

// Codes of SQLite, https://sqlite.org/rescode.html.
const (
	sqliteBusy    = 5
	sqliteCorrupt = 11
	sqliteFull    = 13
	sqliteNotADB  = 26
)

func explainDB(path string, err error) error {
	var e *sqlite.Error
	if errors.As(err, &e) {
		switch e.Code() & 0xff {
		case sqliteCorrupt, sqliteNotADB:
			return damaged(path, e.Error())
		case sqliteFull:
			return fmt.Errorf("database %s: %w (the disk is full: free some space and try again)", path, err)
		case sqliteBusy:
			return fmt.Errorf("database %s: %w (another program has it open: close it)", path, err)
		}
	}
	return fmt.Errorf("database %s: %w", path, explain(err))
}

func damaged(path, why string) error {
	return fmt.Errorf("%w: database %s: %s; copy the repo to a safe place first, then put the database back from a backup or try sqlite3's .recover; keys and sector files are not in it", ErrCorrupt, path, why)
}
