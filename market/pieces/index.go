package pieces

import (
	"context"
	"database/sql"
	"io"

	"github.com/filecoin-project/go-state-types/abi"
)

// Reader reads unsealed data (storage/sealing). Offset and size are of padded bytes and
// multiples of 128; what comes is the unpadded bytes, 127 for each 128.
type Reader interface {
	ReadPiece(ctx context.Context, sector abi.SectorNumber, offset, size abi.PaddedPieceSize) (io.ReadCloser, error)
}

// Index is the table of blocks and pieces.
type Index struct {
	db *sql.DB
}
