package peers

import (
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/lodenet/lode/network/host/hosttest"
)

// A guest that speaks nothing of ours leaves, unless it has a stream open.
func TestP07UselessGuestsLeave(t *testing.T) {
	const work, other = protocol.ID("/test/work"), protocol.ID("/test/other")
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 4, 10*time.Millisecond)
		idle, worker, client := hosts[1], hosts[2], hosts[3]
		worker.SetStreamHandler(work, func(s network.Stream) { _ = s.Reset() })
		hosts[0].SetStreamHandler(other, func(s network.Stream) {
			_, _ = io.Copy(io.Discard, s)
			_ = s.Reset()
		})
		a := manager(hosts[0], newNod(hosts[0], 1), Options{Useful: func(p []protocol.ID) bool { return slices.Contains(p, work) }})
		run(t, a)
		hosttest.Listen(t, hosts...)
		for _, h := range hosts[1:] {
			hosttest.Connect(t, h, hosts[0])
		}
		s, err := client.NewStream(t.Context(), hosts[0].ID(), other)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte("x")); err != nil { // the protocol is agreed on with the first write
			t.Fatal(err)
		}
		here := func() (out []peer.ID) {
			for _, p := range a.Peers() {
				out = append(out, p.ID)
			}
			return out
		}
		time.Sleep(4 * time.Second)
		if n := len(here()); n != 3 {
			t.Errorf("within the grace %d peers are left, want 3", n)
		}
		time.Sleep(4 * time.Second)
		if p := here(); len(p) != 2 || slices.Contains(p, idle.ID()) || a.Drops()[ReasonUseless] != 1 {
			t.Errorf("after the grace: %v, drops %v", p, a.Drops())
		}
		time.Sleep(time.Minute)
		if p := here(); len(p) != 2 {
			t.Errorf("a minute later: %v", p)
		}
		if err := s.Reset(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(8 * time.Second)
		if p := here(); len(p) != 1 || p[0] != worker.ID() {
			t.Errorf("after the stream's end: %v", p)
		}
	})
}

// While all places are taken, one peer of little use makes room; the young, the useful, the
// best and the trusted stay.
func TestP07Churn(t *testing.T) {
	l := testLimits
	l.maxPeers, l.maxInbound = 20, 20
	tb := newTable(testHello, l, func(p peer.ID) bool { return p == "trusted" })
	join := func(p peer.ID, when float64) {
		tb.connected(at(when), p, true)
		tb.protocolsKnown(at(when), p, ours, "")
		tb.said(at(when), p, Met{}, nil)
		tb.greeted(at(when), p, nil)
	}
	join("trusted", 0)
	for i := range 19 {
		join(peer.ID(fmt.Sprintf("old%02d", i)), 0)
	}
	pick := func(n int) int { return n - 1 }
	expect(t, "a place is free", tb.churn(at(3600), pick))
	join("young", 3500)
	for i := range 18 { // of old00 to old16, what they gave is long ago; old17 gave now
		tb.useful(at(3600*float64(i/17)), peer.ID(fmt.Sprintf("old%02d", i)), 1)
	}
	tb.useful(at(0), "old00", 1e6)
	tb.useful(at(3600), "old17", 1e-6)
	var gone []peer.ID
	for range 50 {
		acts := tb.churn(at(3600), pick)
		if len(acts) == 0 {
			break
		}
		if acts[0].reason != ReasonChurn || acts[0].ban != 0 {
			t.Errorf("action %+v", acts[0])
		}
		gone = append(gone, acts[0].peer)
		tb.disconnected(acts[0].peer)
		join(peer.ID(fmt.Sprint("new", len(gone))), 3599)
	}
	if len(gone) < 10 {
		t.Errorf("only %d left", len(gone))
	}
	for _, p := range []peer.ID{"trusted", "young", "old00", "old17", "new1"} { // old00 is of the best tenth
		if slices.Contains(gone, p) {
			t.Errorf("%s had to leave", p)
		}
	}
	tb2 := newTable(testHello, l, func(peer.ID) bool { return false })
	expect(t, "nobody there", tb2.churn(at(0), pick))
}
