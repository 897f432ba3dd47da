package api

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-jsonrpc"
)

// The codes of errors on the wire (spec api.md A.2).
const (
	CodeParse         = -32700
	CodeRequest       = -32600
	CodeNoMethod      = -32601
	CodeParams        = -32602
	CodeLimit         = -32005
	CodeError         = 1
	CodeOutOfGas      = 2
	CodeReverted      = 3
	CodeActorNotFound = 11
	CodeNullRound     = 12
)

// Error is an error with a code. It crosses the wire, so a caller gets the same value in
// process and over it.
type Error struct {
	Code    int
	Message string
	Data    json.RawMessage
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Is makes errors of one code equal for errors.Is, whatever their text. Plain errors (code 1)
// are equal only to themselves.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && e.Code == t.Code && e.Code != CodeError
}

var (
	// ErrActorNotFound: there is no such actor in that state. Wallets count it as a balance
	// of zero.
	ErrActorNotFound = &Error{Code: CodeActorNotFound, Message: "actor not found"}
	// ErrNullRound: no block was made at the epoch asked for.
	ErrNullRound = &Error{Code: CodeNullRound, Message: "requested epoch was a null round"}
	// ErrOutOfGas: the message needs more gas than it may use.
	ErrOutOfGas = &Error{Code: CodeOutOfGas, Message: "message ran out of gas"}
	// ErrReverted: the message would fail on chain.
	ErrReverted = &Error{Code: CodeReverted, Message: "message execution failed"}
	// ErrLimit: the request asks for more than is given in one.
	ErrLimit = &Error{Code: CodeLimit, Message: "limit exceeded"}
	// ErrNoRole: the node does not run the part that could answer.
	ErrNoRole = &Error{Code: CodeNoRole, Message: "this node does not run that role"}
)

// CodeNoRole is lode's own.
const CodeNoRole = -32010

// With says more about an error of a code: ErrActorNotFound.With("t0123 at epoch %d", 5). The
// text of the code stays in front, since clients look for it.
func (e *Error) With(format string, args ...any) *Error {
	return &Error{Code: e.Code, Message: e.Message + ": " + fmt.Sprintf(format, args...)}
}

// FromJSONRPCError implements the client library's codec.
func (e *Error) FromJSONRPCError(j jsonrpc.JSONRPCError) error {
	e.Code, e.Message = int(j.Code), j.Message
	return nil
}

// ToJSONRPCError implements the client library's codec.
func (e *Error) ToJSONRPCError() (jsonrpc.JSONRPCError, error) {
	return jsonrpc.JSONRPCError{Code: jsonrpc.ErrorCode(e.Code), Message: e.Message}, nil
}
