package sealing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/filecoin-project/go-state-types/abi"

	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/porep"
)

// ErrNotUnsealed: nothing readable is left of the sector here.
var ErrNotUnsealed = errors.New("sector cannot be read")

// ReadPiece gives the unpadded bytes of a piece of a sector; offset and size are padded and
// whole chunks of 128. It reads the unsealed copy; when there is none, the sector is unsealed
// first and the copy kept. What it returns is an io.Seeker too.
func (s *Sealing) ReadPiece(ctx context.Context, n abi.SectorNumber, offset, size abi.PaddedPieceSize) (io.ReadCloser, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	sec, err := s.store.Get(ctx, n)
	if err != nil {
		return nil, err
	}
	if offset%128 != 0 || size%128 != 0 || size == 0 || size > sec.Size() || offset > sec.Size()-size {
		return nil, fmt.Errorf("sector %d: range %d+%d is not chunks of 128 bytes within its %d", n, offset, size, sec.Size())
	}
	for {
		f, err := s.Files(n).Open(porep.Unsealed)
		if err == nil {
			have, serr := f.Size()
			if serr == nil && uint64(have) >= uint64(offset+size) {
				return &pieceReader{f: f, offset: int64(offset), size: int64(size.Unpadded())}, nil
			}
			return nil, errors.Join(fmt.Errorf("sector %d: %w: its unsealed copy ends at %d", n, ErrNotUnsealed, have), serr, f.Close())
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("sector %d: %w", n, err)
		}
		if err := s.unseal(ctx, n); err != nil {
			return nil, err
		}
	}
}

// unseal makes the unsealed copy anew; one at a time a sector, and of all as many as are
// labelled at once, since it takes as much and anybody may ask for it.
func (s *Sealing) unseal(ctx context.Context, n abi.SectorNumber) error {
	s.mu.Lock()
	if done, ok := s.unsealing[n]; ok {
		s.mu.Unlock()
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	done := make(chan struct{})
	s.unsealing[n] = done
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.unsealing, n)
		s.mu.Unlock()
		close(done)
	}()
	if err := lock(ctx, s.unsealers); err != nil {
		return err
	}
	defer unlock(s.unsealers)
	sec, err := s.store.Get(ctx, n)
	if err != nil {
		return err
	}
	if sec.State.Gone() {
		return fmt.Errorf("sector %d: %w: it is %s", sec.Number, ErrNotUnsealed, sec.State)
	}
	if !sec.CommR.Defined() {
		return fmt.Errorf("sector %d: %w: its data is gone and there is no replica yet", sec.Number, ErrNotUnsealed)
	}
	w, err := s.files.work(sec.Number)
	if err != nil {
		return err
	}
	defer w.discard()
	out, err := w.Create(porep.Unsealed)
	if err != nil {
		return err
	}
	// The data's own file does not exist under its name, so Unseal works from the replica.
	files := hideUnsealed{w}
	err = porep.Unseal(ctx, task(sec), sec.CommD, files, io.NewOffsetWriter(out, 0), 0, int64(sec.Size()))
	if err = errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("sector %d: %w: %w", sec.Number, ErrNotUnsealed, explain(err))
	}
	return w.publish(porep.Unsealed)
}

// hideUnsealed keeps the file that is being written from being read.
type hideUnsealed struct{ *work }

// Open implements porep.Files.
func (h hideUnsealed) Open(name string) (porep.File, error) {
	if name == porep.Unsealed {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return h.work.Open(name)
}

// pieceReader reads a range of a padded file without its padding.
type pieceReader struct {
	f      porep.File
	offset int64 // of the piece, padded
	size   int64 // of the piece, unpadded
	at     int64 // next byte, unpadded
	r      io.Reader
}

var _ io.ReadSeekCloser = (*pieceReader)(nil)

// Read implements io.Reader.
func (p *pieceReader) Read(b []byte) (int, error) {
	if p.at >= p.size {
		return 0, io.EOF
	}
	if p.r == nil {
		chunk := p.at / fr32.Unpadded
		left := (p.size/fr32.Unpadded - chunk) * fr32.Padded
		section := io.NewSectionReader(p.f, p.offset+chunk*fr32.Padded, left)
		p.r = fr32.NewUnpadReader(section, abi.PaddedPieceSize(left))
		if _, err := io.CopyN(io.Discard, p.r, p.at%fr32.Unpadded); err != nil {
			p.r = nil
			return 0, err
		}
	}
	n, err := p.r.Read(b)
	p.at += int64(n)
	return n, err
}

// Seek implements io.Seeker.
func (p *pieceReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += p.at
	case io.SeekEnd:
		offset += p.size
	}
	if offset < 0 {
		return 0, fs.ErrInvalid
	}
	if offset != p.at {
		p.at, p.r = offset, nil
	}
	return offset, nil
}

// Close implements io.Closer.
func (p *pieceReader) Close() error { return p.f.Close() }
