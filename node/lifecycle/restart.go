package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lodenet/lode/clock"
)

// Pauses before a loop that failed runs again (spec network.md L-10): firstPause, doubled
// each time, at most lastPause, a fifth of it up or down. A loop that ran for steady before
// it failed begins anew.
const (
	firstPause = time.Second
	lastPause  = time.Minute
	steady     = 5 * time.Minute
)

// Restarts counts how often a loop was run again.
type Restarts struct {
	Part, Reason string
	Count        uint64
}

// Restarter runs loops again when they fail, and counts that. Safe from many goroutines.
type Restarter struct {
	clk clock.Clock
	log *slog.Logger

	mu    sync.Mutex
	count map[Restarts]uint64 // guarded by mu; Count of the key is 0
}

// NewRestarter makes one without any loops.
func NewRestarter(clk clock.Clock, log *slog.Logger) *Restarter {
	return &Restarter{clk: clk, log: log, count: make(map[Restarts]uint64)}
}

// Loop makes a part of a loop that may fail for reasons that pass: run is called again after
// a pause until the context ends. An end without error, or a panic, counts as a failure too.
// run must be fit to be called again.
func (rs *Restarter) Loop(name string, run func(ctx context.Context) error) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		back := rs.backoff(name)
		for {
			err := guard(func() error { return run(ctx) })
			if ctx.Err() != nil {
				return nil
			}
			if err == nil {
				err = ErrEnded
			}
			if err := back.pause(ctx, err); err != nil {
				return nil
			}
		}
	}
}

// Restarts are the counts so far, ordered by part.
func (rs *Restarter) Restarts() []Restarts {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	out := make([]Restarts, 0, len(rs.count))
	for _, k := range slices.SortedFunc(maps.Keys(rs.count), func(a, b Restarts) int {
		return strings.Compare(a.Part+a.Reason, b.Part+b.Reason)
	}) {
		k.Count = rs.count[k]
		out = append(out, k)
	}
	return out
}

// The reasons of restarts, few enough to be labels of a metric.
const (
	reasonEnded = "ended"
	reasonPanic = "panic"
	reasonError = "error"
)

func reason(err error) string {
	var p *panicError
	switch {
	case errors.Is(err, ErrEnded):
		return reasonEnded
	case errors.As(err, &p):
		return reasonPanic
	}
	return reasonError
}

// panicError is a panic with its story.
type panicError struct {
	value any
	stack []byte
}

// Error implements error.
func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

// backoff is the pauses of one loop, whose goroutine alone uses it.
type backoff struct {
	rs    *Restarter
	part  string
	fails int
	since time.Time // when the loop last began
}

func (rs *Restarter) backoff(part string) *backoff {
	return &backoff{rs: rs, part: part, since: rs.clk.Now()}
}

// pause counts a failure and waits for the time that is due.
func (b *backoff) pause(ctx context.Context, why error) error {
	now := b.rs.clk.Now()
	if now.Sub(b.since) >= steady {
		b.fails = 0
	}
	b.fails++
	d := pauseOf(b.part, b.fails)
	b.rs.mu.Lock()
	b.rs.count[Restarts{Part: b.part, Reason: reason(why)}]++
	b.rs.mu.Unlock()
	b.rs.log.Warn("part failed and is run again", "part", b.part, "after", d, "err", why)
	err := clock.Sleep(ctx, b.rs.clk, d)
	b.since = b.rs.clk.Now()
	return err
}

// pauseOf doubles with each failure. A fifth up or down depends on the part and the count,
// so that parts which failed together do not come back together.
func pauseOf(part string, fails int) time.Duration {
	d := firstPause
	for i := 1; i < fails && d < lastPause; i++ {
		d *= 2
	}
	d = min(d, lastPause)
	h := fnv.New64a()
	fmt.Fprint(h, part, fails)
	fifth := d / 5
	return min(lastPause, d-fifth+time.Duration(h.Sum64()%uint64(2*fifth)))
}
