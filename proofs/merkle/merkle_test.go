package merkle

import (
	"bytes"
	"context"
	"crypto/sha256"
	bin "encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/lodenet/lode/proofs/fr32"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// buffer is a file in memory.
type buffer struct {
	mu sync.Mutex
	b  []byte
}

func (f *buffer) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return bytes.NewReader(f.b).ReadAt(p, off)
}

func (f *buffer) WriteAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if end := int(off) + len(p); end > len(f.b) {
		f.b = append(f.b, make([]byte, end-len(f.b))...)
	}
	return copy(f.b[off:], p), nil
}

func sample(n int) []Node {
	nodes := make([]Node, n)
	for i := range nodes {
		nodes[i] = sha256.Sum256(bin.LittleEndian.AppendUint64(nil, uint64(i)))
		fr32.Trim(&nodes[i])
	}
	return nodes
}

func raw(nodes []Node) (b []byte) {
	for _, n := range nodes {
		b = append(b, n[:]...)
	}
	return b
}

// allRows is the slow model: every row of a full tree, one hash at a time.
func allRows(t *testing.T, arity int, leaves []Node) [][]Node {
	t.Helper()
	rows := [][]Node{leaves}
	for row := leaves; len(row) > 1; rows = append(rows, row) {
		var up []Node
		for ; len(row) > 0; row = row[arity:] {
			var n Node
			if arity == 2 {
				n = Pair(&row[0], &row[1])
			} else {
				var err error
				if n, err = HashNodes(row[:arity]); err != nil {
					t.Fatal(err)
				}
			}
			up = append(up, n)
		}
		row = up
	}
	return rows
}

func TestLayouts(t *testing.T) {
	for _, c := range []struct {
		name    string
		make    func(uint64) (Layout, error)
		arity   int
		leaves  uint64
		omitted int
	}{
		{"data/1", DataTree, 2, 1, 0},
		{"data/2", DataTree, 2, 2, 0},
		{"data/64", DataTree, 2, 64, 0},
		{"data/16384", DataTree, 2, 16384, 0},
		{"column/8", ColumnTree, 8, 8, 0},
		{"column/512", ColumnTree, 8, 512, 0},
		{"column/32768", ColumnTree, 8, 32768, 0},
		{"replica/1", ReplicaTree, 8, 1, 0},
		{"replica/8", ReplicaTree, 8, 8, 1},
		{"replica/64", ReplicaTree, 8, 64, 2},
		{"replica/512", ReplicaTree, 8, 512, 3},
		{"replica/4096", ReplicaTree, 8, 4096, 3},
		{"replica/32768", ReplicaTree, 8, 32768, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := c.make(c.leaves)
			if err != nil {
				t.Fatal(err)
			}
			nodes := sample(int(c.leaves))
			rows := allRows(t, c.arity, nodes)
			var want []byte
			for _, row := range rows[c.omitted:] {
				want = append(want, raw(row)...)
			}

			file, leaves, told := &buffer{}, bytes.NewReader(raw(nodes)), int64(0)
			root, err := l.Build(context.Background(), leaves, file, func(n int64) { told += n })
			if err != nil {
				t.Fatal(err)
			}
			if root != rows[len(rows)-1][0] || !bytes.Equal(file.b, want) || l.Size() != int64(len(want)) {
				t.Fatalf("got root %x and %d bytes, want %x and %d", root, len(file.b), rows[len(rows)-1][0], len(want))
			}
			if told != int64(c.leaves) {
				t.Errorf("progress of %d leaves, want %d", told, c.leaves)
			}
			if got, err := l.Root(file); err != nil || got != root {
				t.Errorf("read root %x, %v", got, err)
			}
			for _, i := range []uint64{0, 1, c.leaves / 3, c.leaves - 1} {
				if i >= c.leaves {
					continue
				}
				p, err := l.Path(leaves, file, i)
				if err != nil {
					t.Fatal(err)
				}
				climb := func() (Node, error) { return p.Root(Shape{Base: 8}, c.leaves) }
				if c.arity == 2 {
					climb = func() (Node, error) { return p.DataRoot(c.leaves) }
				}
				if got, err := climb(); err != nil || got != root || p.Index() != i || p.Leaf != nodes[i] {
					t.Errorf("path %d: root %x index %d, %v", i, got, p.Index(), err)
				}
			}
			if _, err := l.Path(leaves, file, c.leaves); err == nil {
				t.Error("a path of a leaf that is not there")
			}
		})
	}
}

func TestTreeShapes(t *testing.T) {
	for _, s := range []Shape{{8, 0, 0}, {8, 2, 0}, {8, 8, 0}, {8, 8, 2}} {
		t.Run(s.String(), func(t *testing.T) {
			n := s.BaseTrees()
			nodes := sample(64 * n)
			var bases []Base
			var roots []Node
			for i := range n {
				l, err := ReplicaTree(64)
				if err != nil {
					t.Fatal(err)
				}
				file, leaves := &buffer{}, bytes.NewReader(raw(nodes[64*i:64*i+64]))
				root, err := l.Build(context.Background(), leaves, file, nil)
				if err != nil {
					t.Fatal(err)
				}
				roots = append(roots, root)
				bases = append(bases, Base{Layout: l, File: file, Leaves: leaves})
			}
			tree, err := OpenTree(s, uint64(len(nodes)), bases)
			if err != nil {
				t.Fatal(err)
			}
			if root, err := s.Join(roots); err != nil || root != tree.Root() {
				t.Fatalf("joined %x, %v; read %x", root, err, tree.Root())
			}
			for i := range nodes {
				p, err := tree.Path(uint64(i))
				if err != nil {
					t.Fatal(err)
				}
				if p.Index() != uint64(i) || p.Leaf != nodes[i] {
					t.Fatalf("path %d is of %d", i, p.Index())
				}
				if i%37 != 0 {
					continue
				}
				root, err := p.Root(s, uint64(len(nodes)))
				if err != nil || root != tree.Root() {
					t.Fatalf("path %d: root %x, %v", i, root, err)
				}
				p.Elements[len(p.Elements)-1].Siblings[0][0] ^= 1
				if root, err := p.Root(s, uint64(len(nodes))); err == nil && root == tree.Root() {
					t.Errorf("path %d: a changed sibling gives the same root", i)
				}
			}
			if _, err := OpenTree(s, uint64(len(nodes))*8, bases); err == nil {
				t.Error("base trees of another size were accepted")
			}
		})
	}
}

