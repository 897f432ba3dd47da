package porep

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"
)

// layerFile is the file of a layer, in memory where it can be mapped: labelling reads it in
// single nodes.
type layerFile struct {
	File
	memory Memory
}

func mapLayer(f File, size int64) (*layerFile, error) {
	l := &layerFile{File: f}
	m, ok := f.(Mapper)
	if !ok {
		return l, nil
	}
	memory, err := m.Map(size)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, err
	}
	if err == nil {
		l.memory = memory
	}
	return l, nil
}

// Bytes implements sdr.Memory.
func (l *layerFile) Bytes() []byte {
	if l.memory == nil {
		return nil
	}
	return l.memory.Bytes()
}

func (l *layerFile) unmap() error {
	if l.memory == nil {
		return nil
	}
	return l.memory.Close()
}

// reader is the file, or nothing where there is no layer before.
func (l *layerFile) reader() io.ReaderAt {
	if l == nil {
		return nil
	}
	return l
}

// digest is the SHA-256 of a layer's file.
type digest = [sha256.Size]byte

// hashing is a layer that is written from its start to its end, and hashed meanwhile.
type hashing struct {
	*layerFile
	hash hash.Hash
}

func newHashing(l *layerFile) *hashing { return &hashing{l, sha256.New()} }

// WriteAt implements io.WriterAt.
func (h *hashing) WriteAt(p []byte, off int64) (int, error) {
	n, err := h.layerFile.WriteAt(p, off)
	_, _ = h.hash.Write(p[:n])
	return n, err
}

func (h *hashing) sum() digest { return digest(h.hash.Sum(nil)) }
