package devnet

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A devnet that cannot be made leaves nothing behind, and what was there is left alone.
func TestFoundLeavesNothingBehind(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		spec func(*Spec)
		is   error
	}{
		"no nodes":        {t.Context(), func(s *Spec) { s.Nodes = 0 }, ErrSpec},
		"too many miners": {t.Context(), func(s *Spec) { s.Miners = s.Nodes + 1 }, ErrSpec},
		"no sectors":      {t.Context(), func(s *Spec) { s.PresealedSectors = 0 }, ErrSpec},
		"interrupted":     {ended, func(*Spec) {}, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			spec := testSpec(1)
			c.spec(&spec)
			made, given := filepath.Join(t.TempDir(), "net"), t.TempDir()
			for _, dir := range []string{made, given} {
				if _, err := Found(c.ctx, dir, spec, func(string, float64) {}); !errors.Is(err, c.is) {
					t.Errorf("got %v, want %v", err, c.is)
				}
			}
			if _, err := os.Stat(made); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the folder is there: %v", err)
			}
			if left, err := os.ReadDir(given); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
	dir := t.TempDir()
	mine := filepath.Join(dir, "mine")
	if err := os.WriteFile(mine, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Found(t.Context(), dir, testSpec(1), nil); err == nil {
		t.Error("a folder with something else in it was taken")
	}
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
}
