package dispatch

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// DeskOptions bound a desk.
type DeskOptions struct {
	PerPeer int // open questions of one peer, > 0
	Total   int // open questions in all, > 0
}

// ErrDeskOptions: a desk needs bounds.
var ErrDeskOptions = errors.New("dispatch: a desk needs PerPeer > 0 and Total > 0")

// Desk ties answers to questions (spec network.md D-08, D-09). A question is known by the
// peer that was asked and a number; its first answer completes it, and whatever else comes
// under that name, from that peer or another, is unexpected. An open question is a credit:
// there are only so many, and a reader takes no answer off a stream without one, so that it
// is the sender who waits. Answers are never filtered by content. Safe from many goroutines.
type Desk[T any] struct {
	name string
	opt  DeskOptions

	mu     sync.Mutex
	closed bool                      // guarded by mu
	next   uint64                    // guarded by mu
	open   map[question]*Question[T] // guarded by mu
	busy   map[string]int            // guarded by mu: open questions of a peer
	room   chan struct{}             // guarded by mu: closed when a credit comes back; nil when nobody waits
	stats  deskStats                 // guarded by mu
}

type deskStats struct {
	asked, answered, unexpected uint64
	bytes, charged              int64 // taken with answers, and with unexpected ones
	most                        int   // open at once, since the last sample
}

type question struct {
	peer string
	id   uint64
}

// NewDesk makes a desk whose counters d shows.
func NewDesk[T any](d *Dispatcher, name string, o DeskOptions) (*Desk[T], error) {
	if o.PerPeer <= 0 || o.Total <= 0 {
		return nil, ErrDeskOptions
	}
	k := &Desk[T]{name: name, opt: o, open: make(map[question]*Question[T]), busy: make(map[string]int)}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, ErrClosed
	}
	d.topics[k] = struct{}{}
	d.subs[k] = struct{}{}
	return k, nil
}

// Question waits for its answer. Close it in any case: that gives the credit back.
type Question[T any] struct {
	desk   *Desk[T]
	key    question
	answer chan Envelope[T]
	once   sync.Once
}

// Ask opens a question to a peer, once there is a credit for it.
func (k *Desk[T]) Ask(ctx context.Context, peer string) (*Question[T], error) {
	for {
		k.mu.Lock()
		switch {
		case k.closed:
			k.mu.Unlock()
			return nil, fmt.Errorf("%s: %w", k.name, ErrClosed)
		case len(k.open) < k.opt.Total && k.busy[peer] < k.opt.PerPeer:
			k.next++
			q := &Question[T]{desk: k, key: question{peer, k.next}, answer: make(chan Envelope[T], 1)}
			k.open[q.key] = q
			k.busy[peer]++
			k.stats.asked++
			k.stats.most = max(k.stats.most, len(k.open))
			k.mu.Unlock()
			return q, nil
		}
		if k.room == nil {
			k.room = make(chan struct{})
		}
		room := k.room
		k.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Expects tells whether an answer would be taken: without that it need not be read.
func (k *Desk[T]) Expects(peer string, id uint64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.open[question{peer, id}]
	return ok && !k.closed
}

// Complete hands an answer to its question and tells whether there was one. An answer that
// nobody asked for, or that came before, is counted with its bytes; charge them to the peer.
func (k *Desk[T]) Complete(id uint64, e Envelope[T]) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	q, ok := k.open[question{e.From, id}]
	if ok && !k.closed {
		select {
		case q.answer <- e:
			k.stats.answered++
			k.stats.bytes += size(&e)
			return true
		default: // answered already
		}
	}
	k.stats.unexpected++
	k.stats.charged += size(&e)
	return false
}

// Close ends the desk: nobody can ask, and no answer is expected. Questions that are open
// stay their owners' to close. It can be repeated.
func (k *Desk[T]) Close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	k.free()
}

// free needs mu.
func (k *Desk[T]) free() {
	if k.room != nil {
		close(k.room)
		k.room = nil
	}
}

// ID is the question's number; with the peer it names it.
func (q *Question[T]) ID() uint64 { return q.key.id }

// Answer gives the answer, once.
func (q *Question[T]) Answer() <-chan Envelope[T] { return q.answer }

// Close gives the credit back; an answer that comes later is unexpected. It can be repeated.
func (q *Question[T]) Close() {
	q.once.Do(func() {
		k := q.desk
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.open, q.key)
		if k.busy[q.key.peer]--; k.busy[q.key.peer] == 0 {
			delete(k.busy, q.key.peer)
		}
		k.free()
	})
}

// sample sums up a desk for metrics: open questions count as queued.
func (k *Desk[T]) sample() TopicStats {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.stats
	k.stats.most = len(k.open)
	return TopicStats{
		Topic: k.name, Published: s.answered + s.unexpected, Delivered: s.answered, Unexpected: s.unexpected,
		Queued: len(k.open), Bytes: s.charged, HighWater: int64(s.most),
	}
}
