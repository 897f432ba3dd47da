package store

import (
	"fmt"
	"log/slog"
	"math/bits"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// pebbleLog hands Pebble's errors on. Its informational lines are of no use to an operator.
type pebbleLog struct {
	log    *slog.Logger
	errors atomic.Uint64
}

// NewPebbleLog returns the logger of a database. Pebble tries again without a pause what a
// disk refuses, so of its errors the first, second, fourth, eighth and so on are logged, with
// their number.
func NewPebbleLog(log *slog.Logger, database string) pebble.Logger {
	return &pebbleLog{log: log.With("database", database)}
}

func (l *pebbleLog) Infof(string, ...any) {}

func (l *pebbleLog) Errorf(format string, args ...any) {
	if n := l.errors.Add(1); bits.OnesCount64(n) == 1 {
		l.log.Error("database error", "err", fmt.Sprintf(format, args...), "count", n)
	}
}

// Fatalf is called when a write could not be made durable, after which nothing about the
// database can be promised. The process must end; the next start finds what was good last.
func (l *pebbleLog) Fatalf(format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	l.log.Error("database cannot write, stopping: check the disk", "err", msg)
	panic("database: " + msg)
}
