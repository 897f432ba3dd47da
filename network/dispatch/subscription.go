package dispatch

import (
	"context"
	"sync"
	"sync/atomic"
)

// SubStats are the counters of a subscription: Published = Delivered + Dropped + Queued,
// exactly. HighWater is the largest Bytes since the last call of Stats.
type SubStats struct {
	Published, Delivered, Dropped uint64
	Queued                        int
	Bytes, HighWater              int64
}

// TopicStats sum up a topic's subscriptions, those that are closed included, or a desk's
// questions. HighWater is the most that was queued since the last sample. Of a topic, Bytes
// and HighWater are bytes in the queues; of a desk, Bytes are those of unexpected answers and
// HighWater counts questions.
type TopicStats struct {
	Topic                                       string
	Published, NoSubscriber, Delivered, Dropped uint64
	Duplicate                                   uint64 // filtered before they were published
	Unexpected                                  uint64 // answers that nobody waited for
	Queued                                      int
	Bytes, HighWater                            int64
}

// Subscription is one subscriber's bounded queue.
type Subscription[T any] struct {
	d     *Dispatcher
	topic *Topic[T]
	opt   SubOptions[T]

	out  chan Envelope[T] // the pump alone sends and closes
	quit chan struct{}    // closed by Close
	done chan struct{}    // closed when the pump has ended
	wake chan struct{}    // tells an idle pump of a message
	once sync.Once

	// full is written under mu and read without: a publisher that sees it drops its message
	// without the lock, as if it had come while the queue was full. It is never set where
	// room can be made for a message.
	full    atomic.Bool
	dropped atomic.Uint64

	mu        sync.Mutex
	line      fifo[T]       // guarded by mu: the queue without a Key
	fair      *fairQueue[T] // guarded by mu: the queue with one
	idle      bool          // guarded by mu: the pump waits for wake
	closed    bool          // guarded by mu
	delivered uint64        // guarded by mu
	// guarded by mu; the message in the pump's hand counts as queued
	queued           int
	bytes, highWater int64
	room             chan struct{} // guarded by mu: closed when room appears; nil when nobody waits
}

func newSubscription[T any](d *Dispatcher, t *Topic[T], o SubOptions[T]) *Subscription[T] {
	s := &Subscription[T]{
		d: d, topic: t, opt: o,
		out:  make(chan Envelope[T]),
		quit: make(chan struct{}),
		done: make(chan struct{}),
		wake: make(chan struct{}, 1),
	}
	if o.Key != nil {
		s.fair = new(fairQueue[T])
	}
	return s
}

// C gives the messages. It is closed after Close.
func (s *Subscription[T]) C() <-chan Envelope[T] { return s.out }

// Close ends the subscription; what is queued counts as dropped. When it returns, no
// goroutine sends to C any more and C is closed. It can be repeated.
func (s *Subscription[T]) Close() {
	s.once.Do(func() {
		s.topic.remove(s)
		s.mu.Lock()
		s.closed = true
		s.freeRoom()
		s.mu.Unlock()
		close(s.quit)
		<-s.done
		s.mu.Lock()
		var e Envelope[T]
		for s.pop(&e) {
			s.lost(&e)
		}
		s.topic.pastDelivered.Add(s.delivered)
		s.mu.Unlock()
		s.d.forget(s)
	})
	<-s.done
}

// Stats are the counters so far; it starts a new high-water mark.
func (s *Subscription[T]) Stats() SubStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	dropped := s.dropped.Load()
	st := SubStats{
		Published: s.delivered + dropped + uint64(s.queued), Delivered: s.delivered, Dropped: dropped,
		Queued: s.queued, Bytes: s.bytes, HighWater: s.highWater,
	}
	s.highWater = s.bytes
	return st
}

// pump moves messages from the queue to C.
func (s *Subscription[T]) pump() {
	defer close(s.done)
	defer close(s.out)
	var e Envelope[T]
	for handed := false; ; {
		if !s.next(&e, handed) {
			handed = false
			select {
			case <-s.wake:
				continue
			case <-s.quit:
				return
			}
		}
		select {
		case s.out <- e:
			handed = true
		case <-s.quit:
			s.mu.Lock()
			s.lost(&e)
			s.mu.Unlock()
			return
		}
	}
}

