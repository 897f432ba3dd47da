package peers

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lodenet/lode/network/host/hosttest"
)

// A dropped peer hears why, and one that heard "full" does not come back at once.
func TestP11Goodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 4, 10*time.Millisecond)
		hosttest.Listen(t, hosts...)
		a := manager(hosts[0], newNod(hosts[0], 1), Options{MaxPeers: 1, MaxGuests: 3})
		run(t, a)
		b := manager(hosts[1], newNod(hosts[1], 1), Options{Threshold: 1})
		run(t, b)
		hosttest.Connect(t, hosts[0], hosts[1])
		time.Sleep(2 * time.Second)
		if len(a.ReadyPeers()) != 1 {
			t.Fatalf("peers %+v", a.Peers())
		}
		c := manager(hosts[2], newNod(hosts[2], 1), Options{})
		run(t, c)
		if err := c.AddBootstrap(hosttest.Info(hosts[0])); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if n := c.Goodbyes()[ReasonTooMany]; n != 1 {
			t.Errorf("goodbyes %v", c.Goodbyes())
		}
		a.Disconnect(hosts[1].ID())
		time.Sleep(500 * time.Millisecond)
		if n := b.Goodbyes()[ReasonRequested]; n != 1 {
			t.Errorf("goodbyes %v", b.Goodbyes())
		}
	})
}

func TestP11EveryReasonHasACode(t *testing.T) {
	for _, r := range reasons(t) {
		if _, ok := reasonCodes[r]; !ok {
			t.Errorf("%s has no code", r)
		}
	}
	seen := make(map[uint64]Reason)
	for r, code := range reasonCodes {
		if other, ok := seen[code]; ok {
			t.Errorf("%s and %s have the same code", r, other)
		}
		seen[code] = r
		frame, err := encodeGoodbye(r, strings.Repeat("x", 500))
		if err != nil {
			t.Fatal(err)
		}
		if got, intro, err := decodeFrame(bytes.NewReader(frame)); err != nil || got != r || intro != nil || len(frame) > frameBytes {
			t.Errorf("%s came back as %s, %v, %v", r, got, intro, err)
		}
	}
	if r := reasonOf(9999); r != "unknown" {
		t.Errorf("an unknown code is %s", r)
	}
}

// reasons are the constants of type Reason in this package's source.
func reasons(t *testing.T) (out []Reason) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), f, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || len(v.Values) != 1 {
				return true
			}
			kind, named := v.Type.(*ast.Ident)
			if text, ok := v.Values[0].(*ast.BasicLit); ok && named && kind.Name == "Reason" {
				r, err := strconv.Unquote(text.Value)
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, Reason(r))
			}
			return true
		})
	}
	if len(out) < 10 {
		t.Errorf("only %d reasons were found: %v", len(out), out)
	}
	return out
}
