package piece

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/proofs/commp"
)

func TestPadded(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range []struct {
		name    string
		payload io.Reader
		zeros   int
		err     error
	}{
		{"empty", bytes.NewReader(nil), 254, nil},
		{"short", bytes.NewReader(bytes.Repeat([]byte{1}, 100)), 154, nil},
		{"byte by byte", iotest.OneByteReader(bytes.NewReader(bytes.Repeat([]byte{1}, 100))), 154, nil},
		{"data with the end", iotest.DataErrReader(bytes.NewReader(bytes.Repeat([]byte{1}, 100))), 154, nil},
		{"exact", bytes.NewReader(bytes.Repeat([]byte{1}, 254)), 0, nil},
		{"too long", bytes.NewReader(bytes.Repeat([]byte{1}, 255)), 0, ErrTooLong},
		{"breaks", io.MultiReader(bytes.NewReader([]byte{1}), iotest.ErrReader(boom)), 0, boom},
		{"breaks at the end", io.MultiReader(bytes.NewReader(bytes.Repeat([]byte{1}, 254)), iotest.ErrReader(boom)), 0, boom},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := io.ReadAll(Padded(c.payload, 256))
			if !errors.Is(err, c.err) {
				t.Fatalf("got %v want %v", err, c.err)
			}
			if errors.Is(err, ErrTooLong) && !strings.Contains(err.Error(), "254 bytes") {
				t.Errorf("the error does not tell the size: %v", err)
			}
			if c.err != nil {
				return
			}
			want := append(bytes.Repeat([]byte{1}, 254-c.zeros), make([]byte, c.zeros)...)
			if !bytes.Equal(got, want) {
				t.Errorf("got %d bytes %x", len(got), got)
			}
		})
	}
}

func verify(r io.Reader, want cid.Cid, size abi.PaddedPieceSize) error {
	c := NewCheck(r)
	if _, err := io.Copy(io.Discard, c); err != nil {
		return err
	}
	return c.Verify(want, size)
}

func TestCheck(t *testing.T) {
	payload := bytes.Repeat([]byte("lode"), 100)
	w := commp.New()
	if _, err := w.Write(payload); err != nil {
		t.Fatal(err)
	}
	own, size, err := w.Sum()
	if err != nil || size != 512 {
		t.Fatalf("size %d, %v", size, err)
	}
	big, err := commp.Extend(own, size, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		payload []byte
		size    abi.PaddedPieceSize
		cid     bool // of the larger piece
		err     error
	}{
		{"its own size", payload, 512, false, nil},
		{"a larger piece", payload, 2048, true, nil},
		{"zeros after it", append(payload[:400:400], make([]byte, 108)...), 512, false, nil},
		{"other bytes", append([]byte("LODE"), payload[4:]...), 512, false, ErrMismatch},
		{"fewer bytes", payload[:399], 512, false, ErrMismatch},
		{"a smaller piece", payload, 256, false, ErrMismatch},
		{"the wrong size", payload, 1024, false, ErrMismatch},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := own
			if c.cid {
				want = big
			}
			if err := verify(iotest.HalfReader(bytes.NewReader(c.payload)), want, c.size); !errors.Is(err, c.err) {
				t.Errorf("got %v want %v", err, c.err)
			}
			if err := verify(Padded(bytes.NewReader(c.payload), max(c.size, 512)), want, c.size); c.err == nil && err != nil {
				t.Errorf("padded: %v", err)
			}
		})
	}
	if err := verify(iotest.ErrReader(io.ErrNoProgress), own, 512); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v", err)
	}
}
