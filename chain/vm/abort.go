package vm

import (
	"errors"
	"fmt"

	"github.com/filecoin-project/go-state-types/exitcode"
)

// Two things unwind a call. An abort ends it with an exit code; the caller goes on. A fatal
// error ends the whole execution: this node could not compute the result. Both travel as
// panics, since actors know no other way, and stop at the border of a call (call.go) or of
// the VM (apply.go).

// methodSend is the method number of a plain transfer.
const methodSend = 0

// abort is a panic value.
type abort struct {
	code   exitcode.ExitCode
	reason string
}

// errBroken: a mistake in this package came to light. The execution stops with its story.
var errBroken = errors.New("vm is broken")

// fatal is a panic value.
type fatal struct{ err error }

func abortf(code exitcode.ExitCode, format string, args ...any) {
	panic(abort{code, fmt.Sprintf(format, args...)})
}

func fatalf(format string, args ...any) {
	panic(fatal{fmt.Errorf(format, args...)})
}
