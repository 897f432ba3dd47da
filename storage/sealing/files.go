package sealing

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/filecoin-project/go-state-types/abi"

	"github.com/lodenet/lode/proofs/mapped"
	"github.com/lodenet/lode/proofs/porep"
)

// The folders under <repo>/sectors.
const (
	dirUnsealed = "unsealed"
	dirSealed   = "sealed"
	dirCache    = "cache"
)

// temp ends the names of files that are not complete.
const temp = ".tmp"

// folders is where the sectors of one miner are.
type folders struct {
	root  string
	miner abi.ActorID
	// fault is nil but in tests: an error that it returns is that of the file operation.
	fault func(op, path string) error
}

func (d folders) stem(n abi.SectorNumber) string { return fmt.Sprintf("s-t0%d-%d", d.miner, n) }

// path is that of one of a sector's files, by porep's name.
func (d folders) path(n abi.SectorNumber, name string) string {
	switch name {
	case porep.Unsealed:
		return filepath.Join(d.root, dirUnsealed, d.stem(n))
	case porep.Sealed:
		return filepath.Join(d.root, dirSealed, d.stem(n))
	}
	return filepath.Join(d.cache(n), name)
}

func (d folders) cache(n abi.SectorNumber) string {
	return filepath.Join(d.root, dirCache, d.stem(n))
}

func (d folders) check(op, path string) error {
	if d.fault == nil {
		return nil
	}
	return d.fault(op, path)
}

// make makes the folders a sector needs.
func (d folders) make(n abi.SectorNumber) error {
	for _, dir := range []string{filepath.Join(d.root, dirUnsealed), filepath.Join(d.root, dirSealed), d.cache(n)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// clean removes what interrupted work left.
func (d folders) clean() error {
	for _, dir := range []string{dirUnsealed, dirSealed, dirCache} {
		err := filepath.WalkDir(filepath.Join(d.root, dir), func(path string, e fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if !e.IsDir() && strings.HasSuffix(path, temp) && strings.Contains(path, fmt.Sprintf("s-t0%d-", d.miner)) {
				return os.Remove(path)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// remove deletes all files of a sector.
func (d folders) remove(n abi.SectorNumber) error {
	if err := d.check("remove", d.path(n, porep.Sealed)); err != nil {
		return err
	}
	var errs []error
	for _, name := range []string{porep.Unsealed, porep.Sealed} {
		for _, p := range []string{d.path(n, name), d.path(n, name) + temp} {
			if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(append(errs, os.RemoveAll(d.cache(n)))...)
}

// keep removes from a sector's cache all that proving does not need.
func (d folders) keep(n abi.SectorNumber) error {
	entries, err := os.ReadDir(d.cache(n))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == porep.Aux || strings.HasPrefix(e.Name(), "sc-02-data-tree-r-last") {
			continue
		}
		path := filepath.Join(d.cache(n), e.Name())
		if err := d.check("remove", path); err != nil {
			return err
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return syncDir(d.cache(n))
}

// work is a sector's files while one stage works on them: what it creates has a temporary
// name until publish, and is seen by its own Open at once.
type work struct {
	folders
	n       abi.SectorNumber
	mu      sync.Mutex
	created map[string]bool // guarded by mu
}

var _ porep.Files = (*work)(nil)

func (d folders) work(n abi.SectorNumber) (*work, error) {
	return &work{folders: d, n: n, created: map[string]bool{}}, d.make(n)
}

// Create implements porep.Files.
func (w *work) Create(name string) (porep.File, error) {
	path := w.path(w.n, name)
	if err := w.check("create", path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path+temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.created[name] = true
	w.mu.Unlock()
	return &file{f, w.folders}, nil
}

// Open implements porep.Files.
func (w *work) Open(name string) (porep.File, error) {
	path := w.path(w.n, name)
	w.mu.Lock()
	if w.created[name] {
		path += temp
	}
	w.mu.Unlock()
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &file{f, w.folders}, nil
}

var _ porep.Keeper = (*work)(nil)

// Keep implements porep.Keeper.
func (w *work) Keep(name string) error {
	path := w.path(w.n, name)
	if err := w.check("sync", path); err != nil {
		return err
	}
	if err := syncFile(path + temp); err != nil {
		return err
	}
	if err := w.check("rename", path); err != nil {
		return err
	}
	// Open must find the file at every moment, so the lock covers both.
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := os.Rename(path+temp, path); err != nil {
		return err
	}
	delete(w.created, name)
	return syncDir(filepath.Dir(path))
}

// publish makes what was created durable under its name. Only then may the stage's result be
// stored. With names, the rest is discarded.
func (w *work) publish(names ...string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(names) > 0 {
		want := map[string]bool{}
		for _, n := range names {
			want[n] = w.created[n]
		}
		for name := range w.created {
			if !want[name] {
				_ = os.Remove(w.path(w.n, name) + temp)
				delete(w.created, name)
			}
		}
	}
	dirs := map[string]bool{}
	for name := range w.created {
		path := w.path(w.n, name)
		if err := w.check("sync", path); err != nil {
			return err
		}
		if err := syncFile(path + temp); err != nil {
			return err
		}
	}
	for name := range w.created {
		path := w.path(w.n, name)
		if err := w.check("rename", path); err != nil {
			return err
		}
		if err := os.Rename(path+temp, path); err != nil {
			return err
		}
		dirs[filepath.Dir(path)] = true
		delete(w.created, name)
	}
	for dir := range dirs {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// discard removes what was created and not published.
func (w *work) discard() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name := range w.created {
		path := w.path(w.n, name) + temp
		if w.check("discard", path) == nil {
			_ = os.Remove(path)
		}
	}
}

type file struct {
	*os.File
	folders folders
}

// WriteAt implements porep.File.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if err := f.folders.check("write", f.Name()); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

// Size implements porep.File.
func (f *file) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

var _ porep.Mapper = (*file)(nil)

// Map implements porep.Mapper.
func (f *file) Map(size int64) (porep.Memory, error) {
	if err := f.folders.check("map", f.Name()); err != nil {
		return nil, err
	}
	return mapped.Map(f.File, size)
}

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

// readFiles are a sector's files for reading alone.
type readFiles struct {
	folders
	n abi.SectorNumber
}

var _ porep.Files = readFiles{}

// Create implements porep.Files.
func (r readFiles) Create(name string) (porep.File, error) {
	return nil, fmt.Errorf("sector %d: create %s: %w", r.n, name, fs.ErrPermission)
}

// Open implements porep.Files.
func (r readFiles) Open(name string) (porep.File, error) {
	path := r.path(r.n, name)
	if err := r.check("open", path); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &file{f, r.folders}, nil
}
