package floors

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

var (
	inline = regexp.MustCompile("`([^`\n]+)`")
	// goName is a package's name and what it exports: store.Store.Offer.
	goName = regexp.MustCompile(`^[a-z][a-z0-9]*\.[A-Z]\w*(\.[A-Z]\w*)?$`)
	pathy  = regexp.MustCompile(`^[a-z][\w./-]*$`)
)

// quoted are the names in backquotes of ARCHITECTURE.md, code blocks left out.
func quoted(t *testing.T) []string {
	b, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i, part := range strings.Split(string(b), "\n```") {
		if i%2 == 1 {
			continue
		}
		for _, m := range inline.FindAllStringSubmatch(part, -1) {
			out = append(out, m[1])
		}
	}
	if len(out) < 100 {
		t.Fatalf("ARCHITECTURE.md has only %d names in backquotes", len(out))
	}
	return out
}

// parsed are the packages by folder, and what they declare: "store.Open", "store.Store.Offer".
func parsed(t *testing.T) (folders map[string]bool, names map[string]bool) {
	folders, names = map[string]bool{}, map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		if folder == "." { // deps.go lists modules, it is no package of the house
			return nil
		}
		folders[filepath.ToSlash(folder)] = true
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			for _, n := range declared(decl) {
				names[file.Name.Name+"."+n] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return folders, names
}

func declared(decl ast.Decl) []string {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			return []string{d.Name.Name}
		}
		typ := d.Recv.List[0].Type
		if star, ok := typ.(*ast.StarExpr); ok {
			typ = star.X
		}
		if generic, ok := typ.(*ast.IndexExpr); ok {
			typ = generic.X
		}
		if id, ok := typ.(*ast.Ident); ok {
			return []string{id.Name + "." + d.Name.Name}
		}
	case *ast.GenDecl:
		var out []string
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				out = append(out, s.Name.Name)
			case *ast.ValueSpec:
				for _, n := range s.Names {
					out = append(out, n.Name)
				}
			}
		}
		return out
	}
	return nil
}

// TestMapIsTrue: what ARCHITECTURE.md names in backquotes is there.
func TestMapIsTrue(t *testing.T) {
	_, names := parsed(t)
	for _, name := range quoted(t) {
		switch {
		case goName.MatchString(name):
			if !names[name] {
				t.Errorf("ARCHITECTURE.md names %s, which no package declares", name)
			}
		case pathy.MatchString(name) && (strings.Contains(name, "/") || strings.HasSuffix(name, ".go")):
			if _, err := os.Stat(filepath.Join(root, name)); err != nil {
				t.Errorf("ARCHITECTURE.md names %s, which is not in the repository", name)
			}
		}
	}
}

// TestMapIsWhole: ARCHITECTURE.md names every package.
func TestMapIsWhole(t *testing.T) {
	folders, _ := parsed(t)
	named := map[string]bool{}
	for _, name := range quoted(t) {
		named[name] = true
	}
	for folder := range folders {
		if !named[folder] {
			t.Errorf("ARCHITECTURE.md does not name the package %s", folder)
		}
	}
}

// TestPackagesSayWhatTheyAre: every package has a doc.go with a comment.
func TestPackagesSayWhatTheyAre(t *testing.T) {
	for _, dir := range packageDirs(t) {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, "doc.go"), nil, parser.ParseComments)
		if err != nil {
			t.Error(err)
		} else if f.Doc.Text() == "" {
			t.Errorf("%s/doc.go says nothing of the package", dir)
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)#:]+)\)`)

// TestLinksLead: the links between the documents lead somewhere.
func TestLinksLead(t *testing.T) {
	docs, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"} {
		docs = append(docs, filepath.Join(root, name))
	}
	found := 0
	for _, doc := range docs {
		b, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(b), -1) {
			found++
			if _, err := os.Stat(filepath.Join(filepath.Dir(doc), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", doc, m[1])
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d links found", found)
	}
}
