package client

import (
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/market/deal"
)

// State is how far a deal is, as its client sees it (spec markets.md A.6).
type State string

// The states. The last five are ends, but for Active, which is watched for its own end.
const (
	Funding      State = "funding" // the market escrow is being filled
	Signing      State = "signing"
	Proposing    State = "proposing"
	Accepted     State = "accepted"
	Transferring State = "transferring"
	Publishing   State = "publishing"
	Published    State = "published"
	Sealing      State = "sealing"
	Active       State = "active"
	Expired      State = "expired"
	Slashed      State = "slashed"
	Rejected     State = "rejected"
	Failed       State = "failed"
)

// order lets a deal only move forward.
func (s State) order() int {
	for i, x := range []State{Funding, Signing, Proposing, Accepted, Transferring, Publishing, Published, Sealing, Active} {
		if s == x {
			return i
		}
	}
	return 100
}

// Ended tells whether nothing will happen any more.
func (s State) Ended() bool { return s.order() == 100 }

// Action is what a deal needs done next.
type Action string

// The actions.
const (
	None    Action = ""
	Fund    Action = "fill the market escrow"
	Sign    Action = "sign the proposal"
	Propose Action = "propose to the provider"
	Follow  Action = "follow the deal"
)

// Life is the part of a deal that changes: the machine's state.
type Life struct {
	State      State
	Error      string // why it ended, or what hinders it now
	Tries      int    // of the current step, in a row
	Start, End abi.ChainEpoch
	Offered    bool // the proposal may have reached the provider
	Sent       uint64
	Found      bool // on chain, as DealID; a chain's first deal is number 0
	DealID     abi.DealID
	Message    cid.Cid
	Checkpoint deal.Checkpoint // the provider's word
	Sector     string          // sealing's state, the provider's word
}

// Event is something that happened to a deal.
type Event interface{ apply(l *Life) }

type (
	// Tick: the head is at a height.
	Tick struct{ Height abi.ChainEpoch }
	// Funded: the escrow has what the deal needs.
	Funded struct{}
	// Signed: the proposal is signed, for these epochs.
	Signed struct{ Start, End abi.ChainEpoch }
	// Offered: the proposal is about to be sent.
	Offered struct{}
	// Answered: the provider took it or did not.
	Answered struct {
		Accepted bool
		Message  string
	}
	// Told: the provider reports on the deal.
	Told struct {
		Checkpoint deal.Checkpoint
		Error      string
		Bytes      uint64
		Sector     string
	}
	// OnChain: the deal was found on chain under an id.
	OnChain struct {
		ID      abi.DealID
		Message cid.Cid
		Active  bool
	}
	// Renumbered: a reorg gave the deal another id.
	Renumbered struct{ ID abi.DealID }
	// Gone: the deal was on chain and is not any more, at a height.
	Gone struct{ Height abi.ChainEpoch }
	// SlashedAt: the sector was terminated.
	SlashedAt struct{ Epoch abi.ChainEpoch }
	// Hindered: a step did not work; it is tried again.
	Hindered struct{ Reason string }
	// Cancelled: the user does not want it; possible before it is proposed.
	Cancelled struct{}
	// GivenUp: a step cannot work.
	GivenUp struct{ Reason string }
)

// Step tells what becomes of a deal. It is pure; an event that does not fit the state
// changes nothing.
func Step(l Life, e Event) Life {
	if l.State.Ended() {
		return l
	}
	e.apply(&l)
	return l
}

// Next is what is to be done.
func (l Life) Next() Action {
	switch l.State {
	case Funding:
		return Fund
	case Signing:
		return Sign
	case Proposing:
		return Propose
	case Accepted, Transferring, Publishing, Published, Sealing:
		return Follow
	}
	return None
}

// forward moves on, never back.
func (l *Life) forward(to State) {
	if to.order() > l.State.order() {
		l.State = to
	}
	l.Tries, l.Error = 0, ""
}

func (l *Life) end(s State, why string) { l.State, l.Error = s, why }

func (e Tick) apply(l *Life) {
	if l.State.order() > Signing.order() && l.State.order() < Published.order() && e.Height > l.Start {
		l.end(Failed, fmt.Sprintf("start epoch %d passed at height %d before the provider published the deal (last: %s)", l.Start, e.Height, orNothing(l.Error)))
	}
}

func orNothing(s string) string {
	if s == "" {
		return "no word of a problem"
	}
	return s
}

func (Funded) apply(l *Life) {
	if l.State == Funding {
		l.forward(Signing)
	}
}

func (e Signed) apply(l *Life) {
	if l.State == Signing {
		l.forward(Proposing)
		l.Start, l.End = e.Start, e.End
	}
}

func (Offered) apply(l *Life) {
	if l.State == Proposing {
		l.Offered = true
	}
}

func (e Answered) apply(l *Life) {
	switch {
	case l.State != Proposing:
	case e.Accepted:
		l.forward(Accepted)
	default:
		l.end(Rejected, e.Message)
	}
}

func (e Told) apply(l *Life) {
	if l.State.order() < Accepted.order() || l.State == Active {
		return
	}
	l.Checkpoint, l.Sector = e.Checkpoint, e.Sector
	l.Sent = max(l.Sent, e.Bytes)
	if e.Checkpoint == deal.Complete && e.Error != "" {
		l.end(Failed, "the provider gave it up: "+e.Error)
		return
	}
	// Published and beyond are believed from the chain only.
	switch e.Checkpoint {
	case deal.Accepted:
		if e.Bytes > 0 {
			l.forward(Transferring)
		}
	case deal.Transferred, deal.Published:
		l.forward(Publishing)
	case deal.AddedPiece, deal.Indexed, deal.Complete:
		if l.Found {
			l.forward(Sealing)
		}
	}
	l.Tries, l.Error = 0, ""
	if e.Error != "" {
		l.Error = "the provider says: " + e.Error
	}
}

func (e OnChain) apply(l *Life) {
	if l.State.order() < Proposing.order() || (l.Found && l.DealID != e.ID) {
		return
	}
	l.Found, l.DealID = true, e.ID
	if e.Message.Defined() {
		l.Message = e.Message
	}
	l.forward(Published)
	if e.Active {
		l.forward(Active)
	}
}

func (e Renumbered) apply(l *Life) {
	if l.Found {
		l.DealID = e.ID
	}
}

func (e Gone) apply(l *Life) {
	switch {
	case !l.Found:
	case e.Height >= l.End && l.State == Active:
		l.end(Expired, "")
	case l.State == Active:
		l.end(Slashed, fmt.Sprintf("deal %d ended at height %d before its end epoch %d", l.DealID, e.Height, l.End))
	case e.Height > l.Start:
		l.end(Failed, fmt.Sprintf("deal %d was not active by its start epoch %d; the price was never paid", l.DealID, l.Start))
	}
}

func (e SlashedAt) apply(l *Life) {
	if l.Found {
		l.end(Slashed, fmt.Sprintf("the provider's sector was terminated at epoch %d", e.Epoch))
	}
}

func (e Hindered) apply(l *Life) { l.Tries, l.Error = l.Tries+1, e.Reason }

func (e GivenUp) apply(l *Life) { l.end(Failed, e.Reason) }

func (Cancelled) apply(l *Life) {
	if l.State.order() < Proposing.order() {
		l.end(Failed, "cancelled")
	}
}
