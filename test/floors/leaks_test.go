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

// TestL07EveryPackageLooksForLeaks wants a leak check in the TestMain of every package that
// starts goroutines: by a go statement, or by the Go method of a group (spec network.md
// L-07).
//
// spared has the packages whose goroutines cannot outlive a call.
func TestL07EveryPackageLooksForLeaks(t *testing.T) {
	spared := map[string]string{
		"cmd/lode":                 "its end is the end of the process",
		"proofs/internal/parallel": "it waits for them before it returns, as the tests of its users see",
		"test/minichain":           "a chain for tests, which look for leaks themselves",
	}
	starts, checks := map[string]string{}, map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (name == "testdata" || strings.HasPrefix(name, ".") && path != root) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		folder := filepath.ToSlash(rel)
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		isTest := strings.HasSuffix(name, "_test.go")
		ast.Inspect(f, func(n ast.Node) bool {
			at := token.NoPos
			switch n := n.(type) {
			case *ast.GoStmt:
				at = n.Pos()
			case *ast.CallExpr:
				s, ok := n.Fun.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "goleak" && isTest {
					checks[folder] = true
				}
				if s.Sel.Name == "Go" && len(n.Args) == 1 {
					at = n.Pos()
				}
			}
			if at.IsValid() && !isTest && starts[folder] == "" {
				starts[folder] = files.Position(at).String()
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(starts) < 20 {
		t.Errorf("only %d packages start goroutines", len(starts))
	}
	for folder, at := range starts {
		if _, ok := spared[folder]; !checks[folder] && !ok {
			t.Errorf("%s starts a goroutine (%s), and no test of it looks for leaks: call goleak.VerifyTestMain", folder, at)
		}
	}
}
