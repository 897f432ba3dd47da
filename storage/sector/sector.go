package sector

import (
	"math/bits"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"
)

// Sector is all that is kept of a sector. It is a value: Rules.Apply returns a changed copy.
type Sector struct {
	Miner     abi.ActorID
	Number    abi.SectorNumber
	SealProof abi.RegisteredSealProof
	State     State
	Version   uint64 // events applied so far
	Entry     uint64 // jobs given out so far; the last one is the one that counts
	Timer     bool   // a Wake was asked for and has not come

	Pieces []Piece // by offset

	Ticket      []byte // 32 bytes
	TicketEpoch abi.ChainEpoch
	CommD       cid.Cid
	CommR       cid.Cid

	PreCommit      Send
	PreCommitEpoch abi.ChainEpoch // as the chain says
	Seed           []byte         // 32 bytes
	SeedEpoch      abi.ChainEpoch
	Proof          []byte // succinct proof of replication
	Commit         Send
	Activation     abi.ChainEpoch
	Expiration     abi.ChainEpoch // planned, then as the chain says
	Terminate      Send
	EndedAt        abi.ChainEpoch // when the chain ended it

	// Return is the state that a failed sector goes back to.
	Return State
	// Attempts counts failures since the last success; Label, Replicate and Prove count those
	// of C.5 since sealing began.
	Attempts                        int
	LabelFails, ReplicateFails, Bad int
	LastError                       string
}

// Send is one message that may have to be sent again under a new number.
type Send struct {
	Try uint64 // 0 is the first
	ID  string // the outbox's name of it; empty before it was sent
}

// Piece is a part of a sector. A nil Deal makes it filler.
type Piece struct {
	CID    cid.Cid
	Size   abi.PaddedPieceSize
	Offset abi.PaddedPieceSize
	Deal   *Deal
	Stored bool // its bytes are on disk, synced
}

// Deal is what a sector has to know of a deal.
type Deal struct {
	ID             abi.DealID
	PublishMessage cid.Cid
	Proposal       []byte // CBOR of the published proposal
	Start, End     abi.ChainEpoch
	KeepUnsealed   bool
}

// New is a sector that waits for pieces; Rules.Apply never sees an older one.
func New(miner abi.ActorID, n abi.SectorNumber, p abi.RegisteredSealProof) Sector {
	return Sector{Miner: miner, Number: n, SealProof: p, State: WaitDeals}
}

// Size is the sector's size in bytes; 0 for an unknown proof type.
func (s Sector) Size() abi.PaddedPieceSize {
	n, err := s.SealProof.SectorSize()
	if err != nil {
		return 0
	}
	return abi.PaddedPieceSize(n)
}

// Used is the offset after the last piece.
func (s Sector) Used() abi.PaddedPieceSize {
	if len(s.Pieces) == 0 {
		return 0
	}
	last := s.Pieces[len(s.Pieces)-1]
	return last.Offset + last.Size
}

// Place is where a piece of this size would start: the next multiple of its size. ok is
// false when it does not fit, or when the sector takes none now. The chain computes the data's
// commitment from the deals alone, so a sector has no gap but the one that aligning makes.
func (s Sector) Place(size abi.PaddedPieceSize) (offset abi.PaddedPieceSize, ok bool) {
	if size.Validate() != nil || s.State != WaitDeals {
		return 0, false
	}
	offset = (s.Used() + size - 1) / size * size
	return offset, offset+size <= s.Size()
}

// Fillers are the zero pieces between two offsets, each aligned to its own size. Both must
// be multiples of 128.
func Fillers(from, to abi.PaddedPieceSize) []Piece {
	var out []Piece
	for from < to {
		size := abi.PaddedPieceSize(1) << (bits.Len64(uint64(to-from)) - 1)
		if from > 0 {
			size = min(size, from&-from)
		}
		out = append(out, Piece{Size: size, Offset: from, Stored: true})
		from += size
	}
	return out
}

// Deals lists the numbers of the sector's deals, in the order of the pieces.
func (s Sector) Deals() []abi.DealID {
	var out []abi.DealID
	for _, p := range s.Pieces {
		if p.Deal != nil {
			out = append(out, p.Deal.ID)
		}
	}
	return out
}

// Piece finds the piece of a deal.
func (s Sector) Piece(id abi.DealID) (Piece, bool) {
	if i := s.find(id); i >= 0 {
		return s.Pieces[i], true
	}
	return Piece{}, false
}

func (s Sector) find(id abi.DealID) int {
	for i, p := range s.Pieces {
		if p.Deal != nil && p.Deal.ID == id {
			return i
		}
	}
	return -1
}

// LastEnd is the last epoch that a deal of the sector needs it; 0 without deals.
func (s Sector) LastEnd() abi.ChainEpoch {
	var end abi.ChainEpoch
	for _, p := range s.Pieces {
		if p.Deal != nil {
			end = max(end, p.Deal.End)
		}
	}
	return end
}

// FirstStart is the earliest start of a deal of the sector; ok is false without deals.
func (s Sector) FirstStart() (start abi.ChainEpoch, ok bool) {
	for _, p := range s.Pieces {
		if p.Deal != nil && (!ok || p.Deal.Start < start) {
			start, ok = p.Deal.Start, true
		}
	}
	return start, ok
}

func (s Sector) stored() bool {
	for _, p := range s.Pieces {
		if !p.Stored {
			return false
		}
	}
	return true
}
