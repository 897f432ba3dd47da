package car_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/market/car"
	"github.com/multiformats/go-multihash"
)

func raw(b []byte) cid.Cid {
	c, _ := cid.V1Builder{Codec: cid.Raw, MhType: multihash.SHA2_256}.Sum(b)
	return c
}

func stream(blocks ...[]byte) []byte {
	out := car.Header(raw(blocks[0]))
	for _, b := range blocks {
		out = append(out, car.SectionHead(raw(b), uint64(len(b)))...)
		out = append(out, b...)
	}
	return out
}

func TestRoundTrip(t *testing.T) {
	want := [][]byte{[]byte("one"), {}, bytes.Repeat([]byte("x"), 1000)}
	data := append(stream(want...), make([]byte, 40)...) // padding ends it
	r, err := car.NewReader(bytes.NewReader(data))
	if err != nil || len(r.Roots) != 1 || !r.Roots[0].Equals(raw(want[0])) {
		t.Fatalf("roots %v (%v)", r.Roots, err)
	}
	for _, w := range want {
		s, err := r.Next()
		if err != nil || !bytes.Equal(s.Data, w) || !bytes.Equal(data[s.Offset:s.Offset+uint64(len(w))], w) {
			t.Fatalf("got %q at %d (%v), want %q", s.Data, s.Offset, err, w)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Fatalf("end: %v", err)
	}
}

func TestRefuses(t *testing.T) {
	good := stream([]byte("hello"))
	bad := bytes.Clone(good)
	bad[len(bad)-1] ^= 1
	r, err := car.NewReader(bytes.NewReader(bad))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); !errors.Is(err, car.ErrHash) {
		t.Errorf("changed block: %v", err)
	}
	r, _ = car.NewReader(bytes.NewReader(good[:len(good)-2]))
	if _, err := r.Next(); !errors.Is(err, car.ErrFormat) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut block: %v", err)
	}
	for _, b := range [][]byte{nil, {0}, []byte("just a text file of some length"), {0xff, 0xff, 0xff, 0x7f}} {
		if _, err := car.NewReader(bytes.NewReader(b)); !errors.Is(err, car.ErrFormat) {
			t.Errorf("%q: %v", b, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(stream([]byte("a"), []byte("b")))
	f.Add([]byte{0x3a, 0xa2})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := car.NewReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		for {
			s, err := r.Next()
			if err != nil {
				return
			}
			if car.Check(s.Cid, s.Data) != nil {
				t.Fatal("a block passed that does not fit its CID")
			}
		}
	})
}
