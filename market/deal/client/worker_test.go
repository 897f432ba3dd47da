package client

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/google/uuid"
)

// TestMadeAsRunEnds: a deal that is made when Run has just stopped taking any is left to the next
// Run, and the one who makes it does not wait for ever.
func TestMadeAsRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Client{started: make(chan uuid.UUID)}
		c.hand(context.Background(), uuid.New()) // nothing runs
		done := c.takes()
		handed := make(chan struct{})
		go func() { c.hand(context.Background(), uuid.New()); close(handed) }()
		synctest.Wait()
		select {
		case <-handed:
			t.Error("nobody has taken the deal")
		default:
		}
		done()
		<-handed
	})
}
