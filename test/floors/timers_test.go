package floors

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestL09NoBareTimers keeps sleeps out of the program, and timers that nobody can stop:
// time.Sleep, time.After and time.Tick. Time comes from the clock that a part was given, or
// from a timer that its owner stops (spec network.md L-09).
//
// spared has the exceptions: each is bounded, and there is no clock or context yet.
func TestL09NoBareTimers(t *testing.T) {
	const root = "../.."
	spared := map[string]bool{
		"repo/lock.go": true, // waits for the kernel to clear away a process that was killed
	}
	seen := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (name == "test" || strings.HasPrefix(name, ".") && path != root) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		if rel, err := filepath.Rel(root, path); err != nil || spared[filepath.ToSlash(rel)] {
			return err
		}
		seen++
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := s.X.(*ast.Ident); ok && pkg.Name == "time" && (s.Sel.Name == "Sleep" || s.Sel.Name == "After" || s.Sel.Name == "Tick") {
				t.Errorf("%s: time.%s; use clock.Sleep, or a timer that is stopped", files.Position(s.Pos()), s.Sel.Name)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 100 {
		t.Errorf("only %d files were read", seen)
	}
}
