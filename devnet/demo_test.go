package devnet

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"
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
	if err := Demo(ctx, DemoOptions{Spec: testSpec(3), File: file, Dir: t.TempDir(), Log: testLog(t)}, os.Stdout); err != nil {
		t.Fatal(err)
	}
}
