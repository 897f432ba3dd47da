package tunnel

import "errors"

// Reason says how a stream came to its end, or why it never began; it is counted and shown.
type Reason string

// The reasons.
const (
	ReasonEOF     Reason = "eof"          // both directions were carried to their end
	ReasonLocal   Reason = "local-error"  // the local connection broke
	ReasonStream  Reason = "stream-error" // the libp2p stream broke, or the other side reset it
	ReasonLinger  Reason = "linger"       // one direction had ended and the other carried nothing for too long
	ReasonIdle    Reason = "idle"         // nothing moved for longer than the settings allow
	ReasonClosed  Reason = "closed"       // the operator asked for it
	ReasonStopped Reason = "stopped"      // the node stops

	// Set-ups that failed.
	ReasonTarget Reason = "target-unreachable" // an offer's target did not answer
	ReasonOpen   Reason = "open-stream"        // the other peer could not be reached, or does not offer it

	// Refused at the door.
	ReasonDenied   Reason = "peer-not-allowed"
	ReasonUnknown  Reason = "not-offered"
	ReasonTotal    Reason = "too-many-streams"
	ReasonPerPeer  Reason = "too-many-streams-of-peer"
	ReasonRemoving Reason = "shutting-down"
)

var (
	// ErrRegistered: there is a tunnel of that protocol, or on that port, already.
	ErrRegistered = errors.New("listener already registered")
	// ErrTooMany: the limit of listeners is reached; close one, or raise it in the settings.
	ErrTooMany = errors.New("too many tunnel listeners")
	// ErrStopped: tunnels have ended with the node.
	ErrStopped = errors.New("tunnels have stopped")
	// ErrNoStream: no stream has that number; it may have ended.
	ErrNoStream = errors.New("no such tunnel stream")
	// ErrNoMatch: a request to close names nothing, or all and something.
	ErrNoMatch = errors.New("what to close")
	// ErrGone: there is no such listener.
	ErrGone = errors.New("no such tunnel listener")
)

// endError is the cause with which a stream's context is cancelled.
type endError struct{ why Reason }

func (e endError) Error() string { return "tunnel stream ended: " + string(e.why) }
