package mpool

import "errors"

// ErrInvalid: no chain that extends this one can take the message. Who sent it broke a rule.
// The errors below that say so are of its kind.
var ErrInvalid = errors.New("message is invalid")

// invalid is an error of the kind ErrInvalid.
type invalid string

func (e invalid) Error() string { return string(e) }

func (e invalid) Is(target error) bool { return target == ErrInvalid }

// Failures of the kind ErrInvalid.
var (
	ErrTooBig     error = invalid("message is longer than 64 KiB")
	ErrSyntax     error = invalid("message breaks a rule of syntax")
	ErrSender     error = invalid("sender has no key that could sign")
	ErrSignature  error = invalid("message has no valid signature of its sender")
	ErrNotAccount error = invalid("sender is not an account")
)

// Failures that depend on the moment: the message may be fine later, or was fine before.
var (
	// ErrPresent: the message is in the pool already.
	ErrPresent = errors.New("message is already pending")
	// ErrNonceTooLow: a message with the nonce is on chain.
	ErrNonceTooLow = errors.New("nonce is already on chain")
	// ErrNonceGap: too many messages before it are missing.
	ErrNonceGap = errors.New("messages with smaller nonces are missing")
	// ErrPremiumTooLow: a message with the nonce is pending, and the premium is not high
	// enough to replace it.
	ErrPremiumTooLow = errors.New("gas premium is too low to replace the pending message")
	// ErrTooMany: the sender has too many pending messages.
	ErrTooMany = errors.New("sender has too many pending messages")
	// ErrFeeCapTooLow: no block would take the message for long.
	ErrFeeCapTooLow = errors.New("gas fee cap is too low")
	// ErrFunds: the sender cannot pay the gas of all its pending messages.
	ErrFunds = errors.New("sender has not enough funds for gas, send it some FIL first")
	// ErrNoSender: the sender does not exist at the head.
	ErrNoSender = errors.New("sender does not exist on chain, send it some FIL first")
	// ErrFull: the pool takes no more messages of others now.
	ErrFull = errors.New("message pool is full")
)

// Ignore tells whether a failure of Add says nothing bad about who passed the message on
// (spec chain.md f.4): gossip then ignores it; otherwise it rejects it.
func Ignore(err error) bool { return err != nil && !errors.Is(err, ErrInvalid) }
