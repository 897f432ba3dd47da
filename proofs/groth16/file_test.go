package groth16

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

func keyFile(t testing.TB) []byte {
	t.Helper()
	if e := example(); e.err != nil {
		t.Fatal(e.err)
	}
	return slices.Clone(example().file)
}

func TestKeyFile(t *testing.T) {
	b := keyFile(t)
	h, err := CheckKey(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if h.Circuit != "toy" || h.Constraints == (Digest{}) {
		t.Errorf("got label %+v", h.Label)
	}
	if !strings.HasPrefix(string(b), keyMagic) || !bytes.Contains(b[:200], []byte(`"Circuit":"toy"`)) {
		t.Errorf("the file begins with %q", b[:200])
	}
	// Every byte counts, the padding too.
	for at := range b {
		bad := slices.Clone(b)
		bad[at] ^= 1 << (at % 8)
		if _, err := CheckKey(t.Context(), bad); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d of %d changed: got %v", at, len(b), err)
		}
	}
	for _, n := range []int{0, 1, 11, 12, 100, len(b) / 2, len(b) - 1} {
		if _, err := CheckKey(t.Context(), b[:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d bytes of it: got %v", n, err)
		}
	}
	if _, err := CheckKey(t.Context(), append(slices.Clone(b), 0)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a byte more: got %v", err)
	}
	if _, err := OpenProvingKey(t.Context(), aligned(append([]byte{0}, b...))[1:]); err == nil {
		t.Error("memory that is not aligned was used")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := OpenProvingKey(ctx, aligned(b)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

// TestChunkDigest: written in pieces of any size, a file has the digest that reading finds.
func TestChunkDigest(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789abcdef"), chunk/16*5/2)
	for _, step := range []int{chunk, chunk - 1, chunk/3 + 1, 3*chunk + 7} {
		var out bytes.Buffer
		w, err := newKeyWriter(&out, &Header{Domain: 2, Wires: 1})
		if err != nil {
			t.Fatal(err)
		}
		for part := range slices.Chunk(body, step) {
			if err := w.write(part); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.close(); err != nil {
			t.Fatal(err)
		}
		n := out.Len() - len(Digest{})
		if want, err := chunkDigest(t.Context(), out.Bytes()[:n]); err != nil || !bytes.Equal(want, out.Bytes()[n:]) {
			t.Errorf("in steps of %d: got %x, want %x, %v", step, out.Bytes()[n:], want, err)
		}
	}
}

func FuzzKeyFile(f *testing.F) {
	b := keyFile(f)
	f.Add(b[:len(b)/2])
	f.Add(b)
	f.Add([]byte(keyMagic + "\x02\x00\x00\x00{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		// With the digest made right, so that what is behind it is reached too.
		b = aligned(b)
		if n := len(b) - len(Digest{}); n > 0 {
			d, err := chunkDigest(t.Context(), b[:n])
			if err != nil {
				t.Fatal(err)
			}
			copy(b[n:], d)
		}
		pk, err := OpenProvingKey(t.Context(), b)
		if err == nil && pk.Header().Wires < 1 {
			t.Errorf("got a key with header %+v", pk.Header())
		}
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("got %v", err)
		}
	})
}
