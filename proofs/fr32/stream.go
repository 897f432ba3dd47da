package fr32

import (
	"errors"
	"fmt"
	"io"

	"github.com/filecoin-project/go-state-types/abi"
)

// ErrNotPadded: a byte stream that should be padded has a bit set where padding has zeros.
var ErrNotPadded = errors.New("not fr32-padded data")

const bufferChunks = 256

// NewPadReader returns a reader of exactly size bytes: the padding of the first 127/128 of
// size bytes of r, which it does not read beyond. r ending early is io.ErrUnexpectedEOF; a
// size that is not a whole number of chunks is an error of the first Read. The reader
// belongs to one goroutine.
func NewPadReader(r io.Reader, size abi.PaddedPieceSize) io.Reader {
	return newConverter(r, uint64(size), Unpadded, Padded, func(dst, src []byte) error {
		Pad(dst, src)
		return nil
	})
}

// NewUnpadReader returns a reader of the 127/128 of size bytes that size padded bytes of r
// stand for. It does not read r beyond size bytes. r ending early is io.ErrUnexpectedEOF;
// bytes that are not padded data are ErrNotPadded. The reader belongs to one goroutine.
func NewUnpadReader(r io.Reader, size abi.PaddedPieceSize) io.Reader {
	return newConverter(r, uint64(size), Padded, Unpadded, func(dst, src []byte) error {
		for i := 0; i < len(src); i += Padded {
			if !padded((*[Padded]byte)(src[i:])) {
				return ErrNotPadded
			}
		}
		Unpad(dst, src)
		return nil
	})
}

// converter reads chunks of one length and gives chunks of another.
type converter struct {
	r                 io.Reader
	left              uint64 // chunks still to read
	chunkIn, chunkOut int
	convert           func(dst, src []byte) error
	in, out           []byte // whole buffers
	ready             []byte // the part of out not given yet
	err               error
}

func newConverter(r io.Reader, padded uint64, in, out int, convert func(dst, src []byte) error) *converter {
	c := &converter{r: r, left: padded / Padded, chunkIn: in, chunkOut: out, convert: convert}
	if padded%Padded != 0 {
		c.err = fmt.Errorf("padded size %d is not a multiple of %d", padded, Padded)
		return c
	}
	n := int(min(c.left, bufferChunks))
	c.in, c.out = make([]byte, n*in), make([]byte, n*out)
	return c
}

func (c *converter) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(c.ready) == 0 && c.err == nil {
		c.err = c.fill()
	}
	if len(c.ready) == 0 {
		return 0, c.err
	}
	n := copy(p, c.ready)
	c.ready = c.ready[n:]
	return n, nil
}

func (c *converter) fill() error {
	if c.left == 0 {
		return io.EOF
	}
	n := int(min(c.left, bufferChunks))
	in, out := c.in[:n*c.chunkIn], c.out[:n*c.chunkOut]
	if _, err := io.ReadFull(c.r, in); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("%d chunks of %d bytes before the end: %w", c.left, c.chunkIn, err)
	}
	if err := c.convert(out, in); err != nil {
		return err
	}
	c.ready = out
	c.left -= uint64(n)
	return nil
}
