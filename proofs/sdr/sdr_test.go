package sdr

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"testing"

	"go.uber.org/goleak"

	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newGraph(t testing.TB, nodes uint64, v registry.Version) *Graph {
	t.Helper()
	g, err := NewGraph([32]byte{5}, nodes, v)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestPermutationIsOne(t *testing.T) {
	for _, n := range []uint64{2, 3, 16, 17, 64, 500, 4096} {
		f := newFeistel(n, [3]uint64{1, 2, 3})
		fast := f.tabulated()
		seen := map[uint64]bool{}
		for i := range n {
			x := f.permute(i)
			if x >= n || seen[x] {
				t.Fatalf("n %d: %d becomes %d", n, i, x)
			}
			if y := fast.permute(i); y != x {
				t.Fatalf("n %d: %d becomes %d, and %d with tables", n, i, x, y)
			}
			seen[x] = true
		}
	}
}

func TestParentsAreBelow(t *testing.T) {
	for _, version := range []registry.Version{registry.V1_0, registry.V1_1, registry.V1_2} {
		g := newGraph(t, 4096, version)
		for v := range g.nodes {
			p := g.Parents(v)
			for i, parent := range p {
				if i < BaseParents && v > 0 && uint64(parent) >= v || uint64(parent) >= g.nodes {
					t.Fatalf("node %d has parent %d at %d", v, parent, i)
				}
			}
			if v > 0 && p[0] != uint32(v-1) && p[BaseParents-1] != uint32(v-1) {
				t.Fatalf("node %d has not its predecessor: %v", v, p)
			}
		}
	}
}

// layerFile is a layer in memory. Its size is fixed, so that ranges that do not meet can be
// read and written at once.
type layerFile []byte

func (f layerFile) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > int64(len(f)) {
		return 0, io.EOF
	}
	return copy(p, f[off:]), nil
}

func (f layerFile) WriteAt(p []byte, off int64) (int, error) { return copy(f[off:], p), nil }

// mappedLayer gives its memory besides.
type mappedLayer struct{ layerFile }

func (f mappedLayer) Bytes() []byte { return f.layerFile }

// Layers made at once must have the labels made one by one, from files and from memory.
func TestLabelsAreLabel(t *testing.T) {
	const nodes = tableNodes + 21*windowNodes + 8 // no table, and more windows than are ever filled ahead
	g := newGraph(t, nodes, registry.V1_1)
	id := fr32.Node{9}
	layers := [3]layerFile{nil, make(layerFile, nodes*32), make(layerFile, nodes*32)}
	at := func(layer int, v uint32) fr32.Node { return fr32.Node(layers[layer][v*32:][:32]) }
	for layer := 1; layer <= 2; layer++ {
		told := int64(0)
		if err := g.Labels(context.Background(), id, layer, nodes, layers[layer-1], layers[layer], func(n int64) { told += n }); err != nil {
			t.Fatal(err)
		}
		if told != nodes {
			t.Errorf("progress of %d nodes", told)
		}
		for v := uint64(0); v < nodes; v += 1 + v/100 {
			var parents []fr32.Node
			for i, p := range g.Parents(v) {
				if i < BaseParents {
					parents = append(parents, at(layer, p))
				} else if layer > 1 {
					parents = append(parents, at(layer-1, p))
				}
			}
			if got, want := Label(id, layer, v, parents), at(layer, uint32(v)); got != want {
				t.Fatalf("layer %d node %d: got %x, want %x", layer, v, got, want)
			}
		}
	}
	mapped := mappedLayer{make(layerFile, nodes*32)}
	if err := g.Labels(context.Background(), id, 2, nodes, mappedLayer{layers[1]}, mapped, nil); err != nil || !bytes.Equal(mapped.layerFile, layers[2]) {
		t.Errorf("the labels differ with memory (%v)", err)
	}
	part := make(layerFile, 100*32)
	if err := g.Labels(context.Background(), id, 2, 100, layers[1], part, nil); err != nil || !bytes.Equal(part, layers[2][:len(part)]) {
		t.Errorf("the first labels alone differ (%v)", err)
	}
}

// A small layer must have the labels made one by one, too.
func TestSmallLabelsAreLabel(t *testing.T) {
	const nodes = 2*windowNodes + 40
	for _, version := range []registry.Version{registry.V1_0, registry.V1_1} {
		g := newGraph(t, nodes, version)
		one, two := make(layerFile, nodes*32), make(layerFile, nodes*32)
		for layer, out := range []layerFile{one, two} {
			if err := g.Labels(context.Background(), fr32.Node{4}, layer+1, nodes, one, out, nil); err != nil {
				t.Fatal(err)
			}
			for v := range uint64(nodes) {
				var parents []fr32.Node
				for i, p := range g.Parents(v) {
					if i < BaseParents {
						parents = append(parents, fr32.Node(out[p*32:]))
					} else if layer > 0 {
						parents = append(parents, fr32.Node(one[p*32:]))
					}
				}
				if got, want := Label(fr32.Node{4}, layer+1, v, parents), fr32.Node(out[v*32:]); got != want {
					t.Fatalf("version %d layer %d node %d: got %x, want %x", version, layer+1, v, got, want)
				}
			}
		}
		if err := g.Labels(context.Background(), fr32.Node{4}, 2, nodes, one[:len(one)-1], two, nil); err == nil {
			t.Error("a short layer before was accepted")
		}
	}
}

