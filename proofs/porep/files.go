package porep

import (
	"fmt"
	"io"
	"io/fs"
	"sync"
)

// The names of a sector's files, as the reference calls those of its cache.
const (
	// Unsealed is the sector's padded data.
	Unsealed = "unsealed"
	// Sealed is the replica.
	Sealed = "sealed"
	// TreeD is the data's tree: leaves, then each row upwards.
	TreeD = "sc-02-data-tree-d.dat"
	// Aux is CommC and CommRLast, 64 bytes.
	Aux = "p_aux"
	// Journal says which layers are whole, and whose they are. It is there between the start
	// of Label and the caller's clearing up, where files can be kept.
	Journal = "lode-layers.json"
)

// LayerFile is the file of the labels of a layer, which counts from 1.
func LayerFile(layer int) string { return fmt.Sprintf("sc-02-data-layer-%d.dat", layer) }

// TreeCFile is the file of the i-th of n base trees over the columns.
func TreeCFile(i, n int) string { return baseFile("sc-02-data-tree-c", i, n) }

// TreeRFile is the file of the i-th of n base trees over the replica.
func TreeRFile(i, n int) string { return baseFile("sc-02-data-tree-r-last", i, n) }

// scratchFile has the labels of a layer while Unseal makes them; two are enough.
func scratchFile(layer int) string { return fmt.Sprintf("unseal-labels-%d.dat", layer%2) }

func baseFile(stem string, i, n int) string {
	if n == 1 {
		return stem + ".dat"
	}
	return fmt.Sprintf("%s-%d.dat", stem, i)
}

// Files is where a sector's files are. Create makes an empty file, in place of one of that
// name; Open opens one for reading, or returns an error that is fs.ErrNotExist. A step opens
// again what it created and closed. Both are safe from many goroutines, and so is a File's
// ReadAt and, for ranges that do not meet, its WriteAt.
type Files interface {
	Create(name string) (File, error)
	Open(name string) (File, error)
}

// Keeper is what Files may implement besides, so that an interrupted step goes on where it
// was. Keep makes a file that was created and closed durable, whole, and found by Open in a
// later run, even if the step does not end; files that were not kept are not found then.
type Keeper interface{ Keep(name string) error }

// Mapper is what a File may implement besides, so that many small reads are cheap. Map
// gives the file as memory, for reading: size bytes from its start, which show what is
// written to the file later on; the file grows to that size when it is shorter. An error
// that is errors.ErrUnsupported means that the file cannot be mapped, but read.
type Mapper interface {
	Map(size int64) (Memory, error)
}

// Memory is a mapped file. The bytes are gone after Close.
type Memory interface {
	Bytes() []byte
	Close() error
}

// File is one file of a sector. What was written is durable, as far as the owner of the
// files cares, when Close has returned nil.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
}

// MemFiles returns files in memory, for tests and tiny sectors.
func MemFiles() Files { return &memFiles{files: map[string]*memFile{}} }

type memFiles struct {
	mu    sync.Mutex
	files map[string]*memFile // guarded by mu
}

func (m *memFiles) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := &memFile{}
	m.files[name] = f
	return f, nil
}

func (m *memFiles) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.files[name]
	if f == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return f, nil
}

type memFile struct {
	mu   sync.RWMutex
	data []byte // guarded by mu
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	if off >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	if end := off + int64(len(p)); end > int64(len(f.data)) {
		f.data = append(f.data, make([]byte, end-int64(len(f.data)))...)
	}
	return copy(f.data[off:], p), nil
}

func (f *memFile) Size() (int64, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return int64(len(f.data)), nil
}

func (f *memFile) Close() error { return nil }
