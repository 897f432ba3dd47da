package exchange

import (
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/lodenet/lode/chain/types"
)

//go:generate go run ../gen

// Protocol is the chain exchange's protocol.
const Protocol protocol.ID = "/fil/chain/xchg/0.0.1"

// MaxLength is the most tipsets that one request may ask for: the finality of the chain.
const MaxLength = 900

// Options of a request.
const (
	Headers  uint64 = 1 << 0
	Messages uint64 = 1 << 1
)

// Status of a response.
type Status uint64

// The statuses. Partial is a success: fewer tipsets than asked for, for example because the
// genesis was reached.
const (
	OK            Status = 0
	Partial       Status = 101
	NotFound      Status = 201
	GoAway        Status = 202
	InternalError Status = 203
	BadRequest    Status = 204
)

// String names the status.
func (s Status) String() string {
	switch s {
	case OK:
		return "ok"
	case Partial:
		return "partial"
	case NotFound:
		return "not found"
	case GoAway:
		return "go away"
	case InternalError:
		return "internal error"
	case BadRequest:
		return "bad request"
	default:
		return fmt.Sprintf("status %d", uint64(s))
	}
}

// Request asks for Length tipsets from Head, inclusive, toward the genesis.
type Request struct {
	Head    []cid.Cid `cborgen:"maxlen=128"`
	Length  uint64
	Options uint64
}

// Response is the one answer to a request.
type Response struct {
	Status       Status
	ErrorMessage string
	Chain        []*TipSet `cborgen:"maxlen=900"`
}

// TipSet is one tipset of a response. Without the headers option Blocks is empty, without
// the messages option Messages is nil.
type TipSet struct {
	Blocks   []*types.BlockHeader `cborgen:"maxlen=128"`
	Messages *CompactedMessages
}

// CompactedMessages holds each message of a tipset once. Includes[i] lists which of them the
// i-th block in canonical order has.
type CompactedMessages struct {
	Bls           BlsList
	BlsIncludes   []Indices `cborgen:"maxlen=128"`
	Secpk         SecpkList
	SecpkIncludes []Indices `cborgen:"maxlen=128"`
}
