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
)

// Writer computes the CommP of the payload written to it. It belongs to one goroutine.
type Writer struct {
	payload uint64
	rest    []byte           // less than a chunk
	left    [64]*merkle.Node // per row, a node that waits for its right neighbour
	padded  []byte           // scratch
	nodes   []merkle.Node    // scratch
}

// New returns an empty writer.
func New() *Writer {
	return &Writer{
		rest:   make([]byte, 0, chunkBytes),
		padded: make([]byte, chunkPadded),
		nodes:  make([]merkle.Node, chunkNodes),
	}
}

// Write takes payload bytes, not padded, in pieces of any length. It always takes all.
func (w *Writer) Write(p []byte) (int, error) {
	n := len(p)
	w.payload += uint64(n)
	if len(w.rest) > 0 {
		k := min(len(p), chunkBytes-len(w.rest))
		w.rest = append(w.rest, p[:k]...)
		p = p[k:]
		if len(w.rest) == chunkBytes {
			w.push(w.hash(w.rest, chunkPadded))
			w.rest = w.rest[:0]
		}
	}
	for ; len(p) >= chunkBytes; p = p[chunkBytes:] {
		w.push(w.hash(p[:chunkBytes], chunkPadded))
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
	if size <= chunkPadded && len(w.rest) > 0 {
		return commitment.UnsealedCID(w.hash(w.rest, int(size))), size, nil
	}
	var right *merkle.Node
	if len(w.rest) > 0 {
		n := w.hash(w.rest, chunkPadded)
		right = &n
	}
	top := bits.TrailingZeros64(uint64(size) / fr32.NodeBytes)
	zero := zeros()
	for row := chunkLevel; row < top; row++ {
		switch left := w.left[row]; {
		case left != nil && right != nil:
			n := merkle.Pair(left, right)
			right = &n
		case left != nil:
			n := merkle.Pair(left, &zero[row])
			right = &n
		case right != nil:
			n := merkle.Pair(right, &zero[row])
			right = &n
		}
	}
	if right == nil {
		right = w.left[top]
	}
	return commitment.UnsealedCID(*right), size, nil
}

// hash is the root over payload, followed by zeros up to a padded size of at most a chunk.
func (w *Writer) hash(payload []byte, padded int) merkle.Node {
	whole := len(payload) / fr32.Unpadded
	fr32.Pad(w.padded, payload)
	end := whole * fr32.Padded
	clear(w.padded[end:padded])
	if tail := payload[whole*fr32.Unpadded:]; len(tail) > 0 {
		var last [fr32.Unpadded]byte
		copy(last[:], tail)
		fr32.Pad(w.padded[end:], last[:])
	}
	nodes := w.nodes[:padded/fr32.NodeBytes]
	for i := range nodes {
		copy(nodes[i][:], w.padded[i*fr32.NodeBytes:])
	}
	for len(nodes) > 1 {
		if err := merkle.HashPairs(nodes, nodes); err != nil {
			panic(err) // the number of nodes is a power of two
		}
		nodes = nodes[:len(nodes)/2]
	}
	return nodes[0]
}

// push adds the root of a chunk on the right.
func (w *Writer) push(n merkle.Node) {
	row := chunkLevel
	for ; w.left[row] != nil; row++ {
		n = merkle.Pair(w.left[row], &n)
		w.left[row] = nil
	}
	w.left[row] = &n
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