// broken fails from a place on, in reading or in writing.
type broken struct {
	layerFile
	read, write int64
}

var errBroken = errors.New("broken")

func (f broken) ReadAt(p []byte, off int64) (int, error) {
	if f.read > 0 && off >= f.read {
		return 0, errBroken
	}
	return f.layerFile.ReadAt(p, off)
}

func (f broken) WriteAt(p []byte, off int64) (int, error) {
	if f.write > 0 && off >= f.write {
		return 0, errBroken
	}
	return f.layerFile.WriteAt(p, off)
}

func TestLabelsTellOfErrors(t *testing.T) {
	const nodes = tableNodes + 8
	g := newGraph(t, nodes, registry.V1_1)
	whole := make(layerFile, nodes*32)
	for name, c := range map[string][2]broken{
		"write":             {{}, {write: 5 * windowNodes * 32}},
		"read":              {{}, {read: 7 * windowNodes * 32}},
		"read layer before": {{read: 9 * windowNodes * 32}, {}},
		"both":              {{read: 1}, {write: 1}},
	} {
		c[0].layerFile, c[1].layerFile = whole, make(layerFile, nodes*32)
		if err := g.Labels(context.Background(), fr32.Node{1}, 2, nodes, c[0], c[1], nil); !errors.Is(err, errBroken) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	told := 0
	err := g.Labels(ctx, fr32.Node{1}, 1, nodes, nil, make(layerFile, nodes*32), func(int64) {
		if told++; told == 4 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || told > 6 {
		t.Errorf("cancelled: got %v after %d windows", err, told)
	}
}

func TestLabelsRefuse(t *testing.T) {
	g := newGraph(t, 64, registry.V1_1)
	all := make(layerFile, 64*32)
	for name, f := range map[string]func() error{
		"layer 0":        func() error { return g.Labels(context.Background(), fr32.Node{}, 0, 64, nil, all, nil) },
		"no layer below": func() error { return g.Labels(context.Background(), fr32.Node{}, 2, 64, nil, all, nil) },
		"too many":       func() error { return g.Labels(context.Background(), fr32.Node{}, 1, 65, nil, all, nil) },
	} {
		if f() == nil {
			t.Errorf("%s: was accepted", name)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := g.Labels(ctx, fr32.Node{}, 1, 64, nil, all, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	for _, nodes := range []uint64{0, 1, maxNodes + 1} {
		if _, err := NewGraph([32]byte{}, nodes, registry.V1_1); err == nil {
			t.Errorf("a graph of %d nodes", nodes)
		}
	}
}

func TestEncode(t *testing.T) {
	data, label := fr32.Node{1, 2, 31: 0x3f}, fr32.Node{7, 31: 0x3f}
	sealed, err := Encode(&data, &label)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := Decode(&sealed, &label); err != nil || back != data {
		t.Errorf("got %x, %v, want %x", back, err, data)
	}
	over := fr32.Node{31: 0x74}
	if _, err := Encode(&over, &label); !errors.Is(err, fr32.ErrNotCanonical) {
		t.Errorf("data above the modulus: got %v", err)
	}
	if _, err := Decode(&sealed, &over); !errors.Is(err, fr32.ErrNotCanonical) {
		t.Errorf("a label above the modulus: got %v", err)
	}
}

func BenchmarkLabels(b *testing.B) {
	for _, nodes := range []uint64{1 << 16, 1 << 20} {
		b.Run(fmt.Sprint(nodes), func(b *testing.B) { benchmarkLabels(b, nodes) })
	}
}

func benchmarkLabels(b *testing.B, nodes uint64) {
	g := newGraph(b, nodes, registry.V1_1)
	if err := g.Labels(context.Background(), fr32.Node{1}, 1, 1, nil, make(layerFile, 32), nil); err != nil {
		b.Fatal(err) // this makes the table
	}
	first, second := mappedLayer{make(layerFile, nodes*32)}, mappedLayer{make(layerFile, nodes*32)}
	for layer, out := range []mappedLayer{first, second} {
		b.Run([]string{"layer1", "layer2"}[layer], func(b *testing.B) {
			b.SetBytes(int64(nodes) * labelBytes)
			for b.Loop() {
				if err := g.Labels(context.Background(), fr32.Node{1}, layer+1, nodes, first, out, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	// What no label can be faster than.
	b.Run("sha256", func(b *testing.B) {
		b.SetBytes(int64(nodes) * labelBytes)
		var p [labelBytes]byte
		for b.Loop() {
			for range nodes {
				sha256.Sum256(p[:])
			}
		}
	})
}

func BenchmarkParents(b *testing.B) {
	g := newGraph(b, 1<<24, registry.V1_1)
	f := g.feistel.tabulated()
	v := uint64(0)
	for b.Loop() {
		var p [Parents]uint32
		g.base(v, p[:BaseParents])
		g.expander(f, v, p[BaseParents:])
		v = (uint64(p[7]) + v) % (1 << 24)
	}
}

// Fetching ahead changes nothing and reads nothing, whatever it is asked for.
func TestPrefetch(t *testing.T) {
	labels := make([]byte, 64)
	prefetch(labels, nil)
	prefetch(labels, []uint32{0, 1, 2, 1 << 31, 1<<32 - 1})
	prefetch(nil, []uint32{0, 1<<32 - 1})
}
