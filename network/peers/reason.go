package peers

import (
	"errors"
	"fmt"
	"time"
)

// Reason says why a peer was dropped; it is counted, logged and shown.
type Reason string

// The reasons.
const (
	ReasonGenesis   Reason = "genesis"       // another chain
	ReasonHello     Reason = "hello"         // its handshake was malformed or broke off
	ReasonTimeout   Reason = "hello-timeout" // no handshake in time
	ReasonScore     Reason = "score"         // misbehaved too often
	ReasonTooMany   Reason = "too-many-peers"
	ReasonUseless   Reason = "useless" // speaks nothing of ours
	ReasonChurn     Reason = "churn"   // of little use while all places are taken
	ReasonBanned    Reason = "banned"
	ReasonRequested Reason = "requested" // the operator asked for it
	ReasonDead      Reason = "dead"      // it answers nothing any more, although its connection looks open
)

// DropError is a handshake's way to say that the peer must go.
type DropError struct {
	Reason Reason
	Ban    time.Duration // zero: it may come back
	// Malformed says that bytes came which no honest node sends; they cost the peer points.
	Malformed bool
	Err       error
}

// Error implements error.
func (e *DropError) Error() string { return fmt.Sprintf("drop peer (%s): %v", e.Reason, e.Err) }

// Unwrap gives the cause.
func (e *DropError) Unwrap() error { return e.Err }

// Fault is a class of misbehaviour (spec network.md P-09).
type Fault int

// The classes, from light to unforgivable.
const (
	Missing   Fault = iota // did not have what it claimed
	Slow                   // timed out or broke off
	Malformed              // sent what no honest node sends: undecodable, oversize, unasked
	Forged                 // hash or signature proves a lie
	Local                  // an error of our own side, such as a full disk: no fault of the peer
)

// penalty is what a fault costs (spec network.md P-08).
func (f Fault) penalty() float64 {
	switch f {
	case Missing:
		return 2
	case Slow:
		return 1
	case Malformed:
		return 20
	case Local:
		return 0
	default:
		return 100
	}
}

// String names the class.
func (f Fault) String() string {
	switch f {
	case Missing:
		return "missing"
	case Slow:
		return "slow"
	case Malformed:
		return "malformed"
	case Local:
		return "local"
	default:
		return "forged"
	}
}

// ErrSelf: a node does not dial itself.
var ErrSelf = errors.New("that is this node")

// ErrBanned: the peer is banned; the text says until when.
var ErrBanned = errors.New("peer is banned")
