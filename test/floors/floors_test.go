package floors

import (
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/lodenet/lode/"

// floors maps an entry of the house to its floor. A package belongs to the longest entry
// that is a prefix of its path.
var floors = map[string]int{
	"proofs": 0, "chain/types": 0, "clock": 0,
	"repo": 1, "wallet": 1, "network": 1, "chain/state": 1,
	"chain/vm":    2,
	"chain/store": 3, "chain/beacon": 3,
	"chain/consensus": 4, "chain/genesis": 4, "chain/index": 4,
	"chain/mpool": 5, "chain/sync": 5, "chain/finality": 5,
	"chain/outbox": 6, "chain/mining": 6,
	"storage": 7, "market": 8, "api": 9, "web": 10, "node": 11, "devnet": 12, "cli": 13, "cmd": 14, "test": 15,
}

func entry(path string) string {
	best := ""
	for e := range floors {
		if (path == e || strings.HasPrefix(path, e+"/")) && len(e) > len(best) {
			best = e
		}
	}
	return best
}

func TestImportsGoDown(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}} tests: {{join .TestImports " "}} {{join .XTestImports " "}}`, module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) < 10 {
		t.Fatalf("go list found only %d packages", len(lines))
	}
	for _, line := range lines {
		words := strings.Fields(line)
		from := strings.TrimPrefix(words[0], module)
		fromEntry := entry(from)
		if fromEntry == "" {
			t.Errorf("%s is on no floor", from)
			continue
		}
		ofTests := false
		for _, w := range words[1:] {
			ofTests = ofTests || w == "tests:"
			to, ours := strings.CutPrefix(w, module)
			if ofTests && entry(to) == "test" {
				continue // a rig for tests, which stands on the floors it needs
			}
			if toEntry := entry(to); ours && toEntry != fromEntry && floors[toEntry] >= floors[fromEntry] {
				t.Errorf("%s imports %s: from floor %d to floor %d", from, to, floors[fromEntry], floors[toEntry])
			}
		}
	}
}
