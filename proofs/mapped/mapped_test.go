//go:build unix

package mapped

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/registry"
	"github.com/lodenet/lode/proofs/sdr"
)

func newFile(t *testing.T, size int) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if _, err := f.Write(bytes.Repeat([]byte{7}, size)); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestMap(t *testing.T) {
	f := newFile(t, 100)
	m, err := Map(f, 10000)
	if err != nil {
		t.Fatal(err)
	}
	if b := m.Bytes(); len(b) != 10000 || b[99] != 7 || b[100] != 0 {
		t.Errorf("got %d bytes", len(b))
	}
	if _, err := f.WriteAt([]byte{9}, 9000); err != nil || m.Bytes()[9000] != 9 {
		t.Errorf("what is written is not seen (%v)", err)
	}
	for range 2 {
		if err := m.Close(); err != nil || m.Bytes() != nil {
			t.Errorf("close: %v", err)
		}
	}
	if m, err = Map(f, 50); err != nil || len(m.Bytes()) != 50 {
		t.Fatalf("a part: %v", err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if st, err := f.Stat(); err != nil || st.Size() != 10000 {
		t.Errorf("mapping a part leaves %d bytes, %v", st.Size(), err)
	}
	for _, size := range []int64{0, -1} {
		if _, err := Map(f, size); err == nil {
			t.Errorf("mapped %d bytes", size)
		}
	}
	r, err := os.Open(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := Map(r, 20000); err == nil {
		t.Error("a file open for reading was made longer")
	}
}

type layer struct {
	*os.File
	*Memory
}

func (l layer) Close() error { return l.File.Close() }

// A layer that is cut off while it is being read is an error, not the end of the program.
func TestLabelsOfALostFile(t *testing.T) {
	const nodes = 1 << 19 // too large to be done in memory
	g, err := sdr.NewGraph([32]byte{1}, nodes, registry.V1_1)
	if err != nil {
		t.Fatal(err)
	}
	open := func() layer {
		f := newFile(t, nodes*fr32.NodeBytes)
		m, err := Map(f, nodes*fr32.NodeBytes)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = m.Close() })
		return layer{f, m}
	}
	before, out := open(), open()
	if err := before.Truncate(int64(os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	err = g.Labels(context.Background(), fr32.Node{1}, 2, nodes, before, out, nil)
	if err == nil || !strings.Contains(err.Error(), "mapped layer") {
		t.Errorf("got %v", err)
	}
}
