package cli

import (
	"errors"
	"fmt"

	"github.com/lodenet/lode/api/client"
	"github.com/lodenet/lode/api/porcelain"
	"github.com/lodenet/lode/repo"
)

// The exit codes (spec api.md B).
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitMessage     = 4
)

// exitHelp stands at the end of every help text.
const exitHelp = `Exit codes:
  0 done   1 error   2 wrong usage   3 node cannot be reached   4 message failed on chain
`

// usageError is a command line that makes no sense.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// exitCode is the code that goes with an error.
func exitCode(err error) int {
	var usage *usageError
	var failed *porcelain.ExitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &failed):
		return exitMessage
	case errors.Is(err, client.ErrUnreachable), errors.Is(err, repo.ErrNoDaemon), errors.Is(err, porcelain.ErrLost):
		return exitUnreachable
	}
	return exitError
}
