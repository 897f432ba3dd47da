package node

import (
	"context"
	"errors"
	"sync"
)

// errStopping: the node stops and takes no more subscriptions.
var errStopping = errors.New("node is stopping")

// subscriptions owns the goroutines that feed callers' channels. Each ends with its caller's
// context, and all end with close.
type subscriptions struct {
	wg sync.WaitGroup

	mu      sync.Mutex // guards the rest
	closed  bool
	next    int
	cancels map[int]context.CancelFunc
}

// start runs feed in a goroutine until it returns; its context ends with ctx or with close.
func (s *subscriptions) start(ctx context.Context, feed func(ctx context.Context)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errStopping
	}
	if s.cancels == nil {
		s.cancels = map[int]context.CancelFunc{}
	}
	ctx, cancel := context.WithCancel(ctx)
	id := s.next
	s.next++
	s.cancels[id] = cancel
	s.wg.Go(func() {
		defer s.drop(id)
		feed(ctx)
	})
	return nil
}

func (s *subscriptions) drop(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancels[id]()
	delete(s.cancels, id)
}

// close ends all feeds and waits for them.
func (s *subscriptions) close(context.Context) error {
	s.mu.Lock()
	s.closed = true
	for _, cancel := range s.cancels {
		cancel()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}
