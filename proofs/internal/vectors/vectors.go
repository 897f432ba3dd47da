package vectors

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lodenet/lode/proofs/fr32"
)

// Load decodes a file of the proof vectors into v. The folder is $LODE_VECTORS, from the
// repository's root when relative, ../shared/vectors otherwise; the test is skipped when the
// file is not there. The vectors are to be run through the set.
func Load(t testing.TB, name string, v any) *Set {
	t.Helper()
	Read(t, name, v)
	return newSet(t, name)
}

// Read is Load for a file that is looked into besides.
func Read(t testing.TB, name string, v any) {
	t.Helper()
	dir := os.Getenv("LODE_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "shared", "vectors")
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(root(t), dir)
	}
	path := filepath.Join(dir, "proofs", name)
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		t.Skipf("no vectors at %s (set LODE_VECTORS)", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// root is the folder of go.mod at or above the test's.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = parent
	}
}

// Long skips a vector that takes minutes, unless LODE_LONG=1, or LODE_VECTORS names the
// folder: who names one wants all that is in it.
func Long(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("LODE_LONG") != "1" && os.Getenv("LODE_VECTORS") == "" {
		t.Skipf("%s (LODE_LONG=1 runs it)", why)
	}
}

// Huge skips what takes longer than a test may by default, unless LODE_LONG=1.
func Huge(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("LODE_LONG") != "1" {
		t.Skipf("%s (LODE_LONG=1 and a longer -timeout run it)", why)
	}
}

// Hex is a byte string that JSON has in hex, with or without 0x.
type Hex []byte

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hex) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(strings.TrimPrefix(string(b), "0x"))
	return err
}

// Node is a node that JSON has in hex.
type Node fr32.Node

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *Node) UnmarshalText(b []byte) error {
	if hex.DecodedLen(len(b)) != len(n) {
		return hex.ErrLength
	}
	_, err := hex.Decode(n[:], b)
	return err
}
