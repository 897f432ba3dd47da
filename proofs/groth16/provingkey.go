package groth16

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"unsafe"

	curve "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr/fft"
	gnark "github.com/consensys/gnark/backend/groth16/bls12-381"

	"github.com/lodenet/lode/proofs/internal/parallel"
)

// ProvingKey makes proofs of one circuit. Its points lie in the memory that OpenProvingKey
// was given. It is immutable and safe from many goroutines.
type ProvingKey struct {
	header Header
	vk     *VerifyingKey
	key    gnark.ProvingKey
}

// OpenProvingKey uses a proving key where it lies: data, usually a mapped file, must stay as
// it is for as long as the key is used. The digest over all of it is checked first.
func OpenProvingKey(ctx context.Context, data []byte) (*ProvingKey, error) {
	if !littleEndian() {
		return nil, errors.New("proving keys need a little-endian machine")
	}
	h, err := CheckKey(ctx, data)
	if err != nil {
		return nil, err
	}
	pk := &ProvingKey{header: *h}
	if pk.vk, err = ParseVerifyingKey(h.VerifyingKey); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if int64(pk.vk.Inputs()+1)+h.K != h.Wires {
		return nil, fmt.Errorf("%w: %d wires are not %d inputs and %d others", ErrCorrupt, h.Wires, pk.vk.Inputs()+1, h.K)
	}
	if !isAligned(data) {
		return nil, errors.New("proving key: the memory is not aligned; map the file or copy it")
	}
	return pk, pk.lay(data)
}

// CheckKey checks that a proving key is as it was written.
func CheckKey(ctx context.Context, data []byte) (*Header, error) {
	h, err := ReadHeader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	size, err := h.FileSize()
	if err != nil {
		return nil, err
	}
	if int64(len(data)) != size {
		return nil, fmt.Errorf("%w: %d bytes, not %d", ErrCorrupt, len(data), size)
	}
	body := data[:size-sha256.Size]
	d, err := chunkDigest(ctx, body)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(d, data[len(body):]) {
		return nil, fmt.Errorf("%w: its digest is not that of its contents", ErrCorrupt)
	}
	return h, nil
}

// chunkDigest is SHA-256 over the SHA-256 of each 4 MiB, on all cores.
func chunkDigest(ctx context.Context, b []byte) ([]byte, error) {
	n := (len(b) + chunk - 1) / chunk
	all := make([]byte, n*sha256.Size)
	err := parallel.Each(ctx, n, func(i int) error {
		d := sha256.Sum256(b[i*chunk : min((i+1)*chunk, len(b))])
		copy(all[i*sha256.Size:], d[:])
		return nil
	})
	d := sha256.Sum256(all)
	return d[:], err
}

// lay puts the key's slices over the sections.
func (pk *ProvingKey) lay(data []byte) error {
	start, err := pk.header.encode()
	if err != nil {
		return err
	}
	at := int64(len(start))
	var sections [][]byte
	for _, n := range pk.header.sections() {
		sections = append(sections, data[at:at+n])
		at = pad(at + n)
	}
	h, k, vk := &pk.header, &pk.key, &pk.vk.key
	var nA, nB int64
	if k.InfinityA, nA, err = bools(sections[0]); err != nil {
		return err
	}
	if k.InfinityB, nB, err = bools(sections[1]); err != nil {
		return err
	}
	if nA != h.Wires-h.A || nB != h.Wires-h.B {
		return fmt.Errorf("%w: %d and %d points at infinity do not fit its header", ErrCorrupt, nA, nB)
	}
	k.NbInfinityA, k.NbInfinityB = uint64(nA), uint64(nB)
	k.G1.A, k.G1.B = over[curve.G1Affine](sections[2]), over[curve.G1Affine](sections[3])
	k.G1.Z, k.G1.K = over[curve.G1Affine](sections[4]), over[curve.G1Affine](sections[5])
	k.G2.B = over[curve.G2Affine](sections[6])
	k.G1.Alpha, k.G1.Beta, k.G1.Delta = vk.G1.Alpha, vk.G1.Beta, vk.G1.Delta
	k.G2.Beta, k.G2.Delta = vk.G2.Beta, vk.G2.Delta
	k.Domain = *fft.NewDomain(uint64(h.Domain))
	return nil
}

// over is the memory of a section as points.
func over[T any](b []byte) []T {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), len(b)/int(unsafe.Sizeof(*new(T))))
}

// isAligned tells whether points can lie in this memory.
func isAligned(b []byte) bool { return uintptr(unsafe.Pointer(&b[0]))%keyAlign == 0 }

func bools(b []byte) (out []bool, set int64, err error) {
	out = make([]bool, len(b))
	for i, v := range b {
		if v > 1 {
			return nil, 0, fmt.Errorf("%w: a flag is %d", ErrCorrupt, v)
		}
		if v == 1 {
			out[i] = true
			set++
		}
	}
	return out, set, nil
}

// Header says what the key is for.
func (pk *ProvingKey) Header() Header { return pk.header }

// VerifyingKey is the key's other half.
func (pk *ProvingKey) VerifyingKey() *VerifyingKey { return pk.vk }

// WriteProvingKey writes a pair of keys that gnark made, as a ceremony does. label is as in
// Setup.
func WriteProvingKey(w io.Writer, label Label, k *gnark.ProvingKey, v *gnark.VerifyingKey) (*VerifyingKey, error) {
	if !littleEndian() {
		return nil, errors.New("proving keys need a little-endian machine")
	}
	vk, err := newVerifyingKey(v)
	if err != nil {
		return nil, err
	}
	h := &Header{
		Label: label, VerifyingKey: vk.Bytes(), Domain: int64(k.Domain.Cardinality), Wires: int64(len(k.InfinityA)),
		A: int64(len(k.G1.A)), B: int64(len(k.G1.B)), K: int64(len(k.G1.K)),
	}
	if len(k.InfinityB) != len(k.InfinityA) || len(k.G2.B) != len(k.G1.B) || int64(len(k.G1.Z)) != h.Domain-1 {
		return nil, errors.New("proving key: its vectors do not fit together")
	}
	out, err := newKeyWriter(w, h)
	if err != nil {
		return nil, err
	}
	for _, b := range [][]byte{flags(k.InfinityA), flags(k.InfinityB), memory(k.G1.A), memory(k.G1.B), memory(k.G1.Z), memory(k.G1.K), memory(k.G2.B)} {
		if err := out.write(b); err != nil {
			return nil, err
		}
		if err := out.endSection(); err != nil {
			return nil, err
		}
	}
	return vk, out.close()
}
