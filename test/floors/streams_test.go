package floors

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
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

// TestP10EveryStreamIsBounded looks closer: each function that is given a stream, or opens one,
// sets its bound itself or calls a function of its package that does.
func TestP10EveryStreamIsBounded(t *testing.T) {
	found := 0
	for _, dir := range packageDirs(t) {
		at := filepath.ToSlash(dir)
		if strings.HasPrefix(at, "../../network/host") || strings.HasPrefix(at, "../../network/tunnel") || strings.HasPrefix(at, "../../test") {
			continue
		}
		funcs, err := streamFuncs(dir)
		if err != nil {
			t.Fatal(err)
		}
		for name, f := range funcs {
			if !f.streams {
				continue
			}
			found++
			if !bounded(funcs, name, map[string]bool{}) {
				t.Errorf("%s: %s has a stream and no time limit: use host.Bound or deadlines", dir, name)
			}
		}
	}
	if found < 12 {
		t.Errorf("only %d functions with streams were found; has the check lost its way?", found)
	}
}

// streamFunc is what the check knows of a function.
type streamFunc struct {
	streams bool // it is given a stream or opens one
	bounds  bool
	calls   []string
}

func bounded(funcs map[string]*streamFunc, name string, seen map[string]bool) bool {
	f, ok := funcs[name]
	if !ok || seen[name] {
		return false
	}
	seen[name] = true
	return f.bounds || slices.ContainsFunc(f.calls, func(c string) bool { return bounded(funcs, c, seen) })
}

// streamFuncs are the functions of a folder but its tests', by name.
func streamFuncs(dir string) (map[string]*streamFunc, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	out := map[string]*streamFunc{}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return nil, err
		}
		for _, d := range parsed.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
				f := out[fn.Name.Name]
				if f == nil {
					f = &streamFunc{}
					out[fn.Name.Name] = f
				}
				f.read(fn)
			}
		}
	}
	return out, nil
}

// read notes a function's parameters and calls.
func (f *streamFunc) read(fn *ast.FuncDecl) {
	for _, p := range fn.Type.Params.List {
		if sel, ok := p.Type.(*ast.SelectorExpr); ok && sel.Sel.Name == "Stream" {
			f.streams = true
		}
	}
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch callee := call.Fun.(type) {
		case *ast.Ident:
			f.calls = append(f.calls, callee.Name)
		case *ast.SelectorExpr:
			switch name := callee.Sel.Name; name {
			case "NewStream":
				f.streams = true
			case "Bound", "SetDeadline", "SetReadDeadline":
				f.bounds = true
			default:
				f.calls = append(f.calls, name)
			}
		}
		return true
	})
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
