package params

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/lodenet/lode/proofs/groth16"
)

// TestCompiledIsNotTrusted: what a compiled circuit's file may be but the key's circuit,
// written by the same libraries, is compiled again.
func TestCompiledIsNotTrusted(t *testing.T) {
	dir := t.TempDir()
	c := &toyCircuit{rounds: 5}
	want := Want{Circuit: c, Seed: []byte("seed")}
	want.Pin = get(t, New(dir, nil), want).Key.VerifyingKey().Digest()
	path := filepath.Join(dir, stem(c.Name(), true, want.Pin)+compiledExt)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	otherDir, other := t.TempDir(), Want{Circuit: &toyCircuit{rounds: 6}, Seed: []byte("seed")}
	pin := get(t, New(otherDir, nil), other).Key.VerifyingKey().Digest()
	foreign, err := os.ReadFile(filepath.Join(otherDir, stem(c.Name(), true, pin)+compiledExt))
	if err != nil {
		t.Fatal(err)
	}
	flipped := func(at int) []byte {
		b := append([]byte(nil), good...)
		b[at] ^= 1
		return b
	}
	garbage := append([]byte(nil), good[:2*sha256.Size]...)
	garbage = append(garbage, "no circuit"...)
	d := sha256.Sum256([]byte("no circuit"))
	copy(garbage[sha256.Size:], d[:])
	for what, c2 := range map[string]struct {
		file     []byte
		compiled int
	}{
		"the same":                   {good, 0},
		"written by other libraries": {flipped(0), 1},
		"its digest flipped":         {flipped(sha256.Size), 1},
		"its body flipped":           {flipped(len(good) - 1), 1},
		"another circuit":            {foreign, 1},
		"cut":                        {good[:sha256.Size+1], 1},
		"empty":                      {nil, 1},
		"no circuit":                 {garbage, 1},
	} {
		t.Run(what, func(t *testing.T) {
			if err := os.WriteFile(path, c2.file, 0o644); err != nil {
				t.Fatal(err)
			}
			c.compiled = 0
			k := get(t, New(dir, nil), want)
			if c.compiled != c2.compiled {
				t.Errorf("compiled %d times, want %d", c.compiled, c2.compiled)
			}
			got, err := groth16.Fingerprint(k.Circuit)
			if err != nil || got != k.Key.Header().Constraints {
				t.Errorf("constraints %s, %v, the key is for %s", got, err, k.Key.Header().Constraints)
			}
		})
	}
}

func TestLibrariesOf(t *testing.T) {
	gnark := &debug.Module{Path: libraries[0], Version: "v1", Sum: "h1:a"}
	crypto := &debug.Module{Path: libraries[1], Version: "v1", Sum: "h1:b"}
	of := func(deps ...*debug.Module) (groth16.Digest, bool) {
		return librariesOf(&debug.BuildInfo{Deps: deps})
	}
	base, ok := of(gnark, crypto)
	if !ok {
		t.Fatal("both libraries are there")
	}
	if d, ok := of(&debug.Module{Path: "x", Version: "v2"}, gnark, crypto); !ok || d != base {
		t.Error("another library matters")
	}
	newer := &debug.Module{Path: libraries[0], Version: "v2", Sum: "h1:c"}
	if d, ok := of(newer, crypto); !ok || d == base {
		t.Error("a version does not matter")
	}
	replaced := &debug.Module{Path: libraries[0], Version: "v1", Sum: "h1:a", Replace: newer}
	if d, ok := of(replaced, crypto); !ok || d == base {
		t.Error("a replacement does not matter")
	}
	folder := &debug.Module{Path: libraries[0], Version: "v1", Replace: &debug.Module{Path: "../gnark"}}
	for what, deps := range map[string][]*debug.Module{"a folder": {folder, crypto}, "one missing": {gnark}, "none": nil} {
		if _, ok := of(deps...); ok {
			t.Errorf("%s has versions", what)
		}
	}
}
