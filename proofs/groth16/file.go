package groth16

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"unsafe"

	curve "github.com/consensys/gnark-crypto/ecc/bls12-381"
)

// A proving key on disk:
//
//	magic, 8 bytes
//	u32le length of the header
//	the header, JSON
//	padding
//	7 sections, each padded: infinityA, infinityB, A, B in G1, Z, K, B in G2
//	digest, 32 bytes
//
// Padding makes each section start at a multiple of 64 bytes. The infinity sections have one
// byte a wire, 1 where the point is infinity and left out of the section of points. Points
// are x then y, coordinates in Montgomery form, limbs and bytes least first: as they lie in
// the memory of a little-endian machine, so a mapped file is used as it is. The digest is
// over everything before it, see chunkDigest.

const (
	keyMagic  = "lodepk1\n"
	keyAlign  = 64
	headStart = len(keyMagic) + 4
	// maxHeader and maxWires bound what is read; 32 GiB circuits have 130 million wires.
	maxHeader = 4 << 20
	maxWires  = 1 << 28
	chunk     = 4 << 20
	sizeG1    = int64(unsafe.Sizeof(curve.G1Affine{}))
	sizeG2    = int64(unsafe.Sizeof(curve.G2Affine{}))
)

// ErrCorrupt: the file is not what was written. Remove it and make it again.
var ErrCorrupt = errors.New("proving key is corrupt")

// Label says what a proving key is for and where it comes from.
type Label struct {
	// Circuit is the circuit's name.
	Circuit string
	// Constraints is the circuit's Fingerprint.
	Constraints Digest
	// Origin says who made the key, in words.
	Origin string
	// Insecure: the secrets of the setup are known, so anybody can make false proofs.
	Insecure bool
}

// Header is what a proving key says of itself.
type Header struct {
	Label
	// VerifyingKey has the bytes of VerifyingKey.Bytes.
	VerifyingKey []byte
	// Domain is the number of points that constraints are padded to.
	Domain int64
	// Wires, and how many of them have a point in A, B and K.
	Wires, A, B, K int64
}

// sections are the lengths of the sections in bytes.
func (h *Header) sections() []int64 {
	return []int64{h.Wires, h.Wires, h.A * sizeG1, h.B * sizeG1, (h.Domain - 1) * sizeG1, h.K * sizeG1, h.B * sizeG2}
}

// FileSize is the length of the whole file.
func (h *Header) FileSize() (int64, error) {
	b, err := h.encode()
	if err != nil {
		return 0, err
	}
	size := int64(len(b))
	for _, n := range h.sections() {
		size = pad(size + n)
	}
	return size + sha256.Size, nil
}

func (h *Header) check() error {
	if h.Domain < 2 || h.Domain > maxWires || h.Domain&(h.Domain-1) != 0 {
		return fmt.Errorf("domain of %d points", h.Domain)
	}
	if h.Wires < 1 || h.Wires > maxWires {
		return fmt.Errorf("%d wires", h.Wires)
	}
	for _, n := range []int64{h.A, h.B, h.K} {
		if n < 0 || n > h.Wires {
			return fmt.Errorf("%d points for %d wires", n, h.Wires)
		}
	}
	return nil
}

// encode gives the header with magic, length and padding.
func (h *Header) encode() ([]byte, error) {
	text, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	b := binary.LittleEndian.AppendUint32([]byte(keyMagic), uint32(len(text)))
	b = append(b, text...)
	return append(b, make([]byte, pad(int64(len(b)))-int64(len(b)))...), nil
}

// ReadHeader reads the header of a proving key and leaves its sections alone.
func ReadHeader(r io.Reader) (*Header, error) {
	start := make([]byte, headStart)
	if _, err := io.ReadFull(r, start); err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrCorrupt, noEOF(err))
	}
	n := binary.LittleEndian.Uint32(start[len(keyMagic):])
	if string(start[:len(keyMagic)]) != keyMagic || n > maxHeader {
		return nil, fmt.Errorf("%w: it does not begin as one", ErrCorrupt)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrCorrupt, noEOF(err))
	}
	h := new(Header)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(h); err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrCorrupt, err)
	}
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrCorrupt, err)
	}
	// One header has one encoding, so that one key has one file.
	if again, err := json.Marshal(h); err != nil || !bytes.Equal(again, text) {
		return nil, fmt.Errorf("%w: header is not in its canonical form", ErrCorrupt)
	}
	return h, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func pad(n int64) int64 { return (n + keyAlign - 1) / keyAlign * keyAlign }

// keyWriter writes a proving key from front to back and keeps its digest.
type keyWriter struct {
	w      io.Writer
	n      int64
	inner  hash.Hash // of the chunk that is being written
	filled int
	outer  hash.Hash
}

// newKeyWriter writes the header.
func newKeyWriter(w io.Writer, h *Header) (*keyWriter, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	b, err := h.encode()
	if err != nil {
		return nil, err
	}
	k := &keyWriter{w: w, inner: sha256.New(), outer: sha256.New()}
	return k, k.write(b)
}

func (k *keyWriter) write(b []byte) error {
	n, err := k.w.Write(b)
	k.n += int64(n)
	if err != nil {
		return err
	}
	for len(b) > 0 {
		part := b[:min(len(b), chunk-k.filled)]
		k.inner.Write(part)
		b = b[len(part):]
		if k.filled += len(part); k.filled == chunk {
			k.endChunk()
		}
	}
	return nil
}

func (k *keyWriter) endChunk() {
	k.outer.Write(k.inner.Sum(nil))
	k.inner.Reset()
	k.filled = 0
}

// endSection pads.
func (k *keyWriter) endSection() error {
	return k.write(make([]byte, pad(k.n)-k.n))
}

// close writes the digest.
func (k *keyWriter) close() error {
	if k.filled > 0 {
		k.endChunk()
	}
	_, err := k.w.Write(k.outer.Sum(nil))
	return err
}

// memory is a slice of points as bytes.
func memory[T any](s []T) []byte {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), len(s)*int(unsafe.Sizeof(s[0])))
}

// littleEndian tells whether points lie in this machine's memory as they do in files.
func littleEndian() bool { return binary.NativeEndian.Uint16([]byte{1, 0}) == 1 }

// flags are booleans as a section has them.
func flags(b []bool) []byte {
	out := make([]byte, len(b))
	for i, v := range b {
		if v {
			out[i] = 1
		}
	}
	return out
}
