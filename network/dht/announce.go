package dht

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/clock"
)

// Announcing: records live for 48 hours at their holders.
const (
	announceEvery   = 22 * time.Hour
	announceRetry   = 15 * time.Second // while nobody is there to tell
	announceTimeout = time.Minute      // for one record
	announceQueue   = 256
)

// Announcer tells the network what this node has: all of it after a start and once a day,
// new content at once.
type Announcer struct {
	router Router
	all    func(ctx context.Context) ([]cid.Cid, error)
	clk    clock.Clock
	log    *slog.Logger
	fresh  chan cid.Cid

	told    atomic.Uint64
	dropped atomic.Uint64
}

// AnnouncerStats count announcements since the start.
type AnnouncerStats struct {
	Told    uint64 // records that were stored at other peers
	Dropped uint64 // new content that waits for the next round, since the queue was full
}

// NewAnnouncer prepares an announcer of what all lists; Run starts it.
func NewAnnouncer(r Router, all func(ctx context.Context) ([]cid.Cid, error), clk clock.Clock, log *slog.Logger) *Announcer {
	return &Announcer{router: r, all: all, clk: clk, log: log, fresh: make(chan cid.Cid, announceQueue)}
}

// Add announces new content soon. It never blocks.
func (a *Announcer) Add(c cid.Cid) {
	select {
	case a.fresh <- c:
	default:
		a.dropped.Add(1)
	}
}

// Stats are the counters so far.
func (a *Announcer) Stats() AnnouncerStats {
	return AnnouncerStats{Told: a.told.Load(), Dropped: a.dropped.Load()}
}

// Run announces until the context ends. It can be called once.
func (a *Announcer) Run(ctx context.Context) error {
	next := a.clk.Now()
	for {
		if !a.clk.Now().Before(next) {
			wait := announceEvery
			if !a.round(ctx) {
				wait = announceRetry
			}
			next = a.clk.Now().Add(wait)
		}
		waiting, cancel := context.WithCancel(ctx)
		due := make(chan struct{})
		go func() { // ends with waiting, below
			defer close(due)
			_ = a.clk.Until(waiting, next) // the loop looks at the clock itself
		}()
		select {
		case c := <-a.fresh:
			if a.tell(ctx, c) != nil {
				if soon := a.clk.Now().Add(announceRetry); soon.Before(next) {
					next = soon
				}
			}
		case <-due:
		case <-ctx.Done():
		}
		cancel()
		<-due
		if ctx.Err() != nil {
			return nil
		}
	}
}

// round announces everything and tells whether all of it was heard.
func (a *Announcer) round(ctx context.Context) bool {
	list, err := a.all(ctx)
	if err != nil {
		if ctx.Err() == nil {
			a.log.Warn("list the content to announce", "err", err)
		}
		return false
	}
	for _, c := range list {
		if err := a.tell(ctx, c); err != nil {
			return false
		}
	}
	return true
}

// tell announces one CID.
func (a *Announcer) tell(ctx context.Context, c cid.Cid) error {
	ctx, cancel := context.WithTimeoutCause(ctx, announceTimeout, fmt.Errorf("no answer within %s", announceTimeout))
	defer cancel()
	if err := a.router.Provide(ctx, c); err != nil {
		a.log.Debug("announce content", "err", err)
		return err
	}
	a.told.Add(1)
	return nil
}
