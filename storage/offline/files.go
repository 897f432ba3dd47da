package offline

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/lodenet/lode/proofs/mapped"
	"github.com/lodenet/lode/proofs/porep"
)

// temp ends the names of files that are not complete.
const temp = ".tmp"

// folder is a sector's files in one folder: what a step creates has a temporary name until
// it is kept, and is seen by the step's own Open at once.
type folder struct {
	dir     string
	mu      sync.Mutex
	created map[string]bool // guarded by mu
}

var (
	_ porep.Files  = (*folder)(nil)
	_ porep.Keeper = (*folder)(nil)
)

func newFolder(dir string) *folder { return &folder{dir: dir, created: map[string]bool{}} }

// Scratch gives files in a folder that the caller made and removes.
func Scratch(dir string) porep.Files { return newFolder(dir) }

func (d *folder) path(name string) string { return filepath.Join(d.dir, name) }

// Create implements porep.Files.
func (d *folder) Create(name string) (porep.File, error) {
	f, err := os.OpenFile(d.path(name)+temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.created[name] = true
	return &file{f}, nil
}

// Open implements porep.Files.
func (d *folder) Open(name string) (porep.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock() // against Keep, so that the file is found at every moment
	path := d.path(name)
	if d.created[name] {
		path += temp
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &file{f}, nil
}

// Keep implements porep.Keeper.
func (d *folder) Keep(name string) error {
	path := d.path(name)
	if err := syncFile(path + temp); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := os.Rename(path+temp, path); err != nil {
		return err
	}
	delete(d.created, name)
	return syncDir(d.dir)
}

// keepAll keeps what is still temporary, when a step is done.
func (d *folder) keepAll() error {
	for _, name := range d.pending() {
		if err := d.Keep(name); err != nil {
			return fmt.Errorf("keep %s: %w", name, err)
		}
	}
	return nil
}

// discard removes what was not kept.
func (d *folder) discard() {
	for _, name := range d.pending() {
		_ = os.Remove(d.path(name) + temp) // it would be written over
	}
}

func (d *folder) pending() (names []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name := range d.created {
		names = append(names, name)
	}
	return names
}

type file struct{ *os.File }

var _ porep.Mapper = (*file)(nil)

// Size implements porep.File.
func (f *file) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// Map implements porep.Mapper.
func (f *file) Map(size int64) (porep.Memory, error) { return mapped.Map(f.File, size) }

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
