package dag

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/market/car"
)

// Stream is the CAR of one piece: a ReadSeekCloser over blocks, so that a transfer can go
// on where it broke off. Not safe from many goroutines.
type Stream struct {
	ctx  context.Context // of the one reading
	from types.Blocks
	root cid.Cid
	span span

	pos  int64  // of the next Read
	rest []byte // bytes at pos already made
	next func() (block, error, bool)
	stop func()
	at   int64 // position of the next block of the walk in the CAR
}

var _ io.ReadSeekCloser = (*Stream)(nil)

// Size is the length of the CAR in bytes.
func (s *Stream) Size() uint64 { return s.span.size }

// Seek implements io.Seeker; it reads nothing.
func (s *Stream) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.pos
	case io.SeekEnd:
		offset += int64(s.span.size)
	}
	if offset < 0 {
		return 0, errors.New("seek before the start")
	}
	if offset != s.pos {
		s.reset()
		s.pos = offset
	}
	return s.pos, nil
}

// Close ends the walk.
func (s *Stream) Close() error {
	s.reset()
	return nil
}

func (s *Stream) reset() {
	if s.stop != nil {
		s.stop()
	}
	s.next, s.stop, s.rest = nil, nil, nil
}

// Read implements io.Reader.
func (s *Stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(s.rest) == 0 {
		if s.pos >= int64(s.span.size) {
			return 0, io.EOF
		}
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	s.pos += int64(n)
	return n, nil
}

// fill makes the bytes of the section that pos is in, or of the header. Blocks before pos
// are passed over unread.
func (s *Stream) fill() error {
	if s.next == nil {
		s.next, s.stop = iter.Pull2(walk(s.ctx, s.from, s.root))
		for range s.span.first {
			if _, err, ok := s.next(); err != nil || !ok {
				return s.short(err)
			}
		}
		head := car.Header(s.root)
		s.at = int64(len(head))
		if s.pos < s.at {
			s.rest = head[s.pos:]
			return nil
		}
	}
	b, err, ok := s.next()
	if err != nil || !ok {
		return s.short(err)
	}
	start := s.at
	s.at += int64(car.SectionSize(b.c, b.size))
	if s.pos >= s.at {
		return nil
	}
	blk, err := s.from.Get(s.ctx, b.c)
	if err != nil {
		return err
	}
	if uint64(len(blk.RawData())) != b.size {
		return fmt.Errorf("block %s has %d bytes, its parent says %d", b.c, len(blk.RawData()), b.size)
	}
	sec := append(car.SectionHead(b.c, b.size), blk.RawData()...)
	s.rest = sec[s.pos-start:]
	return nil
}

func (s *Stream) short(err error) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("file %s: its blocks end before the planned piece: %w", s.root, io.ErrUnexpectedEOF)
}
