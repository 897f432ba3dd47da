package pieces

import (
	"context"
	"io"

	"github.com/filecoin-project/go-state-types/abi"
)

// Reader reads unsealed data (storage/sealing). Offset and size are of padded bytes of the
// sector; size is a power of two that offset is a multiple of. What comes is the unpadded
// bytes, 127 for each 128.
type Reader interface {
	ReadPiece(ctx context.Context, sector abi.SectorNumber, offset, size abi.PaddedPieceSize) (io.ReadCloser, error)
}

// window reads the unpadded bytes from start on up to at least end of a piece, through
// reads of the sizes that Reader takes, one open at a time.
type window struct {
	ctx  context.Context // of the one reading
	read Reader
	l    Location
	at   uint64 // padded, in the piece: where the next read starts
	end  uint64
	unit uint64 // all bounds are multiples of it
	skip int64  // unpadded bytes before start
	cur  io.ReadCloser
}

// openWindow rounds outwards to a quarter of what is wanted, so that few reads do.
func openWindow(ctx context.Context, read Reader, l Location, start, end uint64) *window {
	from, to := start/127*128, (end+126)/127*128
	unit := uint64(128)
	for unit*4 < to-from && unit*4 <= uint64(l.Size) {
		unit *= 2
	}
	w := &window{ctx: ctx, read: read, l: l, unit: unit}
	w.at = from / unit * unit
	w.end = min((to+unit-1)/unit*unit, uint64(l.Size))
	w.skip = int64(start - w.at/128*127)
	return w
}

// Read implements io.Reader.
func (w *window) Read(p []byte) (int, error) {
	for {
		if w.cur == nil {
			if w.at >= w.end {
				return 0, io.EOF
			}
			if err := w.open(); err != nil {
				return 0, err
			}
		}
		n, err := w.cur.Read(p)
		if err == io.EOF {
			err = w.Close()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// open starts the largest read that is allowed at this place.
func (w *window) open() error {
	size := w.unit
	for w.at%(size*2) == 0 && w.at+size*2 <= w.end {
		size *= 2
	}
	r, err := w.read.ReadPiece(w.ctx, w.l.Sector, w.l.Offset+abi.PaddedPieceSize(w.at), abi.PaddedPieceSize(size))
	if err != nil {
		return err
	}
	w.at += size
	w.cur = r
	if w.skip > 0 {
		skip := w.skip
		w.skip = 0
		if _, err := io.CopyN(io.Discard, r, skip); err != nil {
			return err
		}
	}
	return nil
}

// Close stops reading.
func (w *window) Close() error {
	if w.cur == nil {
		return nil
	}
	err := w.cur.Close()
	w.cur = nil
	return err
}
