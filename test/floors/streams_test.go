package floors

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestP10StreamsAreBounded holds packages that serve or open streams of their own to ending
// every stream in time (spec network.md P-10): by the context, through host.Bound, or by
// deadlines. The tunnels are left out: a connection that they carry lasts as long as its two
// ends want, and how many there are is bounded instead (T-04). So is the host, whose Serve
// leaves the time to the handlers.
func TestP10StreamsAreBounded(t *testing.T) {
	serves := []string{".SetStreamHandler(", ".SetStreamHandlerMatch(", "host.Serve("}
	bounds := []string{"host.Bound(", ".SetDeadline(", ".SetReadDeadline(", "deal.Answer("} // the last sets deadlines itself
	spared := func(dir string) bool {
		return dir == "../../network/host" || strings.HasPrefix(dir, "../../network/tunnel")
	}
	found := 0
	for _, dir := range packageDirs(t) {
		text := source(t, dir)
		if !containsAny(text, serves) || spared(filepath.ToSlash(dir)) {
			continue
		}
		found++
		if !containsAny(text, bounds) {
			t.Errorf("%s answers streams without a time limit: use host.Bound or deadlines", dir)
		}
	}
	if found < 6 {
		t.Errorf("only %d packages that answer streams were found; has the check lost its way?", found)
	}
}

func containsAny(text string, words []string) bool {
	for _, w := range words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

// packageDirs are the folders of the repository that have Go files.
func packageDirs(t *testing.T) []string {
	t.Helper()
	seen := map[string]bool{}
	var out []string
	err := filepath.WalkDir("../..", func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if dir := filepath.Dir(path); strings.HasSuffix(path, ".go") && !seen[dir] {
			seen[dir] = true
			out = append(out, dir)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// source is all Go text of a folder but tests.
func source(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(text)
	}
	return b.String()
}
