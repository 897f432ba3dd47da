package transfer

import (
	"testing"
	"testing/synctest"
)

// TestGate: a gate that closes waits for those within, and lets nobody in from then on.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		if !g.enter() {
			t.Fatal("an open gate lets nobody in")
		}
		closed := make(chan struct{})
		go func() { g.close(); close(closed) }()
		synctest.Wait()
		if g.enter() {
			t.Error("a gate that closes lets somebody in")
		}
		select {
		case <-closed:
			t.Error("the gate does not wait")
		default:
		}
		g.running.Done()
		<-closed
		if g.enter() {
			t.Error("a closed gate lets somebody in")
		}
	})
}
