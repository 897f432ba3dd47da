package pieces

import (
	"context"
	"io"

	"github.com/filecoin-project/go-state-types/abi"
)

// Reader reads unsealed data (storage/sealing). Offset and size are of padded bytes of the
// sector and multiples of 128; what comes is the unpadded bytes, 127 for each 128.
type Reader interface {
	ReadPiece(ctx context.Context, sector abi.SectorNumber, offset, size abi.PaddedPieceSize) (io.ReadCloser, error)
}

// openWindow reads the unpadded bytes of a piece from start on up to at least end, which is
// larger.
func openWindow(ctx context.Context, read Reader, l Location, start, end uint64) (io.ReadCloser, error) {
	from := abi.PaddedPieceSize(start / 127 * 128)
	to := abi.PaddedPieceSize((end + 126) / 127 * 128)
	r, err := read.ReadPiece(ctx, l.Sector, l.Offset+from, to-from)
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, r, int64(start%127)); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}
