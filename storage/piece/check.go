package piece

import (
	"errors"
	"fmt"
	"io"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/proofs/commp"
)

// ErrMismatch: the bytes are not those of the piece.
var ErrMismatch = errors.New("bytes do not match the piece CID")

// Check computes the piece commitment of what is read through it.
type Check struct {
	r io.Reader
	w *commp.Writer
}

// NewCheck reads through r.
func NewCheck(r io.Reader) *Check { return &Check{r, commp.New()} }

// Read implements io.Reader.
func (c *Check) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if n > 0 {
		if _, werr := c.w.Write(p[:n]); werr != nil {
			return n, werr
		}
	}
	return n, err
}

// Verify compares what was read, followed by zeros up to the size, with a piece. The error is
// ErrMismatch when they differ.
func (c *Check) Verify(want cid.Cid, size abi.PaddedPieceSize) error {
	got, have, err := c.w.Sum()
	if err != nil {
		return err
	}
	if have > size {
		return fmt.Errorf("%w: payload needs %d bytes, the piece has %d", ErrMismatch, have, size)
	}
	if have < size {
		if got, err = commp.Extend(got, have, size); err != nil {
			return err
		}
	}
	if got != want {
		return fmt.Errorf("%w: got %s, want %s", ErrMismatch, got, want)
	}
	return nil
}
