package fr32

import (
	"bytes"
	"errors"
	"io"
	"math/big"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/filecoin-project/go-state-types/abi"
)

// padSlow is the definition: node i is (V >> 254·i) mod 2^254 of the payload V read little-endian.
func padSlow(src []byte) []byte {
	var out []byte
	for ; len(src) > 0; src = src[Unpadded:] {
		v := new(big.Int)
		for i := Unpadded - 1; i >= 0; i-- {
			v.Lsh(v, 8).Or(v, big.NewInt(int64(src[i])))
		}
		mask := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 254), big.NewInt(1))
		for i := range uint(4) {
			be := make([]byte, 32)
			new(big.Int).And(new(big.Int).Rsh(v, 254*i), mask).FillBytes(be)
			for j := range be {
				out = append(out, be[31-j])
			}
		}
	}
	return out
}

func random(n int, seed uint64) []byte {
	b := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{byte(seed)})
	rng.Read(b)
	return b
}

func TestPadIsTheDefinition(t *testing.T) {
	for seed := range uint64(20) {
		src := random(Unpadded*int(1+seed%3), seed)
		dst := make([]byte, len(src)/Unpadded*Padded)
		if n := Pad(dst, src); n != len(src)/Unpadded {
			t.Fatalf("padded %d chunks", n)
		}
		if want := padSlow(src); !bytes.Equal(dst, want) {
			t.Fatalf("seed %d: got %x, want %x", seed, dst, want)
		}
		back := make([]byte, len(src))
		Unpad(back, dst)
		if !bytes.Equal(back, src) {
			t.Fatalf("seed %d: unpadding does not give the payload back", seed)
		}
	}
}

func TestStreams(t *testing.T) {
	for _, size := range []abi.PaddedPieceSize{128, 256, 2048, 128 * (bufferChunks + 1), 1 << 17} {
		payload := random(int(size.Unpadded()), uint64(size))
		want := make([]byte, size)
		Pad(want, payload)
		rest := []byte("what follows")

		in := bytes.NewReader(append(bytes.Clone(payload), rest...))
		padded, err := io.ReadAll(iotest.OneByteReader(NewPadReader(iotest.HalfReader(in), size)))
		if err != nil || !bytes.Equal(padded, want) {
			t.Fatalf("size %d: padding reader is wrong (%v)", size, err)
		}
		if in.Len() != len(rest) {
			t.Errorf("size %d: the reader went beyond the piece", size)
		}

		in = bytes.NewReader(append(bytes.Clone(want), rest...))
		back, err := io.ReadAll(NewUnpadReader(in, size))
		if err != nil || !bytes.Equal(back, payload) {
			t.Fatalf("size %d: unpadding reader is wrong (%v)", size, err)
		}
		if in.Len() != len(rest) {
			t.Errorf("size %d: the reader went beyond the piece", size)
		}

		var out bytes.Buffer
		w := NewUnpadWriter(&out)
		for b := want; len(b) > 0; {
			n := min(len(b), 1+len(b)/3)
			if _, err := w.Write(b[:n]); err != nil {
				t.Fatal(err)
			}
			b = b[n:]
		}
		if err := w.Close(); err != nil || !bytes.Equal(out.Bytes(), payload) {
			t.Fatalf("size %d: unpadding writer is wrong (%v)", size, err)
		}
	}
}

func TestStreamsRefuse(t *testing.T) {
	if _, err := io.ReadAll(NewPadReader(bytes.NewReader(make([]byte, 126)), 128)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("short payload: got %v", err)
	}
	if _, err := io.ReadAll(NewPadReader(bytes.NewReader(nil), 128)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("no payload: got %v", err)
	}
	if _, err := io.ReadAll(NewPadReader(bytes.NewReader(make([]byte, 127)), 100)); err == nil {
		t.Error("a size of 100 was accepted")
	}
	if b, err := io.ReadAll(NewPadReader(bytes.NewReader(nil), 0)); err != nil || len(b) != 0 {
		t.Errorf("size 0: got %d bytes, %v", len(b), err)
	}
	bad := make([]byte, 256)
	bad[255] = 0x40
	if _, err := io.ReadAll(NewUnpadReader(bytes.NewReader(bad), 256)); !errors.Is(err, ErrNotPadded) {
		t.Errorf("bytes with a top bit: got %v", err)
	}
	w := NewUnpadWriter(io.Discard)
	if _, err := w.Write(bad[:200]); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(bad[200:]); !errors.Is(err, ErrNotPadded) {
		t.Errorf("bytes with a top bit: got %v", err)
	}
	w = NewUnpadWriter(io.Discard)
	if _, err := w.Write(bad[:200]); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("an end inside a chunk: got %v", err)
	}
}

func FuzzUnpadReader(f *testing.F) {
	f.Add(make([]byte, 128), uint16(128))
	f.Add(make([]byte, 300), uint16(256))
	f.Add([]byte{0xff}, uint16(7))
	f.Fuzz(func(t *testing.T, data []byte, size uint16) {
		out, err := io.ReadAll(NewUnpadReader(bytes.NewReader(data), abi.PaddedPieceSize(size)))
		if err != nil {
			return
		}
		back, err := io.ReadAll(NewPadReader(bytes.NewReader(out), abi.PaddedPieceSize(size)))
		if err != nil || !bytes.Equal(back, data[:size]) {
			t.Fatalf("padding again gives other bytes (%v)", err)
		}
	})
}

func BenchmarkPad(b *testing.B) {
	src := random(Unpadded*8192, 1)
	dst := make([]byte, Padded*8192)
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		Pad(dst, src)
	}
}

func BenchmarkUnpad(b *testing.B) {
	src := make([]byte, Padded*8192)
	dst := make([]byte, Unpadded*8192)
	b.SetBytes(int64(len(dst)))
	for b.Loop() {
		Unpad(dst, src)
	}
}
