package sector

import (
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"
)

// Event is something that happened to a sector.
type Event interface{ event() }

// The events. Those of the first group come from people and timers, those of the second are
// results of the state's work, those of the third come from the chain.
type (
	// Reserved places a piece at Sector.Place's offset; its bytes are still to be written.
	Reserved struct{ Piece Piece }
	// Stored tells that a piece's bytes are on disk, synced.
	Stored struct{ Deal abi.DealID }
	// Dropped gives a reserved piece's place up.
	Dropped struct {
		Deal abi.DealID
		Err  string
	}
	// Seal starts sealing with what is there; a sector without pieces becomes one of
	// committed capacity.
	Seal struct{}
	// Woken is the timer that a Wake action asked for.
	Woken struct{}
	// Retry goes back to work now, by an operator's wish.
	Retry struct{}
	// Terminate ends a live sector early, by an operator's wish.
	Terminate struct{}
	// Remove deletes a sector that is not live, by an operator's wish.
	Remove struct{}

	// Packed gives the whole list of pieces and its commitment.
	Packed struct {
		Pieces []Piece
		CommD  cid.Cid
	}
	// Ticketed gives the sealing randomness.
	Ticketed struct {
		Ticket []byte
		Epoch  abi.ChainEpoch
	}
	// Labelled ends PreCommit1.
	Labelled struct{}
	// Replicated ends PreCommit2.
	Replicated struct{ CommR cid.Cid }
	// Sent tells that the message of the state is with the outbox.
	Sent struct {
		ID         string
		Expiration abi.ChainEpoch // of a pre-commit
	}
	// PreCommitted tells that the chain has the pre-commit.
	PreCommitted struct{ Epoch, Expiration abi.ChainEpoch }
	// Seeded gives the challenge's randomness and the pre-commit's epoch it counts from.
	Seeded struct {
		Seed           []byte
		Epoch          abi.ChainEpoch
		PreCommitEpoch abi.ChainEpoch
	}
	// Proved gives a proof that was verified here.
	Proved struct{ Proof []byte }
	// Activated tells that the chain has the sector.
	Activated struct{ Activation, Expiration abi.ChainEpoch }
	// Finalized ends FinalizeSector.
	Finalized struct{}
	// Renumbered gives every piece's deal its number again.
	Renumbered struct{ Pieces []Piece }
	// Final tells that finality passed since the end.
	Final struct{}
	// Deleted tells that no file is left.
	Deleted struct{}
	// Failed ends any work without its result.
	Failed struct {
		Reason Reason
		Err    string
	}

	// Faulted tells that the sector counts as faulty on chain or cannot be read here.
	Faulted struct{ Err string }
	// Recovered tells that the chain counts the sector as good.
	Recovered struct{}
	// Refreshed gives what the chain says of a live sector; it may have moved in a reorg or
	// been extended.
	Refreshed struct{ Activation, Expiration abi.ChainEpoch }
	// Ended tells that the chain terminated the sector or that it expired.
	Ended struct {
		At  abi.ChainEpoch
		Why string
	}
	// Imported makes a new record of a sector that was sealed elsewhere.
	Imported struct{ Sector Sector }
)

func (Reserved) event()     {}
func (Stored) event()       {}
func (Dropped) event()      {}
func (Seal) event()         {}
func (Woken) event()        {}
func (Retry) event()        {}
func (Terminate) event()    {}
func (Remove) event()       {}
func (Packed) event()       {}
func (Ticketed) event()     {}
func (Labelled) event()     {}
func (Replicated) event()   {}
func (Sent) event()         {}
func (PreCommitted) event() {}
func (Seeded) event()       {}
func (Proved) event()       {}
func (Activated) event()    {}
func (Finalized) event()    {}
func (Renumbered) event()   {}
func (Final) event()        {}
func (Deleted) event()      {}
func (Failed) event()       {}
func (Faulted) event()      {}
func (Recovered) event()    {}
func (Refreshed) event()    {}
func (Ended) event()        {}
func (Imported) event()     {}

// Reason says why work failed, which decides what comes next (spec markets.md C.5).
type Reason string

// The reasons.
const (
	// Passing: nothing is wrong with the sector (disk full, chain not there); the same work is
	// tried again without end.
	Passing Reason = "passing"
	// Broken: the work itself failed.
	Broken Reason = "broken"
	// TicketExpired: the ticket is too old for a pre-commit.
	TicketExpired Reason = "ticket expired"
	// Rejected: the message failed on chain or had no effect; it is sent again under a new number.
	Rejected Reason = "rejected"
	// NoPreCommit: the chain does not have the pre-commit (any more).
	NoPreCommit Reason = "no pre-commit"
	// BadSeed: the pre-commit or the seed moved in a reorg.
	BadSeed Reason = "bad seed"
	// BadProof: the proof does not hold.
	BadProof Reason = "bad proof"
	// DealExpired: a deal can no longer be activated.
	DealExpired Reason = "deal expired"
	// DealMoved: a deal has another number now.
	DealMoved Reason = "deal moved"
	// Fatal: only an operator can decide.
	Fatal Reason = "fatal"
)

// Action is something to be done after an event.
type Action interface{ action() }

type (
	// Run asks for the work of a stage. The number is the record's Entry.
	Run struct {
		Stage Stage
		Entry uint64
	}
	// Wake asks for a Woken event later. It replaces an earlier one; entering a state with
	// work cancels it.
	Wake struct{ After time.Duration }
)

func (Run) action()  {}
func (Wake) action() {}
