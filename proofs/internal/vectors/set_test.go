package vectors

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSummary(t *testing.T) {
	s := &Set{file: "a.json", counts: map[string]*count{}}
	if got := s.summary(); got != "vectors: a.json: none ran" {
		t.Errorf("got %q", got)
	}
	s.Run(t, "whole/1", func(*testing.T) {})
	s.Run(t, "whole/2", func(*testing.T) {})
	s.Run(t, "part/1", func(t *testing.T) { t.Skip() })
	s.Run(t, "part/2", func(*testing.T) {})
	s.count("bad", true, false)
	if got, want := s.summary(), "vectors: a.json: 2 whole, 1 of 2 part (1 skipped), 0 of 1 bad (1 failed)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Another folder of the same layout is read in place of the usual one.
func TestLoadReadsTheFolderNamed(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "proofs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "proofs", "x.json"), []byte(`{"n": 5}`), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LODE_VECTORS", dir)
	var f struct{ N int }
	if Load(t, "x.json", &f); f.N != 5 {
		t.Errorf("got %d", f.N)
	}
	t.Run("missing", func(t *testing.T) {
		Load(t, "y.json", &f)
		t.Error("a file that is not there was loaded")
	})
	t.Run("long", func(t *testing.T) {
		t.Setenv("LODE_LONG", "")
		Long(t, "minutes") // a folder named is run whole
		t.Setenv("LODE_VECTORS", "")
		t.Run("default folder", func(t *testing.T) {
			Long(t, "minutes")
			t.Error("ran")
		})
		t.Run("huge", func(t *testing.T) {
			Huge(t, "an hour")
			t.Error("ran")
		})
	})
}
