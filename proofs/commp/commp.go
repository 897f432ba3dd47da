package commp

import (
	"errors"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"
)

var errTODO = errors.New("coming")

// Writer computes the CommP of what is written to it.
type Writer struct{}

// New returns an empty writer.
func New() *Writer { return &Writer{} }

// Write takes payload bytes, not padded.
func (w *Writer) Write(p []byte) (int, error) { return 0, errTODO }

// Sum returns the commitment of what was written so far and the size of the piece.
func (w *Writer) Sum() (cid.Cid, abi.PaddedPieceSize, error) { return cid.Undef, 0, errTODO }

// CommD returns the commitment of a sector's data from its pieces, in order; what they leave
// free is zeros.
func CommD(p abi.RegisteredSealProof, pieces []abi.PieceInfo) (cid.Cid, error) {
	return cid.Undef, errTODO
}

// ZeroPiece is the commitment of a piece of zeros.
func ZeroPiece(size abi.PaddedPieceSize) cid.Cid { return cid.Undef }

// Extend returns the commitment of a piece followed by zeros up to a larger size.
func Extend(piece cid.Cid, from, to abi.PaddedPieceSize) (cid.Cid, error) { return cid.Undef, errTODO }
