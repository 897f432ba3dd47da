package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
)

// ErrDamaged: a file of a database is missing or not as it was written. The text says which
// and what to do. Nothing that was read or written since can be relied on.
var ErrDamaged = errors.New("damaged database")

// Guard notices that a Pebble database is damaged, and says what to do. Pebble by itself would
// end the process where a damaged file is first read. It is safe from many goroutines.
type Guard struct {
	dir, cure string // immutable
	log       *slog.Logger

	once  sync.Once
	found chan struct{} // closed when err is set
	err   error
}

// NewGuard guards the database in a folder; cure is what a person does when it is damaged.
func NewGuard(dir, cure string, log *slog.Logger) *Guard {
	return &Guard{dir: dir, cure: cure, log: log, found: make(chan struct{})}
}

// Events are what the options of the database need to hear.
func (g *Guard) Events() *pebble.EventListener {
	return &pebble.EventListener{DataCorruption: func(info pebble.DataCorruptionInfo) {
		g.once.Do(func() {
			g.err = g.damaged(info.Details)
			g.log.Error("a database is damaged, stopping", "err", g.err)
			close(g.found)
		})
	}}
}

// Explain adds what to do to an error of opening, if damage is its cause: whatever is no
// refusal of the system. The folder itself is made when missing, so what the system did not
// find is a file that should be there.
func (g *Guard) Explain(err error) error {
	var refused syscall.Errno
	if errors.As(err, &refused) && refused != syscall.ENOENT {
		return fmt.Errorf("%s: %w", g.dir, err)
	}
	return g.damaged(err)
}

func (g *Guard) damaged(err error) error {
	if info := pebble.ExtractDataCorruptionInfo(err); info != nil {
		err = info.Details // without Pebble's wrapping, which is no text for people
	}
	return fmt.Errorf("%w %s: %w; %s", ErrDamaged, g.dir, err, g.cure)
}

// Run waits for damage until the context ends. What it returns should end the program: parts
// that cannot read what they need would call good blocks bad and lose their rounds.
func (g *Guard) Run(ctx context.Context) error {
	select {
	case <-g.found:
		return g.err
	case <-ctx.Done():
		return nil
	}
}
