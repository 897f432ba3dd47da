package sdr

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
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
		for v := range g.Nodes() {
			p := g.Parents(v)
			for i, parent := range p {
				if i < BaseParents && v > 0 && uint64(parent) >= v || uint64(parent) >= g.Nodes() {
					t.Fatalf("node %d has parent %d at %d", v, parent, i)
				}
			}
			if v > 0 && p[0] != uint32(v-1) && p[BaseParents-1] != uint32(v-1) {
				t.Fatalf("node %d has not its predecessor: %v", v, p)
			}
		}
	}
}

// Layers made at once must have the labels made one by one.
func TestLabelsAreLabel(t *testing.T) {
	const nodes = 2*window + 8
	g := newGraph(t, nodes, registry.V1_1)
	id := fr32.Node{9}
	layers := [3][]byte{nil, make([]byte, nodes*32), make([]byte, nodes*32)}
	at := func(layer int, v uint32) fr32.Node { return fr32.Node(layers[layer][v*32:][:32]) }
	for layer := 1; layer <= 2; layer++ {
		told := int64(0)
		if err := g.Labels(context.Background(), id, layer, layers[layer-1], layers[layer], func(n int64) { told += n }); err != nil {
			t.Fatal(err)
		}
		if told != nodes {
			t.Errorf("progress of %d nodes", told)
		}
		for _, v := range []uint64{0, 1, 2, 77, window - 1, window, window + stride, nodes - 1} {
			var parents []fr32.Node
			for i, p := range g.Parents(v) {
				if i < BaseParents {
					parents = append(parents, at(layer, p))
				} else if layer > 1 {
					parents = append(parents, at(layer-1, p))
				}
			}
			if got, want := Label(id, layer, v, parents), at(layer, uint32(v)); got != want {
				t.Errorf("layer %d node %d: got %x, want %x", layer, v, got, want)
			}
		}
	}
	part := make([]byte, 100*32)
	if err := g.Labels(context.Background(), id, 2, layers[1], part, nil); err != nil || !bytes.Equal(part, layers[2][:len(part)]) {
		t.Errorf("the first labels alone differ (%v)", err)
	}
}

func TestLabelsRefuse(t *testing.T) {
	g := newGraph(t, 64, registry.V1_1)
	all := make([]byte, 64*32)
	for name, f := range map[string]func() error{
		"layer 0":        func() error { return g.Labels(context.Background(), fr32.Node{}, 0, nil, all, nil) },
		"no layer below": func() error { return g.Labels(context.Background(), fr32.Node{}, 2, nil, all, nil) },
		"too many":       func() error { return g.Labels(context.Background(), fr32.Node{}, 1, nil, make([]byte, 65*32), nil) },
	} {
		if f() == nil {
			t.Errorf("%s: was accepted", name)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := g.Labels(ctx, fr32.Node{}, 1, nil, all, nil); !errors.Is(err, context.Canceled) {
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
	const nodes = 1 << 16
	g := newGraph(b, nodes, registry.V1_1)
	first, second := make([]byte, nodes*32), make([]byte, nodes*32)
	for layer, labels := range [][2][]byte{{nil, first}, {first, second}} {
		b.Run([]string{"layer1", "layer2"}[layer], func(b *testing.B) {
			b.SetBytes(nodes * 32)
			for b.Loop() {
				if err := g.Labels(context.Background(), fr32.Node{1}, layer+1, labels[0], labels[1], nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	// What no label can be faster than.
	b.Run("sha256", func(b *testing.B) {
		b.SetBytes(nodes * 32)
		var p [labelBytes]byte
		for b.Loop() {
			for range nodes {
				sha256.Sum256(p[:])
			}
		}
	})
}

func BenchmarkParents(b *testing.B) {
	g := newGraph(b, 1<<18, registry.V1_1)
	v := uint64(0)
	for b.Loop() {
		v = uint64(g.Parents(v % (1 << 18))[7]) + v
	}
}