// next gives the pump a message, or tells it that there is none; handed says that the one in
// its hand was taken.
func (s *Subscription[T]) next(e *Envelope[T], handed bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if handed {
		s.delivered++
		s.left(e)
		*e = Envelope[T]{}
	}
	ok := s.pop(e)
	s.idle = !ok
	return ok
}

// pop needs mu.
func (s *Subscription[T]) pop(e *Envelope[T]) bool {
	if s.fair != nil {
		return s.fair.pop(e)
	}
	return s.line.pop(e)
}

// lost needs mu.
func (s *Subscription[T]) lost(e *Envelope[T]) {
	s.dropped.Add(1)
	s.topic.dropped.Add(1)
	s.left(e)
}

// left needs mu.
func (s *Subscription[T]) left(e *Envelope[T]) {
	s.queued--
	s.bytes -= size(e)
	s.full.Store(false)
	s.freeRoom()
}

// freeRoom needs mu.
func (s *Subscription[T]) freeRoom() {
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
}

// offer queues a message or drops it; it waits for nothing but the lock, which is held for
// memory alone. Of a message that it refuses, Publish tells the topic.
func (s *Subscription[T]) offer(e *Envelope[T]) bool {
	if s.full.Load() {
		s.dropped.Add(1)
		return false
	}
	s.mu.Lock()
	ok := s.admit(e)
	wake := ok && s.idle
	if wake {
		s.idle = false
	}
	s.mu.Unlock()
	if wake {
		s.wake <- struct{}{} // room for one, and idle is set once per wait
	}
	return ok
}

// offerWait queues a message when there is room for it, or drops it when the context ends.
func (s *Subscription[T]) offerWait(ctx context.Context, e *Envelope[T]) bool {
	for {
		s.mu.Lock()
		if s.closed || s.fits(size(e)) || size(e) > s.opt.MaxBytes {
			s.mu.Unlock()
			return s.offer(e)
		}
		if s.room == nil {
			s.room = make(chan struct{})
		}
		room := s.room
		s.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return s.offer(e)
		}
	}
}

// fits needs mu.
func (s *Subscription[T]) fits(n int64) bool {
	return s.queued < s.opt.Queue && s.bytes+n <= s.opt.MaxBytes
}

// admit needs mu. It makes room as the options say, and counts what that costs.
func (s *Subscription[T]) admit(e *Envelope[T]) bool {
	n := size(e)
	if s.closed || n > s.opt.MaxBytes {
		s.dropped.Add(1)
		return false
	}
	var key uint64
	if s.fair != nil {
		key = s.opt.Key(*e)
	}
	for !s.fits(n) {
		if !s.makeRoom(key, n) {
			s.dropped.Add(1)
			return false
		}
	}
	if s.fair != nil {
		s.fair.push(key, e)
	} else {
		s.line.push(e)
	}
	s.queued++
	s.bytes += n
	s.highWater = max(s.highWater, s.bytes)
	if s.fair == nil && s.opt.Overflow != DropOldest && (s.queued == s.opt.Queue || s.bytes == s.opt.MaxBytes) {
		s.full.Store(true)
	}
	return true
}

// makeRoom needs mu. It drops a queued message in favour of one of key with n bytes, when the
// options allow that.
func (s *Subscription[T]) makeRoom(key uint64, n int64) bool {
	var victim Envelope[T]
	ok := false
	switch {
	case s.fair == nil:
		ok = s.opt.Overflow == DropOldest && s.line.pop(&victim)
	default:
		switch long := s.fair.longest(); {
		case long == nil:
		case s.opt.Overflow == DropOldest:
			ok = s.fair.cutFirst(long, &victim)
		case long.key != key && long.bytes > s.fair.bytesOf(key)+n:
			ok = s.fair.cutLast(long, &victim) // whoever has most makes room
		}
	}
	if ok {
		s.lost(&victim)
	}
	return ok
}

// sample sums up a topic for metrics.
func (t *Topic[T]) sample() TopicStats {
	st := TopicStats{
		Topic: t.name, Published: t.published.Load(), NoSubscriber: t.noSubscriber.Load(),
		Delivered: t.pastDelivered.Load(), Dropped: t.dropped.Load(), Duplicate: t.duplicates.Load(),
	}
	if subs := t.subs.Load(); subs != nil {
		for _, s := range *subs {
			x := s.Stats()
			st.Delivered += x.Delivered
			st.Queued += x.Queued
			st.Bytes += x.Bytes
			st.HighWater += x.HighWater
		}
	}
	return st
}
