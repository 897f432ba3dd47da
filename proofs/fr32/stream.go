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
		if err := checkPadded(src); err != nil {
			return err
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

// UnpadWriter writes on the payload of the padded bytes written to it. It belongs to one
// goroutine.
type UnpadWriter struct {
	w       io.Writer
	partial []byte // less than a chunk
	out     []byte
	err     error // the first one; nothing is written after it
}

// NewUnpadWriter returns a writer in front of w.
func NewUnpadWriter(w io.Writer) *UnpadWriter { return &UnpadWriter{w: w} }

// Write takes padded bytes, in pieces of any length. Bytes that are not padded data are
// ErrNotPadded.
func (u *UnpadWriter) Write(p []byte) (int, error) {
	written := len(p)
	if k := len(u.partial); k > 0 {
		n := min(len(p), Padded-k)
		u.partial = append(u.partial, p[:n]...)
		p = p[n:]
		if len(u.partial) == Padded {
			u.chunks(u.partial)
			u.partial = u.partial[:0]
		}
	}
	for len(p) >= Padded {
		n := min(len(p)/Padded, bufferChunks) * Padded
		u.chunks(p[:n])
		p = p[n:]
	}
	u.partial = append(u.partial, p...)
	if u.err != nil {
		return 0, u.err
	}
	return written, nil
}

// Close checks that the padded bytes were a whole number of chunks; it is
// io.ErrUnexpectedEOF when not. It does not close the writer behind.
func (u *UnpadWriter) Close() error {
	if u.err == nil && len(u.partial) > 0 {
		u.err = fmt.Errorf("padded data ends %d bytes into a chunk: %w", len(u.partial), io.ErrUnexpectedEOF)
	}
	return u.err
}

func (u *UnpadWriter) chunks(p []byte) {
	if u.err != nil {
		return
	}
	if u.err = checkPadded(p); u.err != nil {
		return
	}
	n := len(p) / Padded * Unpadded
	if cap(u.out) < n {
		u.out = make([]byte, n)
	}
	Unpad(u.out[:n], p)
	_, u.err = u.w.Write(u.out[:n])
}

func checkPadded(p []byte) error {
	for i := 0; i < len(p); i += Padded {
		if !padded((*[Padded]byte)(p[i:])) {
			return ErrNotPadded
		}
	}
	return nil
}
