package sealing

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"

	"github.com/lodenet/lode/storage/sector"
)

// stageError is why a stage ended without a result.
type stageError struct {
	reason sector.Reason
	err    error
}

func (e *stageError) Error() string { return e.err.Error() }
func (e *stageError) Unwrap() error { return e.err }

func because(r sector.Reason, format string, args ...any) error {
	return &stageError{r, fmt.Errorf(format, args...)}
}

// broken is the failure of work on a sector's files. A full or failing disk is nothing that
// the sector can help.
func broken(err error) error {
	if err == nil {
		return nil
	}
	reason := sector.Broken
	if full(err) {
		reason = sector.Passing
	}
	return &stageError{reason, explain(err)}
}

func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS)
}

// explain says what to do about errors of the disk.
func explain(err error) error {
	if full(err) {
		return fmt.Errorf("%w: no room or no right to write under the sectors folder; free space, the work goes on by itself", err)
	}
	return err
}

// failure is the event of an error; what no stage gave a reason for passes.
func failure(err error) sector.Failed {
	var se *stageError
	if errors.As(err, &se) {
		return sector.Failed{Reason: se.reason, Err: err.Error()}
	}
	return sector.Failed{Reason: sector.Passing, Err: err.Error()}
}

func dirOf(path string) string { return filepath.Dir(path) }
