package repo_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/repo"
)

func withDB(t *testing.T, dir string, use func(ctx context.Context, db *sql.DB)) {
	t.Helper()
	r, err := repo.Open(dir, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	db, err := r.DB(t.Context())
	require.NoError(t, err)
	use(t.Context(), db)
	require.NoError(t, repo.CloseDB(t.Context(), db))
}

// A database is closed when nothing of it is in use any more, not before.
func TestCloseWaitsForTheConnection(t *testing.T) {
	r, err := repo.Open(initRepo(t), nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	db, err := r.DB(t.Context())
	require.NoError(t, err)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- repo.CloseDB(t.Context(), db) }()
	_, err = tx.Exec("CREATE TABLE x (v)")
	require.NoError(t, err, "closed under a transaction")
	require.Empty(t, done)
	require.NoError(t, tx.Commit())
	require.NoError(t, <-done)
	require.Zero(t, db.Stats().OpenConnections)

	db, err = r.DB(t.Context())
	require.NoError(t, err)
	tx, err = db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, repo.CloseDB(ctx, db), context.Canceled, "the wait is bounded")
	require.NoError(t, tx.Rollback())
}

func TestDatabaseKeepsAndIsSafe(t *testing.T) {
	dir := initRepo(t)
	withDB(t, dir, func(ctx context.Context, db *sql.DB) {
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "10000"} {
			var got string
			require.NoError(t, db.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(&got))
			require.Equal(t, want, got, pragma)
		}
		require.Equal(t, 1, db.Stats().MaxOpenConnections)
		_, err := db.ExecContext(ctx, "CREATE TABLE x (v); INSERT INTO x VALUES (7)")
		require.NoError(t, err)
	})
	withDB(t, dir, func(ctx context.Context, db *sql.DB) {
		var v int
		require.NoError(t, db.QueryRowContext(ctx, "SELECT v FROM x").Scan(&v))
		require.Equal(t, 7, v)
	})
}

func TestDamagedDatabase(t *testing.T) {
	big := func(ctx context.Context, db *sql.DB) {
		_, err := db.ExecContext(ctx, `CREATE TABLE x (v); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 2000)
			INSERT INTO x SELECT hex(randomblob(50)) FROM n`)
		require.NoError(t, err)
	}
	for name, harm := range map[string]func(b []byte) []byte{
		"noise":      func([]byte) []byte { return []byte("this is not a database at all, whatever its name says.....") },
		"cut":        func(b []byte) []byte { return b[:len(b)/2] },
		"page lost":  func(b []byte) []byte { clear(b[4096:12288]); return b },
		"head wiped": func(b []byte) []byte { clear(b[:100]); b[0] = 'x'; return b },
	} {
		t.Run(name, func(t *testing.T) {
			dir := initRepo(t)
			withDB(t, dir, big)
			path := filepath.Join(dir, "lode.db")
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, harm(b), 0o600))
			r, err := repo.Open(dir, nil)
			require.NoError(t, err)
			_, err = r.DB(t.Context())
			require.ErrorIs(t, err, repo.ErrCorrupt)
			require.ErrorContains(t, err, "backup")
			require.NoError(t, r.Close())
		})
	}
}

func TestDatabaseInAFolderWithAnOddName(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b?c#d%20é")
	require.NoError(t, os.Rename(initRepo(t), dir))
	withDB(t, dir, func(ctx context.Context, db *sql.DB) {
		_, err := db.ExecContext(ctx, "CREATE TABLE x (v)")
		require.NoError(t, err)
	})
	require.FileExists(t, filepath.Join(dir, "lode.db"))
	entries, err := os.ReadDir(filepath.Dir(dir))
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

// A query whose context ends at any moment leaves no statement behind, which would keep the
// files of the database open after its end.
func TestCancelledQueriesLeaveNothingOpen(t *testing.T) {
	dir := initRepo(t)
	rounds := 300
	if os.Getenv("LODE_LONG") != "" {
		rounds = 20_000
	}
	withDB(t, dir, func(ctx context.Context, db *sql.DB) {
		_, err := db.ExecContext(ctx, "CREATE TABLE x (v); INSERT INTO x VALUES (1), (2), (3)")
		require.NoError(t, err)
		prepared, err := db.PrepareContext(ctx, "SELECT v FROM x WHERE v > ?")
		require.NoError(t, err)
		defer func() { require.NoError(t, prepared.Close()) }()
		read := func(rows *sql.Rows, err error) {
			if err == nil {
				for rows.Next() {
				}
				err = errors.Join(rows.Err(), rows.Close())
			}
			if err != nil {
				require.ErrorIs(t, err, context.Canceled)
			}
		}
		for i := range rounds {
			ctx, cancel := context.WithCancel(ctx)
			var wg sync.WaitGroup
			wg.Go(func() {
				for range i % 200 { // the end comes earlier and later
					runtime.Gosched()
				}
				cancel()
			})
			if i%2 == 0 {
				read(db.QueryContext(ctx, "SELECT v FROM x"))
			} else {
				read(prepared.QueryContext(ctx, 1))
			}
			wg.Wait()
		}
	})
	require.Empty(t, openFiles(t, filepath.Join(dir, "lode.db")))
}

// openFiles are the files of this process whose names begin so; none where the system does
// not tell.
func openFiles(t *testing.T, prefix string) (out []string) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	require.NoError(t, err)
	for _, fd := range fds {
		if name, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(name, prefix) {
			out = append(out, name)
		}
	}
	return out
}
