package porep

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"strings"
	"testing"

	"github.com/lodenet/lode/proofs/registry"
)

var errCrash = errors.New("the power is gone")

// disk is files of which those that were not kept are lost in a crash.
type disk struct {
	kept, fresh map[string]*memFile
	left        int // operations until the crash; below 0 there is none
	created     []string
}

func newDisk() *disk {
	return &disk{kept: map[string]*memFile{}, fresh: map[string]*memFile{}, left: -1}
}

// restarted is what is there after a crash, and crashes again after so many operations.
func (d *disk) restarted(left int) *disk {
	return &disk{kept: maps.Clone(d.kept), fresh: map[string]*memFile{}, left: left}
}

func (d *disk) operation() error {
	if d.left == 0 {
		return errCrash
	}
	d.left--
	return nil
}

func (d *disk) Create(name string) (File, error) {
	if err := d.operation(); err != nil {
		return nil, err
	}
	d.created = append(d.created, name)
	d.fresh[name] = &memFile{}
	return crashFile{d.fresh[name], d}, nil
}

func (d *disk) Open(name string) (File, error) {
	if f := d.fresh[name]; f != nil {
		return f, nil
	}
	if f := d.kept[name]; f != nil {
		return f, nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (d *disk) Keep(name string) error {
	if err := d.operation(); err != nil {
		return err
	}
	d.kept[name] = d.fresh[name]
	delete(d.fresh, name)
	return nil
}

// layers is how many layers were made since the last crash.
func (d *disk) layers() (n int) {
	for _, name := range d.created {
		if strings.HasPrefix(name, "sc-02-data-layer-") {
			n++
		}
	}
	return n
}

// crashFile fails after the crash. Trees are written by several goroutines, but here by one:
// a sector of 2 KiB is one chunk.
type crashFile struct {
	*memFile
	d *disk
}

func (f crashFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.d.operation(); err != nil {
		return 0, err
	}
	return f.memFile.WriteAt(p, off)
}

// manyLayers is a sector of 2 KiB with as many layers as a large one.
func manyLayers(t *testing.T) (*sector, *disk) {
	t.Helper()
	seal, err := registry.SealOf(task.Proof)
	if err != nil {
		t.Fatal(err)
	}
	seal.Layers = 11
	_, data, commD := filled(t, task.Proof)
	s, err := sectorOf(seal, task, commD)
	if err != nil {
		t.Fatal(err)
	}
	d := newDisk()
	d.kept[Unsealed] = &memFile{data: data}
	return s, d
}

// Label is stopped at every operation: run again it makes the same layers, and no whole one
// for a second time.
func TestLabelResumes(t *testing.T) {
	ctx := context.Background()
	s, start := manyLayers(t)
	want := start.restarted(-1)
	if err := s.labelSector(ctx, want, nil); err != nil {
		t.Fatal(err)
	}
	if want.layers() != s.Layers {
		t.Fatalf("%d layers", want.layers())
	}
	for stop := 0; ; stop++ {
		d := start.restarted(stop)
		err := s.labelSector(ctx, d, nil)
		if err == nil {
			if stop < 5*s.Layers { // each is created, written and kept, and so is the journal
				t.Errorf("only %d operations", stop)
			}
			break
		}
		if !errors.Is(err, errCrash) {
			t.Fatalf("stopped at %d: %v", stop, err)
		}
		made := d.layers()
		again := d.restarted(-1)
		report, check := progress(t)
		if err := s.labelSector(ctx, again, report); err != nil {
			t.Fatalf("after a stop at %d: %v", stop, err)
		}
		check()
		// The layer that was in work, and one that was kept but not yet noted down, are made again.
		if total := made + again.layers(); total > s.Layers+1 {
			t.Errorf("stopped at %d: %d layers made, then %d", stop, made, again.layers())
		}
		for layer := 1; layer <= s.Layers; layer++ {
			if name := LayerFile(layer); !bytes.Equal(read(t, again, name), read(t, want, name)) {
				t.Fatalf("stopped at %d: layer %d differs", stop, layer)
			}
		}
	}
}

// What was left is used only when it is whole and this sector's.
func TestLabelTrustsNothingElse(t *testing.T) {
	ctx := context.Background()
	s, d := manyLayers(t)
	if err := s.labelSector(ctx, d, nil); err != nil {
		t.Fatal(err)
	}
	other := *s
	other.id[0] ^= 1
	for name, c := range map[string]struct {
		sector *sector
		change func(f map[string]*memFile)
		again  int // layers
	}{
		"nothing":          {s, func(map[string]*memFile) {}, 0},
		"another replica":  {&other, func(map[string]*memFile) {}, 11},
		"no journal":       {s, func(f map[string]*memFile) { delete(f, Journal) }, 11},
		"a broken journal": {s, func(f map[string]*memFile) { f[Journal] = &memFile{data: []byte(`{"repl`)} }, 11},
		"a flipped bit":    {s, func(f map[string]*memFile) { f[LayerFile(5)] = flipped(f[LayerFile(5)]) }, 7},
		"a short layer":    {s, func(f map[string]*memFile) { f[LayerFile(7)] = &memFile{data: f[LayerFile(7)].data[:2000]} }, 5},
		"a missing layer":  {s, func(f map[string]*memFile) { delete(f, LayerFile(11)) }, 1},
		"layers swapped":   {s, func(f map[string]*memFile) { f[LayerFile(1)], f[LayerFile(2)] = f[LayerFile(2)], f[LayerFile(1)] }, 11},
	} {
		t.Run(name, func(t *testing.T) {
			again := d.restarted(-1)
			c.change(again.kept)
			if err := c.sector.labelSector(ctx, again, nil); err != nil {
				t.Fatal(err)
			}
			if got := again.layers(); got != c.again {
				t.Errorf("%d layers were made again, want %d", got, c.again)
			}
			if c.sector == s && !bytes.Equal(read(t, again, LayerFile(11)), read(t, d, LayerFile(11))) {
				t.Error("the last layer differs")
			}
		})
	}
}

func flipped(f *memFile) *memFile {
	b := bytes.Clone(f.data)
	b[777] ^= 4
	return &memFile{data: b}
}

// mappedFiles are files that can be mapped, or cannot.
type mappedFiles struct {
	Files
	err error
	n   int
}

func (m *mappedFiles) Create(name string) (File, error) { return m.wrap(m.Files.Create(name)) }
func (m *mappedFiles) Open(name string) (File, error)   { return m.wrap(m.Files.Open(name)) }

func (m *mappedFiles) wrap(f File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return mappableFile{f.(*memFile), m}, nil
}

type mappableFile struct {
	*memFile
	files *mappedFiles
}

func (f mappableFile) Map(size int64) (Memory, error) {
	if f.files.err != nil {
		return nil, f.files.err
	}
	f.files.n++
	f.memFile.data = append(f.memFile.data, make([]byte, max(0, size-int64(len(f.memFile.data))))...)
	return mapping{f.files, f.memFile.data[:size]}, nil
}

type mapping struct {
	files *mappedFiles
	b     []byte
}

func (m mapping) Bytes() []byte { return m.b }

func (m mapping) Close() error {
	m.files.n--
	return nil
}

// Layers that are mapped have the same labels, and no mapping is left behind.
func TestLabelMaps(t *testing.T) {
	want := small(t)
	no := errors.New("no maps left")
	for name, c := range map[string]struct{ given, err error }{"mapped": {}, "unsupported": {given: errors.ErrUnsupported}, "refused": {given: no, err: no}} {
		f := &mappedFiles{Files: MemFiles(), err: c.given}
		write(t, f.Files, Unsealed, want.data)
		err := Label(context.Background(), task, want.commD, f, nil)
		if !errors.Is(err, c.err) {
			t.Errorf("%s: got %v", name, err)
		}
		if f.n != 0 {
			t.Errorf("%s: %d maps are left", name, f.n)
		}
		if err == nil && !bytes.Equal(read(t, f, LayerFile(2)), read(t, want.files, LayerFile(2))) {
			t.Errorf("%s: layer 2 differs", name)
		}
	}
}
