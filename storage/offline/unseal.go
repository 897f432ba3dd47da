package offline

import (
	"context"
	"fmt"
	"io"

	"github.com/lodenet/lode/proofs/commp"
	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/porep"
)

// Unseal writes length bytes of the payload, from offset on, decoded from the replica. When
// it is the whole payload, it is checked against CommP, and what is not it is
// porep.ErrMismatch, after the writing; of a part, only what cannot be padded data is found
// out.
func (s *Sector) Unseal(ctx context.Context, w io.Writer, offset, length int64) error {
	if offset < 0 || length < 0 || offset > s.Payload || length > s.Payload-offset {
		return fmt.Errorf("%d bytes from %d are not within the %d of the payload", length, offset, s.Payload)
	}
	if length == 0 {
		return nil
	}
	d := newFolder(s.dir)
	defer d.discard()
	piece, whole := commp.New(), length == s.Payload
	if whole {
		w = io.MultiWriter(w, piece)
	}
	from, n := chunks(offset, length)
	out := fr32.NewUnpadWriter(&part{w: w, skip: offset % fr32.Unpadded, left: length})
	if err := porep.Unseal(ctx, s.task(), s.CommD, d, out, from, n); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	if whole {
		if got, _, err := piece.Sum(); err != nil || got != s.Piece {
			return fmt.Errorf("what was decoded has CommP %v, not %v: %w", got, s.Piece, porep.ErrMismatch)
		}
	}
	return nil
}

// part writes on a part of what is written to it.
type part struct {
	w          io.Writer
	skip, left int64
}

// Write implements io.Writer.
func (p *part) Write(b []byte) (int, error) {
	n := len(b)
	skip := min(p.skip, int64(len(b)))
	p.skip -= skip
	b = b[skip:]
	b = b[:min(int64(len(b)), p.left)]
	p.left -= int64(len(b))
	if len(b) > 0 {
		if _, err := p.w.Write(b); err != nil {
			return 0, err
		}
	}
	return n, nil
}
