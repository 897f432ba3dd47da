package exchange

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lodenet/lode/chain/sync/chaintest"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/dispatch"
	"github.com/lodenet/lode/network/host/hosttest"
)

// Requests and answers pass the dispatchers of both sides and are counted there; more
// questions than there are credits wait for one another.
func TestD08RequestsAndAnswersAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := chaintest.New(t)
		head := chain.Extend(chain.Genesis(), 5, 1, "a")
		hosts := hosttest.Simulated(t, 2, 30*time.Millisecond)
		hosttest.Listen(t, hosts...)
		server := serve(t, hosts[1], chain)
		hosttest.Connect(t, hosts[0], hosts[1])
		asking := dispatch.New()
		answers, err := NewDesk(asking)
		if err != nil {
			t.Fatal(err)
		}
		s := &session{}
		s.peers = append(s.peers, hosts[1].ID())
		client := NewClient(hosts[0], s, ClientOptions{Answers: answers}, clock.System{}, hosttest.Quiet())
		const n = 3 * maxPeerQuestions
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				if _, err := client.Headers(t.Context(), head.Key(), 5); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		if got := asking.Topics(); len(got) != 1 || got[0].Delivered != n || got[0].Queued != 0 || got[0].HighWater != maxPeerQuestions {
			t.Errorf("the asking side counted %+v, want %d answers and at most %d questions at once", got, n, maxPeerQuestions)
		}
		if got := server.dispatcher.Topics(); len(got) != 1 || got[0].Delivered != n || got[0].Dropped != 0 {
			t.Errorf("the answering side counted %+v, want %d requests", got, n)
		}
	})
}
