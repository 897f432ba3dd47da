//go:build unix

package mapped

import (
	"fmt"
	"os"
	"syscall"
)

// Memory is a mapped file, to be read.
type Memory struct{ b []byte }

// Map maps size bytes from the start of a file, which grows to that size when it is shorter.
// The memory shows what is written to the file later, and stays when the file is closed. A
// place that cannot be read from disk, or that the file has lost since, is a memory fault
// (see debug.SetPanicOnFault).
func Map(f *os.File, size int64) (*Memory, error) {
	if size < 1 || size != int64(int(size)) {
		return nil, fmt.Errorf("map %d bytes of %s: not a size to map", size, f.Name())
	}
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() < size {
		if err := f.Truncate(size); err != nil {
			return nil, err
		}
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, int(size), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes of %s: %w", size, f.Name(), err)
	}
	return &Memory{b}, nil
}

// Bytes is the file's memory.
func (m *Memory) Bytes() []byte { return m.b }

// Close gives the memory back; nothing may read it any more.
func (m *Memory) Close() error {
	b := m.b
	m.b = nil
	if b == nil {
		return nil
	}
	return syscall.Munmap(b)
}