func TestPathRefuses(t *testing.T) {
	l, _ := DataTree(8)
	file := &buffer{}
	if _, err := l.Build(context.Background(), bytes.NewReader(raw(sample(8))), file, nil); err != nil {
		t.Fatal(err)
	}
	p, err := l.Path(nil, file, 5)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Path){
		"too short":         func(p *Path) { p.Elements = p.Elements[:2] },
		"too long":          func(p *Path) { p.Elements = append(p.Elements, p.Elements[0]) },
		"no sibling":        func(p *Path) { p.Elements[1].Siblings = nil },
		"siblings of eight": func(p *Path) { p.Elements[1].Siblings = make([]Node, 7) },
		"position 2":        func(p *Path) { p.Elements[1].Position = 2 },
		"position 255":      func(p *Path) { p.Elements[0].Position = 255 },
	} {
		q := Path{Leaf: p.Leaf, Elements: append([]Element(nil), p.Elements...)}
		change(&q)
		if _, err := q.DataRoot(8); err == nil {
			t.Errorf("%s: was accepted", name)
		}
	}
	wide := Path{Elements: []Element{{Siblings: make([]Node, 7)}}}
	for i := range wide.Elements[0].Siblings {
		wide.Elements[0].Siblings[i] = Node{31: 0xff}
	}
	if _, err := wide.Root(Shape{Base: 8}, 8); !errors.Is(err, fr32.ErrNotCanonical) {
		t.Errorf("a sibling above the modulus: got %v", err)
	}
}

func TestShapesRefuse(t *testing.T) {
	for _, c := range []struct {
		shape  Shape
		leaves uint64
	}{
		{Shape{}, 8}, {Shape{Base: 2}, 8}, {Shape{8, 3, 0}, 64 * 3}, {Shape{8, 8, 3}, 64},
		{Shape{Base: 8}, 0}, {Shape{Base: 8}, 16}, {Shape{8, 8, 0}, 65}, {Shape{8, 8, 0}, 4}, {Shape{8, 2, 0}, 64},
	} {
		if a, err := c.shape.Arities(c.leaves); err == nil {
			t.Errorf("%v over %d leaves: got %v", c.shape, c.leaves, a)
		}
	}
	for _, leaves := range []uint64{0, 3, 1 << 40 * 3} {
		if _, err := DataTree(leaves); err == nil {
			t.Errorf("a data tree of %d leaves", leaves)
		}
	}
}

func TestBuildFails(t *testing.T) {
	l, _ := DataTree(1 << 14)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := l.Build(ctx, bytes.NewReader(raw(sample(1<<14))), &buffer{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	if _, err := l.Build(context.Background(), bytes.NewReader(nil), &buffer{}, nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("no leaves: got %v", err)
	}
	c, _ := ColumnTree(8)
	over := bytes.Repeat([]byte{0xff}, 8*32)
	if _, err := c.Build(context.Background(), bytes.NewReader(over), &buffer{}, nil); !errors.Is(err, fr32.ErrNotCanonical) {
		t.Errorf("leaves above the modulus: got %v", err)
	}
}

func TestHashPairsIsPair(t *testing.T) {
	for _, n := range []int{2, 4, 6, 16, 30, 34, 128, 1022} {
		src := sample(n)
		dst := make([]Node, n/2)
		if err := HashPairs(dst, src); err != nil {
			t.Fatal(err)
		}
		for i := range dst {
			if want := Pair(&src[2*i], &src[2*i+1]); dst[i] != want {
				t.Fatalf("%d nodes, pair %d: got %x, want %x", n, i, dst[i], want)
			}
		}
		if err := HashPairs(src, src); err != nil {
			t.Fatal(err)
		}
		for i := range dst {
			if src[i] != dst[i] {
				t.Fatalf("%d nodes in place, pair %d: got %x, want %x", n, i, src[i], dst[i])
			}
		}
	}
	if err := HashPairs(make([]Node, 2), make([]Node, 3)); err == nil {
		t.Error("three nodes were accepted")
	}
	if err := HashPairs(make([]Node, 1), make([]Node, 4)); err == nil {
		t.Error("too short a result was accepted")
	}
}

func BenchmarkPairs(b *testing.B) {
	src := sample(4096)
	dst := make([]Node, 2048)
	for _, c := range []struct {
		name string
		run  func()
	}{
		{"HashPairs", func() { _ = HashPairs(dst, src) }},
		{"Pair", func() {
			for i := range dst {
				dst[i] = Pair(&src[2*i], &src[2*i+1])
			}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(src)) * fr32.NodeBytes)
			for b.Loop() {
				c.run()
			}
		})
	}
}

func BenchmarkReplicaTree(b *testing.B) {
	const leaves = 1 << 15
	l, err := ReplicaTree(leaves)
	if err != nil {
		b.Fatal(err)
	}
	data := raw(sample(leaves))
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := l.Build(context.Background(), bytes.NewReader(data), &buffer{}, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleShape_String() {
	fmt.Println(Shape{8, 8, 2})
	// Output: 8-8-2
}
