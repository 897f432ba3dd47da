package piece

import (
	"errors"
	"fmt"
	"io"

	"github.com/filecoin-project/go-state-types/abi"
)

// ErrTooLong: the payload has more bytes than its piece.
var ErrTooLong = errors.New("payload is longer than its piece")

// Padded reads a payload and then zeros up to the unpadded size of a piece. A payload that
// is longer gives ErrTooLong after the piece's bytes. The size must be valid.
func Padded(r io.Reader, size abi.PaddedPieceSize) io.Reader {
	return &padded{r: r, left: int64(size.Unpadded()), size: int64(size.Unpadded())}
}

type padded struct {
	r    io.Reader // nil: the payload has ended
	left int64
	size int64 // unpadded
}

// Read implements io.Reader.
func (p *padded) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, p.end()
	}
	b = b[:min(int64(len(b)), p.left)]
	if len(b) == 0 {
		return 0, nil
	}
	if p.r != nil {
		n, err := p.r.Read(b)
		p.left -= int64(n)
		if errors.Is(err, io.EOF) {
			p.r, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
		if p.r != nil {
			return 0, nil
		}
	}
	clear(b)
	p.left -= int64(len(b))
	return len(b), nil
}

func (p *padded) end() error {
	if p.r == nil {
		return io.EOF
	}
	var one [1]byte
	n, err := io.ReadFull(p.r, one[:])
	if n > 0 {
		return fmt.Errorf("%w, which holds %d bytes", ErrTooLong, p.size)
	}
	if errors.Is(err, io.EOF) {
		p.r = nil
	}
	return err
}
