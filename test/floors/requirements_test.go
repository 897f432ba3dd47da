package floors

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// requirements is the map of the network floor's requirements to their tests.
const requirements = "docs/requirements.md"

var (
	requirementRow = regexp.MustCompile(`^\| ([A-Z]+-[\w]+) \| ([^|]+) \| ([^|]*) \| ([^|]*) \|$`)
	shownBy        = regexp.MustCompile("`([\\w./-]+_test\\.go)` `((?:Test|Fuzz|Benchmark)\\w+)`")
)

// TestRequirements holds docs/requirements.md true: no requirement is missing or there
// twice, each has a test or says why there is none, and every test that is named exists.
func TestRequirements(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, requirements))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, line := range strings.Split(string(b), "\n") {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| | ") {
			continue
		}
		m := requirementRow.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("%s:%d: no row of four cells: %s", requirements, i+1, line)
			continue
		}
		id, tests, note := m[1], m[3], strings.TrimSpace(m[4])
		if seen[id] {
			t.Errorf("%s is there twice", id)
		}
		seen[id] = true
		named := shownBy.FindAllStringSubmatch(tests, -1)
		if len(named) == 0 && !strings.HasPrefix(note, "not built: ") {
			t.Errorf("%s has no test and does not say why", id)
		}
		if left := strings.Trim(shownBy.ReplaceAllString(tests, ""), ", "); left != "" {
			t.Errorf("%s: what is %q?", id, left)
		}
		for _, n := range named {
			src, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(n[1])))
			if err != nil {
				t.Errorf("%s: %v", id, err)
			} else if !strings.Contains(string(src), "\nfunc "+n[2]+"(") {
				t.Errorf("%s: there is no %s in %s", id, n[2], n[1])
			}
		}
	}
	var want []string
	for letter, n := range map[string]int{"L": 19, "P": 14, "D": 10, "T": 11} {
		for i := range n {
			want = append(want, fmt.Sprintf("%s-%02d", letter, i+1))
		}
	}
	scenarios, err := fs.Glob(os.DirFS(filepath.Join(root, "test/netfault/scenarios")), "ft-*.toml")
	if err != nil || len(scenarios) < 16 {
		t.Fatalf("%d scenarios, %v", len(scenarios), err)
	}
	for _, s := range scenarios {
		want = append(want, strings.ToUpper(strings.TrimSuffix(s, ".toml")))
	}
	for _, id := range want {
		if !seen[id] {
			t.Errorf("%s is not in %s", id, requirements)
		}
	}
}
