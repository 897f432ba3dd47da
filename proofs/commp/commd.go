package commp

import (
	"fmt"
	"math/bits"
	"sync"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/proofs/commitment"
	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/merkle"
)

// zeros are the roots over 32<<i zero bytes.
var zeros = sync.OnceValue(func() *[64]merkle.Node {
	var z [64]merkle.Node
	for i := 1; i < len(z); i++ {
		z[i] = merkle.Pair(&z[i-1], &z[i-1])
	}
	return &z
})

// ZeroPiece is the commitment of a piece of zeros; cid.Undef when size is no piece's.
func ZeroPiece(size abi.PaddedPieceSize) cid.Cid {
	if checkSize(size) != nil {
		return cid.Undef
	}
	return commitment.UnsealedCID(zeros()[row(size)])
}

// row is the row of a tree at which a subtree of that size has its root.
func row(size abi.PaddedPieceSize) int {
	return bits.TrailingZeros64(uint64(size) / fr32.NodeBytes)
}

// Extend returns the commitment of a piece of size from that zeros follow up to size to.
func Extend(piece cid.Cid, from, to abi.PaddedPieceSize) (cid.Cid, error) {
	n, err := commitment.Unsealed(piece)
	if err != nil {
		return cid.Undef, err
	}
	if err := checkSize(from); err != nil {
		return cid.Undef, err
	}
	if err := checkSize(to); err != nil {
		return cid.Undef, err
	}
	if to < from {
		return cid.Undef, fmt.Errorf("piece of %d bytes does not fit into %d", from, to)
	}
	return commitment.UnsealedCID(extend(n, from, to)), nil
}

func extend(n merkle.Node, from, to abi.PaddedPieceSize) merkle.Node {
	for r := row(from); r < row(to); r++ {
		n = merkle.Pair(&n, &zeros()[r])
	}
	return n
}

// CommD returns the commitment of a sector's data from its pieces in order, each starting at
// the next multiple of its size, with zeros in the gaps and behind the last (spec: 1.3).
// Pieces that are no pieces, or more than the sector holds, are an error.
func CommD(p abi.RegisteredSealProof, pieces []abi.PieceInfo) (cid.Cid, error) {
	sector, err := p.SectorSize()
	if err != nil {
		return cid.Undef, err
	}
	size := abi.PaddedPieceSize(sector)
	var s stack
	for i, piece := range pieces {
		n, err := commitment.Unsealed(piece.PieceCID)
		if err != nil {
			return cid.Undef, fmt.Errorf("piece %d: %w", i, err)
		}
		if err := checkSize(piece.Size); err != nil {
			return cid.Undef, fmt.Errorf("piece %d: %w", i, err)
		}
		if piece.Size > size {
			return cid.Undef, fmt.Errorf("piece %d of %d bytes does not fit into a sector of %d", i, piece.Size, size)
		}
		for len(s) > 0 && s.top().size < piece.Size {
			s.push(zeros()[row(s.top().size)], s.top().size)
		}
		s.push(n, piece.Size)
		if s.total() > size {
			return cid.Undef, fmt.Errorf("pieces up to %d need %d bytes of a sector of %d", i, s.total(), size)
		}
	}
	if len(s) == 0 {
		return ZeroPiece(size), nil
	}
	for len(s) > 1 {
		s.push(zeros()[row(s.top().size)], s.top().size)
	}
	return commitment.UnsealedCID(extend(s[0].root, s[0].size, size)), nil
}

// stack has subtrees of falling size, from the sector's start.
type stack []subtree

type subtree struct {
	root merkle.Node
	size abi.PaddedPieceSize
}

func (s stack) top() subtree { return s[len(s)-1] }

func (s stack) total() (sum abi.PaddedPieceSize) {
	for _, t := range s {
		sum += t.size
	}
	return sum
}

// push adds a subtree and joins those of equal size.
func (s *stack) push(root merkle.Node, size abi.PaddedPieceSize) {
	*s = append(*s, subtree{root, size})
	for n := len(*s); n > 1 && (*s)[n-2].size == (*s)[n-1].size; n-- {
		left, right := (*s)[n-2], (*s)[n-1]
		*s = append((*s)[:n-2], subtree{merkle.Pair(&left.root, &right.root), 2 * left.size})
	}
}

// Alignment says how many zero bytes go before and behind a piece of so many payload bytes
// when so many have been written to the sector. All counts are unpadded bytes (spec: 1.4).
func Alignment(written, piece abi.UnpaddedPieceSize) (before, behind abi.UnpaddedPieceSize) {
	need := PieceSize(uint64(piece)).Unpadded()
	if over := written % need; over > 0 {
		before = need - over
	}
	return before, need - piece
}
