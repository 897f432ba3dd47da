package node

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/lodenet/lode/storage/sealing"
)

// listed takes over what has a list, as sealing does.
type listed struct{ taken int }

func (l *listed) ImportPreseal(_ context.Context, dir string) error {
	_, err := sealing.ReadPreseal(dir)
	if err == nil {
		l.taken++
	}
	return err
}

// A folder of pre-sealed sectors is taken over once, and a kill while it is deleted keeps no
// later start from working.
func TestPresealIsTakenOver(t *testing.T) {
	dir := filepath.Join(t.TempDir(), PresealDir)
	if err := os.MkdirAll(filepath.Join(dir, "sectors", "sealed"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "preseal.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	var s listed
	if err := takePreseal(t.Context(), &s, dir); err != nil || s.taken != 1 {
		t.Fatalf("taken %d times, %v", s.taken, err)
	}
	// The kill: the list is gone, a sector's files are left.
	if err := os.MkdirAll(filepath.Join(dir+takenSuffix, "sectors", "sealed"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := takePreseal(t.Context(), &s, dir); err != nil || s.taken != 1 {
		t.Errorf("at the next start: taken %d times, %v", s.taken, err)
	}
	for _, d := range []string{dir, dir + takenSuffix} {
		if _, err := os.Stat(d); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", d, err)
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := takePreseal(t.Context(), &s, dir); err == nil {
		t.Error("a folder without a list was taken for nothing")
	}
}
