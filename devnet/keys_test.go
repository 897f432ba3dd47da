package devnet

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/node"
	"github.com/lodenet/lode/proofs/params"
	"github.com/lodenet/lode/proofs/snark"
)

// provenSpec is a network of succinct proofs with the verifying keys of the golden file, so
// that no key of a proof of replication has to be made.
func provenSpec(t *testing.T) Spec {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "proofs", "snark", "testdata", "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct{ Keys map[string]types.KeyBytes }
	if err := json.Unmarshal(b, &golden); err != nil {
		t.Fatal(err)
	}
	s := testSpec(2)
	s.Network.EpochSeconds, s.Network.PropagationMillis = 4, 1000
	s.Network.Proofs = types.ProofsGroth16
	s.Network.Keys = types.Keys{InsecureSeed: params.DevnetSeed, Verifying: golden.Keys}
	s.Proving = node.Proving{Keys: t.TempDir()}
	return s
}

// TestNodesProve mines with real winning PoSts, in this process, and has a second node
// check them.
func TestNodesProve(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	n, err := Launch(ctx, t.TempDir(), provenSpec(t), clock.System{}, testLog(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	if _, err := n.Nodes[1].AwaitHeight(ctx, 2); err != nil {
		t.Fatal(err)
	}
}

func TestKeysRefused(t *testing.T) {
	missing := provenSpec(t)
	missing.Network.Keys.Verifying = map[string]types.KeyBytes{}
	missing.Proving = node.Proving{}
	if _, err := Create(t.Context(), t.TempDir(), missing, time.Now, nil); !errors.Is(err, ErrSpec) {
		t.Errorf("no folder of keys: got %v", err)
	}
	other := provenSpec(t)
	for name := range other.Network.Keys.Verifying {
		if strings.HasPrefix(name, "window") {
			delete(other.Network.Keys.Verifying, name)
		}
	}
	if _, err := Create(t.Context(), t.TempDir(), other, time.Now, nil); !errors.Is(err, snark.ErrNoKey) {
		t.Errorf("a key less: got %v", err)
	}
}

// TestPrepareKeys: where there is nothing to make, nothing is made, and what is broken is said.
func TestPrepareKeys(t *testing.T) {
	ceremony := provenSpec(t).Network
	ceremony.Keys.InsecureSeed = ""
	broken := provenSpec(t).Network
	for name := range broken.Keys.Verifying {
		broken.Keys.Verifying[name] = types.KeyBytes("no key")
	}
	for name, c := range map[string]struct {
		network types.Network
		fails   bool
	}{"insecure": {types.Devnet(), false}, "ceremony": {ceremony, false}, "broken": {broken, true}} {
		b, err := c.network.Encode()
		if err != nil {
			t.Fatal(err)
		}
		f := &Folder{dir: t.TempDir()}
		if err := f.PrepareKeys(t.Context(), node.Proving{}, nil); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("no network: got %v", err)
		}
		if err := os.WriteFile(filepath.Join(f.dir, NetworkFile), b, 0o600); err != nil {
			t.Fatal(err)
		}
		keys := t.TempDir()
		if err := f.PrepareKeys(t.Context(), node.Proving{Keys: keys}, nil); (err != nil) != c.fails {
			t.Errorf("%s: got %v", name, err)
		}
		if made, err := os.ReadDir(keys); err != nil || len(made) != 0 {
			t.Errorf("%s: made %v, %v", name, made, err)
		}
	}
}

func TestWarning(t *testing.T) {
	n := types.Devnet()
	if w := Warning(n); !strings.Contains(w, "insecure") {
		t.Errorf("insecure: got %q", w)
	}
	n = provenSpec(t).Network
	if w := Warning(n); !strings.Contains(w, "INSECURE") {
		t.Errorf("public seed: got %q", w)
	}
	n.Keys.InsecureSeed = ""
	if w := Warning(n); w != "" {
		t.Errorf("keys of a ceremony: got %q", w)
	}
}
