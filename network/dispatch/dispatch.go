package dispatch

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Topic is a typed key: two topics are the same only when they are the same pointer. The
// name is for metrics.
type Topic[T any] struct {
	name string

	published, noSubscriber, duplicates, dropped atomic.Uint64
	// what closed subscriptions delivered
	pastDelivered atomic.Uint64

	mu   sync.Mutex
	subs atomic.Pointer[[]*Subscription[T]] // replaced under mu, read without
}

// NewTopic makes a topic.
func NewTopic[T any](name string) *Topic[T] { return &Topic[T]{name: name} }

// Name is the topic's name in metrics.
func (t *Topic[T]) Name() string { return t.name }

// Duplicate notes that a message was filtered before it was published.
func (t *Topic[T]) Duplicate() { t.duplicates.Add(1) }

// Refused notes that a message was dropped before it was published, for want of a place.
func (t *Topic[T]) Refused() { t.dropped.Add(1) }

// Envelope is a message with what is known of its way. Msg is shared by all subscribers and
// must be treated as read-only.
type Envelope[T any] struct {
	From  string    // who sent it, opaque here; empty for ourselves
	At    time.Time // when it arrived
	Size  int       // bytes that it holds in memory, > 0
	Trace uint64
	Msg   T
}

// Overflow says what a full queue does.
type Overflow uint8

// The ways. Block is for local producers alone, which publish with PublishWait.
const (
	DropNewest Overflow = iota
	DropOldest
	Block
)

// SubOptions bound a subscription.
type SubOptions[T any] struct {
	Queue    int   // messages, > 0
	MaxBytes int64 // sum of the queued messages' Size, > 0
	Overflow Overflow
	// Key makes the queue fair between keys, for example the sending peers: they are served
	// in turns by bytes, and one that floods loses its own messages first.
	Key func(Envelope[T]) uint64
}

// The numbers of FNV-1a in 64 bits.
const (
	fnvBasis = 14695981039346656037
	fnvPrime = 1099511628211
)

// PeerKey is a Key for queues that are fair between senders.
func PeerKey(from string) uint64 {
	h := uint64(fnvBasis)
	for i := range len(from) {
		h = (h ^ uint64(from[i])) * fnvPrime
	}
	return h
}

// Result tells what became of a published message, in subscribers.
type Result struct {
	Delivered    int // queued for so many
	Dropped      int // refused by so many full queues
	NoSubscriber bool
}

// ErrOptions: a subscription needs bounds.
var ErrOptions = errors.New("dispatch: a subscription needs Queue > 0 and MaxBytes > 0")

// ErrClosed: the dispatcher or the subscription is closed.
var ErrClosed = errors.New("dispatch: closed")

// Dispatcher closes the subscriptions that were made through it. Make one with New. Safe
// from many goroutines.
type Dispatcher struct {
	mu     sync.Mutex
	closed bool                // guarded by mu
	subs   map[closer]struct{} // guarded by mu
	topics map[sampled]struct{}
}

type closer interface{ Close() }

type sampled interface{ sample() TopicStats }

// New makes a dispatcher.
func New() *Dispatcher {
	return &Dispatcher{subs: make(map[closer]struct{}), topics: make(map[sampled]struct{})}
}

// Close closes every subscription and waits for their goroutines; none can be made
// afterwards. It can be repeated.
func (d *Dispatcher) Close() {
	d.mu.Lock()
	d.closed = true
	subs := make([]closer, 0, len(d.subs))
	for s := range d.subs {
		subs = append(subs, s)
	}
	d.mu.Unlock()
	for _, s := range subs {
		s.Close()
	}
}

// Topics are the counters of every topic that was ever subscribed to through d, and of every
// desk.
func (d *Dispatcher) Topics() []TopicStats {
	d.mu.Lock()
	topics := make([]sampled, 0, len(d.topics))
	for t := range d.topics {
		topics = append(topics, t)
	}
	d.mu.Unlock()
	out := make([]TopicStats, 0, len(topics))
	for _, t := range topics {
		out = append(out, t.sample())
	}
	return out
}

// Subscribe starts a subscription. The caller must Close it, or d.
func Subscribe[T any](d *Dispatcher, t *Topic[T], o SubOptions[T]) (*Subscription[T], error) {
	if o.Queue <= 0 || o.MaxBytes <= 0 {
		return nil, ErrOptions
	}
	s := newSubscription(d, t, o)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, ErrClosed
	}
	d.subs[s] = struct{}{}
	d.topics[t] = struct{}{}
	t.add(s)
	go s.pump()
	return s, nil
}

func (d *Dispatcher) forget(c closer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.subs, c)
}

func (t *Topic[T]) add(s *Subscription[T]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := []*Subscription[T]{s}
	if old := t.subs.Load(); old != nil {
		next = append(append(make([]*Subscription[T], 0, len(*old)+1), *old...), s)
	}
	t.subs.Store(&next)
}

func (t *Topic[T]) remove(s *Subscription[T]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.subs.Load()
	if old == nil {
		return
	}
	next := make([]*Subscription[T], 0, len(*old))
	for _, o := range *old {
		if o != s {
			next = append(next, o)
		}
	}
	t.subs.Store(&next)
}

// HasSubscriber tells whether anybody listens; without one a handler need not even decode.
func (t *Topic[T]) HasSubscriber() bool {
	subs := t.subs.Load()
	return subs != nil && len(*subs) > 0
}

// Publish queues a message for every subscriber. It never waits: a full queue drops.
func Publish[T any](t *Topic[T], e Envelope[T]) Result {
	subs := t.arrived()
	delivered := 0
	for _, s := range subs {
		if s.offer(&e) {
			delivered++
		}
	}
	return t.result(len(subs), delivered)
}

// PublishWait is Publish, except that it waits for room in the queues of subscribers with
// Overflow Block until the context ends. For local producers alone.
func PublishWait[T any](ctx context.Context, t *Topic[T], e Envelope[T]) Result {
	subs := t.arrived()
	delivered := 0
	for _, s := range subs {
		if s.opt.Overflow == Block && s.offerWait(ctx, &e) || s.opt.Overflow != Block && s.offer(&e) {
			delivered++
		}
	}
	return t.result(len(subs), delivered)
}

// arrived counts a message and gives those who want it, a list that nobody changes.
func (t *Topic[T]) arrived() []*Subscription[T] {
	t.published.Add(1)
	if subs := t.subs.Load(); subs != nil {
		return *subs
	}
	return nil
}

// result counts what became of a message.
func (t *Topic[T]) result(subs, delivered int) Result {
	r := Result{Delivered: delivered, Dropped: subs - delivered, NoSubscriber: subs == 0}
	if r.NoSubscriber {
		t.noSubscriber.Add(1)
	}
	if r.Dropped > 0 {
		t.dropped.Add(uint64(r.Dropped))
	}
	return r
}
