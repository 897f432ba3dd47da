package dispatch

import (
	"context"
	"sync"
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

	out  chan Envelope[T] // the pump sends and closes; offer sends while the pump is idle
	quit chan struct{}    // closed by Close
	done chan struct{}    // closed when the pump has ended
	wake chan struct{}    // tells an idle pump of a message
	once sync.Once

	mu     sync.Mutex
	q      fairQueue[T] // guarded by mu
	idle   bool         // guarded by mu: the pump waits for wake
	closed bool         // guarded by mu
	// guarded by mu; the message in the pump's hand counts as queued
	stats SubStats
	room  chan struct{} // guarded by mu: closed when room appears; nil when nobody waits
}

func newSubscription[T any](d *Dispatcher, t *Topic[T], o SubOptions[T]) *Subscription[T] {
	return &Subscription[T]{
		d: d, topic: t, opt: o, q: fairQueue[T]{keep: o.Key == nil},
		out:  make(chan Envelope[T]),
		quit: make(chan struct{}),
		done: make(chan struct{}),
		wake: make(chan struct{}, 1),
	}
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
		for e, ok := s.q.pop(); ok; e, ok = s.q.pop() {
			s.lost(e)
		}
		s.topic.pastDelivered.Add(s.stats.Delivered)
		s.topic.pastDropped.Add(s.stats.Dropped)
		s.mu.Unlock()
		s.d.forget(s)
	})
	<-s.done
}

// Stats are the counters so far; it starts a new high-water mark.
func (s *Subscription[T]) Stats() SubStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	s.stats.HighWater = s.stats.Bytes
	return st
}

// pump moves messages from the queue to C.
func (s *Subscription[T]) pump() {
	defer close(s.done)
	defer close(s.out)
	for {
		e, ok := s.take()
		if !ok {
			select {
			case <-s.wake:
				continue
			case <-s.quit:
				return
			}
		}
		select {
		case s.out <- e:
			s.handed(e)
		case <-s.quit:
			s.mu.Lock()
			s.lost(e)
			s.mu.Unlock()
			return
		}
	}
}

func (s *Subscription[T]) take() (Envelope[T], bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.q.pop()
	s.idle = !ok
	return e, ok
}

func (s *Subscription[T]) handed(e Envelope[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Delivered++
	s.left(e)
}

// lost needs mu.
func (s *Subscription[T]) lost(e Envelope[T]) {
	s.stats.Dropped++
	s.left(e)
}

// left needs mu.
func (s *Subscription[T]) left(e Envelope[T]) {
	s.stats.Queued--
	s.stats.Bytes -= size(e)
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
// memory alone. When nothing is queued and the subscriber is waiting it gets the message
// straight away, which saves the way through the pump.
func (s *Subscription[T]) offer(e Envelope[T]) bool {
	s.mu.Lock()
	s.stats.Published++
	if s.idle && !s.closed && size(e) <= s.opt.MaxBytes {
		select {
		case s.out <- e: // the pump closes it only after closed was set under mu
			s.stats.Delivered++
			s.mu.Unlock()
			return true
		default:
		}
	}
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
func (s *Subscription[T]) offerWait(ctx context.Context, e Envelope[T]) bool {
	for {
		s.mu.Lock()
		if s.closed || s.fits(e) || size(e) > s.opt.MaxBytes {
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
func (s *Subscription[T]) fits(e Envelope[T]) bool {
	return s.stats.Queued < s.opt.Queue && s.stats.Bytes+size(e) <= s.opt.MaxBytes
}

// admit needs mu. It makes room as the options say, and counts what that costs.
func (s *Subscription[T]) admit(e Envelope[T]) bool {
	var key uint64
	if s.opt.Key != nil {
		key = s.opt.Key(e)
	}
	for !s.closed && size(e) <= s.opt.MaxBytes {
		if s.fits(e) {
			s.q.push(key, e)
			s.stats.Queued++
			s.stats.Bytes += size(e)
			s.stats.HighWater = max(s.stats.HighWater, s.stats.Bytes)
			return true
		}
		var victim Envelope[T]
		var ok bool
		switch long := s.q.longest(); {
		case s.opt.Overflow == DropOldest:
			victim, ok = s.q.dropOldest()
		case long != nil && long.key != key && long.bytes > s.q.bytesOf(key)+size(e):
			victim, ok = s.q.dropNewest() // whoever has most makes room
		}
		if !ok {
			break
		}
		s.lost(victim)
	}
	s.stats.Dropped++
	return false
}

// sample sums up a topic for metrics.
func (t *Topic[T]) sample() TopicStats {
	st := TopicStats{
		Topic: t.name, Published: t.published.Load(), NoSubscriber: t.noSubscriber.Load(),
		Delivered: t.pastDelivered.Load(), Dropped: t.pastDropped.Load(), Duplicate: t.duplicates.Load(),
	}
	if subs := t.subs.Load(); subs != nil {
		for _, s := range *subs {
			x := s.Stats()
			st.Delivered += x.Delivered
			st.Dropped += x.Dropped
			st.Queued += x.Queued
			st.Bytes += x.Bytes
			st.HighWater += x.HighWater
		}
	}
	return st
}
