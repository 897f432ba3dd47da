package devnet

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/node"
	"github.com/lodenet/lode/proofs/params"
)

// TestDemoStoresAndRetrieves runs the main job on small sectors: the file is larger than
// one, so it takes several deals.
func TestDemoStoresAndRetrieves(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	file := filepath.Join(t.TempDir(), "file")
	data := make([]byte, 3000)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	told, err := Demo(ctx, DemoOptions{Spec: testSpec(3), File: file, Dir: t.TempDir(), Log: testLog(t)}, os.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	if told.Size != uint64(len(data)) || len(told.Steps) != 6 || told.Steps[5].Name != "retrieve" || told.Seconds <= 0 {
		t.Errorf("told %+v", told)
	}
}

// A file that cannot be stored ends the demo before a network is made for it.
func TestDemoRefusesFiles(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ file, text string }{{empty, "is empty"}, {dir, "is not a regular file"}, {filepath.Join(dir, "nothing"), "no such file"}} {
		var out strings.Builder
		_, err := Demo(t.Context(), DemoOptions{Spec: testSpec(1), File: c.file, Log: testLog(t)}, &out)
		if err == nil || !strings.Contains(err.Error(), c.text) || out.Len() > 0 {
			t.Errorf("%s: got %v and %q, want %q", c.file, err, out.String(), c.text)
		}
	}
}

// TestDemoProves runs the main job with succinct proofs. It needs a gigabyte of keys in the
// usual folder, which it makes when they are missing.
func TestDemoProves(t *testing.T) {
	if os.Getenv("LODE_LONG") != "1" {
		t.Skip("a succinct proof of replication takes minutes (LODE_LONG=1 runs it)")
	}
	dir, err := params.DefaultDir(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	spec := testSpec(2)
	spec.Network.Proofs = types.ProofsGroth16
	spec.Network.EpochSeconds, spec.Network.PropagationMillis = 10, 2000
	spec.Proving = node.Proving{Keys: dir, Command: []string{exe, "prove"}}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("proven"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Demo(t.Context(), DemoOptions{Spec: spec, File: file, Dir: t.TempDir(), Log: testLog(t)}, os.Stdout); err != nil {
		t.Fatal(err)
	}
}
