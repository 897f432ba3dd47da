package commp

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/proofs/commitment"
	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/merkle"
)

// ErrEmpty: no bytes, so no piece.
var ErrEmpty = errors.New("an empty payload has no piece commitment")

const (
	// MinPiece is the smallest piece.
	MinPiece = abi.PaddedPieceSize(fr32.Padded)

	chunkLevel  = 12 // rows above the leaves that are hashed at once
	chunkNodes  = 1 << chunkLevel
	chunkPadded = chunkNodes * fr32.NodeBytes
	chunkBytes  = chunkPadded / fr32.Padded * fr32.Unpadded

	batchChunks = 16 // that are hashed on all cores together
	batchBytes  = batchChunks * chunkBytes
)

// Writer computes the CommP of the payload written to it. It belongs to one goroutine.
type Writer struct {
	payload uint64
	rest    []byte // less than a batch
	forest  forest
}

// New returns an empty writer.
func New() *Writer { return &Writer{} }

// Write takes payload bytes, not padded, in pieces of any length. It always takes all.
func (w *Writer) Write(p []byte) (int, error) {
	n := len(p)
	w.payload += uint64(n)
	if len(w.rest) > 0 {
		k := min(len(p), batchBytes-len(w.rest))
		w.rest = append(w.rest, p[:k]...)
		p = p[k:]
		if len(w.rest) == batchBytes {
			w.forest.push(w.rest)
			w.rest = w.rest[:0]
		}
	}
	for ; len(p) >= batchBytes; p = p[batchBytes:] {
		w.forest.push(p[:batchBytes])
	}
	w.rest = append(w.rest, p...)
	return n, nil
}

// Sum returns the commitment of what was written so far, and the size of the piece: the
// smallest that holds it, the end filled with zeros. It is ErrEmpty when nothing was
// written. Writing can go on afterwards.
func (w *Writer) Sum() (cid.Cid, abi.PaddedPieceSize, error) {
	if w.payload == 0 {
		return cid.Undef, 0, ErrEmpty
	}
	size := PieceSize(w.payload)
	f, rest := w.forest, w.rest // the writer's own goes on from where it is
	whole := len(rest) / chunkBytes * chunkBytes
	f.push(rest[:whole])
	rest = rest[whole:]
	if size <= chunkPadded && len(rest) > 0 {
		return commitment.UnsealedCID(newScratch(int(size)).root(rest, int(size))), size, nil
	}
	var right *merkle.Node
	if len(rest) > 0 {
		n := newScratch(chunkPadded).root(rest, chunkPadded)
		right = &n
	}
	return commitment.UnsealedCID(f.root(right, bits.TrailingZeros64(uint64(size)/fr32.NodeBytes))), size, nil
}

// PieceSize is the size of the smallest piece that holds so many payload bytes.
func PieceSize(payload uint64) abi.PaddedPieceSize {
	chunks := max(1, (payload+fr32.Unpadded-1)/fr32.Unpadded)
	return abi.PaddedPieceSize(fr32.Padded << bits.Len64(chunks-1))
}

// checkSize refuses what is no piece's size.
func checkSize(size abi.PaddedPieceSize) error {
	if err := size.Validate(); err != nil {
		return fmt.Errorf("piece size %d: %w", size, err)
	}
	return nil
}
