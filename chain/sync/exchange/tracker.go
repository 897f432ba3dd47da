package exchange

import (
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Weights of the newest sample in the running averages (spec network.md F.2).
const (
	localWeight  = 0.1
	globalWeight = 0.04
	newPeer      = 0.9 // a peer without history is taken for a little better than average
	maxTracked   = 512
)

// tracker remembers how quick and reliable peers were. Safe from many goroutines.
type tracker struct {
	mu     sync.Mutex
	peers  map[peer.ID]*track // guarded by mu
	global time.Duration      // guarded by mu: average time of a success
}

type track struct {
	average time.Duration
	fails   float64 // share of requests that failed
	used    time.Time
}

// sorted orders peers by what a request to them is expected to cost; those in prefer come
// first, in their order.
func (t *tracker) sorted(candidates, prefer []peer.ID) []peer.ID {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []peer.ID
	for _, p := range prefer {
		if p != "" && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	var rest []peer.ID
	for _, p := range candidates {
		if !slices.Contains(out, p) {
			rest = append(rest, p)
		}
	}
	slices.SortStableFunc(rest, func(a, b peer.ID) int {
		switch x, y := t.cost(a), t.cost(b); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	return append(out, rest...)
}

// cost needs mu.
func (t *tracker) cost(p peer.ID) float64 {
	global := float64(max(t.global, time.Millisecond))
	k, ok := t.peers[p]
	if !ok {
		return newPeer * global
	}
	return float64(k.average) + k.fails*global
}

// done notes a finished request.
func (t *tracker) done(p peer.ID, now time.Time, took time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k, known := t.peers[p]
	if !known {
		t.makeRoom()
		k = &track{average: took}
		if t.peers == nil {
			t.peers = make(map[peer.ID]*track)
		}
		t.peers[p] = k
	}
	k.used = now
	k.average = mix(k.average, took, localWeight)
	failed := 0.0
	if !ok {
		failed = 1
	}
	k.fails += (failed - k.fails) * localWeight
	if ok {
		if t.global == 0 {
			t.global = took
		}
		t.global = mix(t.global, took, globalWeight)
	}
}

func mix(old, sample time.Duration, weight float64) time.Duration {
	return old + time.Duration(float64(sample-old)*weight)
}

// makeRoom needs mu.
func (t *tracker) makeRoom() {
	if len(t.peers) < maxTracked {
		return
	}
	var oldest peer.ID
	for p, k := range t.peers {
		if oldest == "" || k.used.Before(t.peers[oldest].used) {
			oldest = p
		}
	}
	delete(t.peers, oldest)
}
