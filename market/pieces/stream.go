package pieces

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Stream reads a piece's unpadded bytes from any place: an io.ReadSeekCloser. Not safe from
// many goroutines.
type Stream struct {
	ctx  context.Context // of the one reading
	read Reader
	l    Location
	pos  int64
	cur  io.ReadCloser // at pos, or nil
}

// OpenPiece reads a piece from the place given.
func OpenPiece(ctx context.Context, read Reader, l Location) *Stream {
	return &Stream{ctx: ctx, read: read, l: l}
}

// Size is the piece's length in unpadded bytes.
func (s *Stream) Size() int64 { return int64(s.l.Size.Unpadded()) }

// Seek implements io.Seeker; it reads nothing.
func (s *Stream) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.pos
	case io.SeekEnd:
		offset += s.Size()
	}
	if offset < 0 {
		return 0, errors.New("seek before the start")
	}
	if offset != s.pos {
		s.pos = offset
		return s.pos, s.Close()
	}
	return s.pos, nil
}

// Read implements io.Reader.
func (s *Stream) Read(p []byte) (int, error) {
	if s.pos >= s.Size() {
		return 0, io.EOF
	}
	if s.cur == nil {
		r, err := openWindow(s.ctx, s.read, s.l, uint64(s.pos), uint64(s.Size()))
		if err != nil {
			return 0, fmt.Errorf("piece %s in sector %d: %w", s.l.CID, s.l.Sector, err)
		}
		s.cur = r
	}
	n, err := s.cur.Read(p)
	s.pos += int64(n)
	if err == io.EOF && s.pos < s.Size() {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		err = fmt.Errorf("piece %s in sector %d: %w", s.l.CID, s.l.Sector, err)
	}
	return n, err
}

// Close stops reading; a later Read opens again.
func (s *Stream) Close() error {
	if s.cur == nil {
		return nil
	}
	err := s.cur.Close()
	s.cur = nil
	return err
}
