package floors

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestRaceScript: packages in which the race detector itself failed are tested once more, and
// no other failure is forgiven.
func TestRaceScript(t *testing.T) {
	const (
		crash = "ThreadSanitizer: CHECK failed: tsan_rtl.cpp:346\n"
		okA   = "ok  \tx/a\t1s\n"
		badB  = "FAIL\tx/b\t1s\n"
	)
	for name, c := range map[string]struct {
		first, second string // what the command prints; the second empty when it must not run
		again         string // what it is asked for then
		good          bool
	}{
		"all pass":                    {okA + "ok  \tx/b\t1s\n", "", "", true},
		"a test fails":                {okA + "--- FAIL: TestX (0.1s)\n" + badB + "FAIL\n", "", "", false},
		"it does not build":           {okA + "FAIL\tx/b [build failed]\nFAIL\n", "", "", false},
		"the detector fails":          {crash + badB + okA + "FAIL\n", "ok  \tx/b\t1s\n", "x/b", true},
		"it fails twice":              {crash + badB + okA + "FAIL\n", crash + badB, "x/b", false},
		"it fails after a test":       {"    --- FAIL: TestX/y (0.1s)\n" + crash + badB + okA + "FAIL\n", "", "", false},
		"it fails after a race":       {"WARNING: DATA RACE\n" + crash + badB + okA + "FAIL\n", "", "", false},
		"it fails after a panic":      {"panic: x\n" + crash + badB + okA + "FAIL\n", "", "", false},
		"in two packages":             {crash + badB + crash + "FAIL\tx/c\t1s\nFAIL\n", "ok  \tx/b\t1s\n", "x/b x/c", true},
		"beside another that fails":   {crash + badB + "FAIL\tx/c\t1s\nFAIL\n", "", "", false},
		"beside a panic":              {crash + badB + "panic: x\nFAIL\tx/c\t1s\nFAIL\n", "", "", false},
		"the command ends for itself": {"cannot\n", "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range map[string]string{"1": c.first, "2": c.second} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			// The command notes what it was asked for, and fails unless all is ok.
			fake := `echo "$@" >>asked; f=$(wc -l <asked); cat $f; ! grep -qv "^ok" $f`
			cmd := exec.CommandContext(t.Context(), "bash", script(t), "bash", "-c", fake, "fake", "--", "x/a", "x/b")
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if (err == nil) != c.good {
				t.Errorf("it ended with %v:\n%s", err, out)
			}
			asked, err := os.ReadFile(filepath.Join(dir, "asked"))
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(string(asked)), "\n")
			if second := strings.Join(lines[1:], "; "); second != c.again {
				t.Errorf("asked again for %q, want %q", second, c.again)
			}
		})
	}
}

func script(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../race.sh")
	if err != nil {
		t.Fatal(err)
	}
	return path
}
