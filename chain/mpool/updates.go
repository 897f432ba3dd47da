package mpool

import (
	"sync/atomic"

	"github.com/lodenet/lode/chain/types"
)

// Update tells that a message came or went.
type Update struct {
	Added   bool // else it was removed
	Message *types.SignedMessage
}

// Subscription receives updates. When its reader is too slow, updates are dropped and
// counted; who then needs the truth asks Pending.
type Subscription struct {
	// C has the updates in order. Close closes it.
	C       <-chan Update
	c       chan Update
	pool    *Pool
	dropped atomic.Int64
}

// Subscribe makes a subscription that holds at most buffer updates. Close it.
func (p *Pool) Subscribe(buffer int) *Subscription {
	c := make(chan Update, buffer)
	s := &Subscription{C: c, c: c, pool: p}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.subs[s] = struct{}{}
	return s
}

// Close ends the subscription. It can be repeated.
func (s *Subscription) Close() {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	if _, ok := s.pool.subs[s]; ok {
		delete(s.pool.subs, s)
		close(s.c)
	}
}

// Dropped is the number of updates that found no room.
func (s *Subscription) Dropped() int64 { return s.dropped.Load() }

// tell passes an update on; mu is held.
func (p *Pool) tell(u Update) {
	for s := range p.subs {
		select {
		case s.c <- u:
		default:
			s.dropped.Add(1)
		}
	}
}
