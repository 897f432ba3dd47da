package store

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	blocks "github.com/ipfs/go-block-format"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/chain/types"
)

// filled makes a store on disk whose blocks are all in tables, and closes it.
func filled(t *testing.T) string {
	dir := t.TempDir()
	s, err := Open(dir, Options{MemTableBytes: 256 << 10})
	require.NoError(t, err)
	genesis(t, s)
	require.NoError(t, s.PutMany(t.Context(), some(t)))
	require.NoError(t, s.db.Flush())
	require.NoError(t, s.Close())
	return dir
}

// some are blocks that fill several blocks of a table.
func some(t *testing.T) (out []blocks.Block) {
	rnd := rand.NewChaCha8([32]byte{})
	for range 100 {
		data := make([]byte, 4<<10)
		_, err := rnd.Read(data)
		require.NoError(t, err)
		c, err := types.CidBuilder.Sum(data)
		require.NoError(t, err)
		b, err := blocks.NewBlockWithCid(data, c)
		require.NoError(t, err)
		out = append(out, b)
	}
	return out
}

// A damaged file is an error of Open that says what to do, and never the end of the process.
func TestDamagedStoreIsRefused(t *testing.T) {
	for _, c := range []struct {
		name, files string
		harm        func(path string) error
	}{
		{"table overwritten", "*.sst", scramble},
		{"table missing", "*.sst", os.Remove},
		{"table empty", "*.sst", func(p string) error { return os.Truncate(p, 0) }},
		{"manifest overwritten", "MANIFEST-*", scramble},
		{"manifest missing", "MANIFEST-*", os.Remove},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filled(t)
			paths, err := filepath.Glob(filepath.Join(dir, c.files))
			require.NoError(t, err)
			require.NotEmpty(t, paths)
			for _, p := range paths {
				require.NoError(t, c.harm(p))
			}
			_, err = Open(dir, Options{})
			require.ErrorIs(t, err, ErrDamaged)
			require.ErrorContains(t, err, dir)
			require.ErrorContains(t, err, "from a backup")
		})
	}
}

// scramble overwrites all but the last bytes of a file, which tell Pebble how to read it.
func scramble(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for i := range max(len(b)/2, 1) {
		b[i] ^= 0x55
	}
	return os.WriteFile(path, b, 0o600)
}

// What the system refuses is not damaged.
func TestRefusedIsNotDamaged(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := Open(file, Options{})
	require.ErrorContains(t, err, file)
	require.NotErrorIs(t, err, ErrDamaged)
}

// Damage that is found while the store runs ends the watch with it.
func TestWatchFindsDamage(t *testing.T) {
	dir := filled(t)
	s, err := Open(dir, Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	paths, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	require.NoError(t, err)
	for _, p := range paths {
		require.NoError(t, scramble(p))
	}
	var bad int
	for _, b := range some(t) {
		if _, err := s.Get(t.Context(), b.Cid()); err != nil {
			bad++
		}
	}
	require.NotZero(t, bad)
	require.ErrorIs(t, s.Watch(t.Context()), ErrDamaged)
}

// No damage: the watch lasts as long as its context.
func TestWatchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		g := NewGuard("chain", "cure", slog.New(slog.DiscardHandler))
		ended := make(chan error)
		go func() { ended <- g.Run(ctx) }()
		synctest.Wait()
		cancel()
		require.NoError(t, <-ended)
	})
}
