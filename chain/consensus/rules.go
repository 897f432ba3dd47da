package consensus

import (
	"errors"
	"fmt"

	ipld "github.com/ipfs/go-ipld-format"

	"github.com/lodenet/lode/chain/state/view"
)

// ErrInvalid is what errors.Is finds in every error that proves a block invalid for ever: the
// block and its descendants are bad. An error of ValidateBlock that is neither this nor
// ErrTemporal says only that this node could not tell: an ancestor, a state block or a
// message is not here, or the disk failed.
var ErrInvalid = errors.New("block is invalid")

// ErrTemporal: nothing is wrong with the block but that its time has not come. Try it again
// then, and do not mark it.
var ErrTemporal = errors.New("block is from the future")

// The rules of a block, in the order of spec chain.md e.10. A block may break several; the
// first one found is told.
var (
	ErrIncomplete   = rule("a part of the header is missing")                          // 1
	ErrMinerAddress = rule("miner is not an ID address")                               // 1
	ErrParents      = rule("parents are not a tipset")                                 // 2, c.1
	ErrHeight       = rule("height is not above the parents'")                         // 3
	ErrTimestamp    = rule("timestamp is not that of the epoch")                       // 4
	ErrWeight       = rule("parent weight is wrong")                                   // 6
	ErrWorker       = rule("miner has no worker with a BLS key in the lookback")       // 7
	ErrNoClaim      = rule("miner has no power claim")                                 // 8
	ErrTicket       = rule("ticket is not the worker's")                               // 9
	ErrSignature    = rule("block signature is not the worker's")                      // 10
	ErrBeacon       = rule("beacon entries are wrong")                                 // 11
	ErrWinningPoSt  = rule("winning PoSt does not hold")                               // 12
	ErrNotWinner    = rule("win count is below one")                                   // 13
	ErrIneligible   = rule("miner is not eligible to mine")                            // 13
	ErrElection     = rule("election proof is not the worker's")                       // 13
	ErrWinCount     = rule("win count is not what the election gives")                 // 13
	ErrBlockLimits  = rule("messages exceed the block's limits")                       // 14
	ErrAggregate    = rule("BLS aggregate does not fit the messages")                  // 14
	ErrMessage      = rule("message is malformed")                                     // 14
	ErrSender       = rule("sender of a message is not an account")                    // 14
	ErrNonce        = rule("nonce of a message is not the next")                       // 14
	ErrMessageSig   = rule("signature of a message is invalid")                        // 14
	ErrMessageLists = rule("messages are not those that the header names")             // 14
	ErrBaseFee      = rule("base fee is wrong")                                        // 15
	ErrStateRoot    = rule("parent state root is not what executing the parent gives") // 16
	ErrReceipts     = rule("parent receipts are not what executing the parent gives")  // 16
)

// ErrDuplicateMiner: a tipset with two blocks of one miner cannot be executed (c.1).
var ErrDuplicateMiner = rule("tipset has two blocks of one miner")

type ruleError string

func rule(text string) error { return ruleError(text) }

func (r ruleError) Error() string { return string(r) }

// Is makes every rule an ErrInvalid.
func (r ruleError) Is(target error) bool { return target == ErrInvalid }

// broken tells which rule is broken and how.
func broken(rule error, format string, args ...any) error {
	return fmt.Errorf("%w: %w", rule, fmt.Errorf(format, args...))
}

// lookup sorts what reading the state can answer: that there is no such actor, or it is of
// another kind, breaks the rule; anything else is this node's trouble.
func lookup(rule, err error) error {
	if err == nil {
		return nil
	}
	if !ipld.IsNotFound(err) && (errors.Is(err, view.ErrNotFound) || errors.Is(err, view.ErrWrongActor)) {
		return fmt.Errorf("%w: %w", rule, err)
	}
	return err
}
