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
	announceLook    = 5 * time.Minute  // between looks for content that is due
	announceRetry   = 15 * time.Second // while nobody is there to tell
	announceTimeout = time.Minute      // for one record
	announceQueue   = 256
)

// Announcer tells the network what this node has: after a start, when it is new, and once a
// day.
type Announcer struct {
	router Router
	all    func(ctx context.Context) ([]cid.Cid, error)
	clk    clock.Clock
	log    *slog.Logger
	fresh  chan cid.Cid
	last   map[cid.Cid]time.Time // when each was told; Run owns it

	told    atomic.Uint64
	dropped atomic.Uint64
}

// AnnouncerStats count announcements since the start.
type AnnouncerStats struct {
	Told    uint64 // records that were stored at other peers
	Dropped uint64 // new content that waits for the next look, since the queue was full
}

// NewAnnouncer prepares an announcer of what all lists; Run starts it.
func NewAnnouncer(r Router, all func(ctx context.Context) ([]cid.Cid, error), clk clock.Clock, log *slog.Logger) *Announcer {
	return &Announcer{
		router: r, all: all, clk: clk, log: log,
		fresh: make(chan cid.Cid, announceQueue), last: make(map[cid.Cid]time.Time),
	}
}

// Add announces new content at once. It never blocks. What all lists is found without it,
// only later.
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
	for {
		wait := announceLook
		if !a.look(ctx) {
			wait = announceRetry
		}
		a.pause(ctx, wait)
		if ctx.Err() != nil {
			return nil
		}
	}
}

// pause waits for a while, telling of new content meanwhile; a failure ends it.
func (a *Announcer) pause(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithCancel(ctx)
	due := make(chan struct{})
	go func() { // ends with ctx, and is waited for
		defer close(due)
		_ = clock.Sleep(ctx, a.clk, d) // only ever says that ctx ended
	}()
	defer func() {
		cancel()
		<-due
	}()
	for {
		select {
		case c := <-a.fresh:
			if a.tell(ctx, c) != nil {
				_ = clock.Sleep(ctx, a.clk, announceRetry) // the next look finds it
				return
			}
		case <-due:
			return
		}
	}
}

// look tells of everything that is due and says whether all of it was heard.
func (a *Announcer) look(ctx context.Context) bool {
	list, err := a.all(ctx)
	if err != nil {
		if ctx.Err() == nil {
			a.log.Warn("list the content to announce", "err", err)
		}
		return false
	}
	now := a.clk.Now()
	have := make(map[cid.Cid]time.Time, len(list))
	for _, c := range list {
		if at, ok := a.last[c]; ok {
			have[c] = at
		}
	}
	a.last = have // what is gone is forgotten
	for _, c := range list {
		if at, ok := a.last[c]; ok && now.Sub(at) < announceEvery {
			continue
		}
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
	a.last[c] = a.clk.Now()
	return nil
}
