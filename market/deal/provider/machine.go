package provider

import (
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/market/deal"
)

// publishTries is how many publish messages may leave a deal out before it is given up.
const publishTries = 3

// Action is what a deal needs done next.
type Action string

// The actions. None: the deal has ended or is held for the operator.
const (
	None         Action = ""
	Fetch        Action = "fetch the data"
	AwaitImport  Action = "wait for the data to be imported"
	Publish      Action = "publish"
	AwaitPublish Action = "wait for the publish message"
	AddPiece     Action = "put the piece in a sector"
	Index        Action = "index the blocks"
	Watch        Action = "wait for the sector"
)

// Life is the part of a deal that changes: the machine's state.
type Life struct {
	State   deal.Checkpoint
	Error   string // why it failed, or what hinders it now
	Held    bool   // waits for the operator
	Tries   int    // of the current step, in a row
	Batch   string // key of the publish message that has it
	Batches int    // publish messages so far

	Received uint64     // bytes
	DealID   abi.DealID // meaningful when OnChain; a chain's first deal is number 0
	Message  cid.Cid    // the publish message as on chain
	Place    Placement
	Sector   string // sealing's state of the sector
	Blocks   int    // indexed
	Start    abi.ChainEpoch
	Offline  bool
	Imported bool // offline data has been given
}

// OnChain tells whether the deal was found on chain, and so its id is known.
func (l Life) OnChain() bool { return l.Message.Defined() }

// Event is something that happened to a deal.
type Event interface{ apply(l *Life) }

type (
	// Tick: the head is at a height.
	Tick struct{ Height abi.ChainEpoch }
	// Progress: bytes of data have come.
	Progress struct{ Bytes uint64 }
	// Imported: the operator gave the data of an offline deal.
	Imported struct{}
	// Fetched: the data is here and has the piece's commitment.
	Fetched struct{ Bytes uint64 }
	// Batched: the deal is in a recorded publish message.
	Batched struct{ Key string }
	// Left: the publish message is on chain without the deal, or never will be.
	Left struct{ Reason string }
	// Landed: the deal is on chain.
	Landed struct {
		ID      abi.DealID
		Message cid.Cid
	}
	// Renumbered: a reorg gave the deal another id.
	Renumbered struct{ ID abi.DealID }
	// Placed: the piece is in a sector.
	Placed struct{ Place Placement }
	// BlocksIndexed: retrieval can find the blocks.
	BlocksIndexed struct{ Count int }
	// Sealing: the sector has reached a state.
	Sealing struct{ State string }
	// Activated: the deal is active on chain.
	Activated struct{}
	// Hindered: a step did not work; it is tried again.
	Hindered struct{ Reason string }
	// Failed: the deal will never be active.
	Failed struct{ Reason string }
	// Held: the operator must look.
	Held struct{ Reason string }
	// Cancelled: the operator does not want it; possible before it is published.
	Cancelled struct{}
	// Resumed: the operator wants a held deal to go on.
	Resumed struct{}
)

// Step tells what becomes of a deal. It is pure; an event that does not fit the state
// changes nothing.
func Step(l Life, e Event) Life {
	if l.State == deal.Complete {
		return l
	}
	e.apply(&l)
	return l
}

// Next is what is to be done.
func (l Life) Next() Action {
	if l.Held {
		return None
	}
	switch l.State {
	case deal.Accepted:
		if l.Offline && !l.Imported {
			return AwaitImport
		}
		return Fetch
	case deal.Transferred:
		return Publish
	case deal.Published:
		return AwaitPublish
	case deal.PublishConfirmed:
		return AddPiece
	case deal.AddedPiece:
		return Index
	case deal.Indexed:
		return Watch
	}
	return None
}

// move goes on to the next checkpoint.
func (l *Life) move(from, to deal.Checkpoint) bool {
	if l.State != from {
		return false
	}
	l.State, l.Tries, l.Error = to, 0, ""
	return true
}

func (l *Life) fail(reason string) {
	l.State, l.Error, l.Held = deal.Complete, reason, false
}

func (e Tick) apply(l *Life) {
	if e.Height <= l.Start {
		return
	}
	switch l.State {
	case deal.Accepted, deal.Transferred:
		l.fail(fmt.Sprintf("start epoch %d passed at height %d before the deal was published", l.Start, e.Height))
	case deal.PublishConfirmed:
		l.fail(fmt.Sprintf("start epoch %d passed at height %d before the piece was in a sector", l.Start, e.Height))
	}
}

func (e Progress) apply(l *Life) {
	if l.State == deal.Accepted && e.Bytes >= l.Received {
		l.Received, l.Tries, l.Error = e.Bytes, 0, ""
	}
}

func (Imported) apply(l *Life) {
	if l.State == deal.Accepted && l.Offline {
		l.Imported, l.Held, l.Error = true, false, ""
	}
}

func (e Fetched) apply(l *Life) {
	if (!l.Offline || l.Imported) && l.move(deal.Accepted, deal.Transferred) {
		l.Received = e.Bytes
	}
}

func (e Batched) apply(l *Life) {
	if e.Key != "" && l.move(deal.Transferred, deal.Published) {
		l.Batch = e.Key
		l.Batches++
	}
}

func (e Left) apply(l *Life) {
	if l.State != deal.Published {
		return
	}
	if l.Batches >= publishTries {
		l.fail(fmt.Sprintf("%d publish messages left it out: %s", l.Batches, e.Reason))
		return
	}
	l.State, l.Batch, l.Tries, l.Error = deal.Transferred, "", 0, e.Reason
}

func (e Landed) apply(l *Life) {
	if l.move(deal.Published, deal.PublishConfirmed) {
		l.DealID, l.Message = e.ID, e.Message
	}
}

func (e Renumbered) apply(l *Life) {
	if l.OnChain() {
		l.DealID, l.Tries, l.Error = e.ID, 0, ""
	}
}

func (e Placed) apply(l *Life) {
	if l.move(deal.PublishConfirmed, deal.AddedPiece) {
		l.Place = e.Place
	}
}

func (e BlocksIndexed) apply(l *Life) {
	if l.move(deal.AddedPiece, deal.Indexed) {
		l.Blocks = e.Count
	}
}

func (e Sealing) apply(l *Life) {
	if l.State == deal.AddedPiece || l.State == deal.Indexed {
		l.Sector, l.Tries, l.Error = e.State, 0, ""
	}
}

func (Activated) apply(l *Life) { l.move(deal.Indexed, deal.Complete) }

func (e Hindered) apply(l *Life) { l.Tries, l.Error = l.Tries+1, e.Reason }

func (e Failed) apply(l *Life) { l.fail(e.Reason) }

func (e Held) apply(l *Life) { l.Held, l.Error, l.Imported = true, e.Reason, false }

func (Cancelled) apply(l *Life) {
	if l.State == deal.Accepted || l.State == deal.Transferred {
		l.fail("cancelled by the provider")
	}
}

func (Resumed) apply(l *Life) { l.Held, l.Tries, l.Error = false, 0, "" }
