package netfault_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// fabric decides what becomes of each packet between two nodes. Both levels ask it: the
// simulated network for its latencies, the shaper for its queues. Safe from many goroutines.
type fabric struct {
	mu    sync.Mutex
	rng   *rand.Rand
	usual link                 // of every pair before anything is done
	base  link                 // of every pair now
	links map[[2]int]link      // by (from, to); base where there is none
	cut   map[[2]int]bool      // nothing gets from the first to the second
	off   map[int]bool         // nothing in, nothing out
	isle  map[int]int          // nodes of different islands hear nothing of each other
	bad   map[[2]int]bool      // in a run of losses
	free  map[[2]int]time.Time // when the wire has sent what was queued before

	passed, lost uint64
}

// maxBacklog is how long a packet may wait for a slow wire before it is dropped.
const maxBacklog = 500 * time.Millisecond

func newFabric(seed uint64, usual link) *fabric {
	return &fabric{
		rng: rand.New(rand.NewPCG(seed, 1)), usual: usual, base: usual,
		links: map[[2]int]link{}, cut: map[[2]int]bool{}, off: map[int]bool{},
		isle: map[int]int{}, bad: map[[2]int]bool{}, free: map[[2]int]time.Time{},
	}
}

// route tells how long a packet travels, or that it is lost.
func (f *fabric) route(now time.Time, from, to, size int) (time.Duration, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	pair := [2]int{from, to}
	if f.cut[pair] || f.off[from] || f.off[to] || f.isle[from] != f.isle[to] {
		f.lost++
		return 0, false
	}
	l, ok := f.links[pair]
	if !ok {
		l = f.base
	}
	if l.Loss > 0 && f.loses(pair, l) {
		f.lost++
		return 0, false
	}
	delay := l.Delay.Duration
	if l.Jitter.Duration > 0 {
		delay += time.Duration(f.rng.Int64N(int64(l.Jitter.Duration)))
	}
	if l.Mbit > 0 {
		start := now
		if f.free[pair].After(now) {
			start = f.free[pair]
		}
		if start.Sub(now) > maxBacklog {
			f.lost++
			return 0, false
		}
		end := start.Add(time.Duration(float64(size) * 8 / l.Mbit * float64(time.Microsecond)))
		f.free[pair] = end
		delay += end.Sub(now)
	}
	f.passed++
	return delay, true
}

// loses draws a loss, by Gilbert and Elliott's two states when losses come in runs.
func (f *fabric) loses(pair [2]int, l link) bool {
	if l.Burst <= 1 {
		return f.rng.Float64() < l.Loss
	}
	leave := 1 / l.Burst
	enter := leave * l.Loss / (1 - l.Loss)
	if f.bad[pair] {
		f.bad[pair] = f.rng.Float64() >= leave
	} else {
		f.bad[pair] = f.rng.Float64() < enter
	}
	return f.bad[pair]
}

func (f *fabric) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

// heal undoes all faults.
func (f *fabric) heal() {
	f.change(func() {
		f.base = f.usual
		clear(f.links)
		clear(f.cut)
		clear(f.off)
		clear(f.isle)
	})
}

// setLink changes the wires of some nodes, or of all when none is named.
func (f *fabric) setLink(nodes []int, of int, l link) {
	f.change(func() {
		if len(nodes) == 0 {
			f.base = l
			clear(f.links)
			return
		}
		for _, n := range nodes {
			for o := range of {
				f.links[[2]int{n, o}], f.links[[2]int{o, n}] = l, l
			}
		}
	})
}

func (f *fabric) count() (passed, lost uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.passed, f.lost
}

func TestFabric(t *testing.T) {
	now := time.Unix(0, 0)
	const n = 20_000
	for _, c := range []struct {
		name          string
		l             link
		loss, longest float64 // share lost; length of the mean run of losses
		delay         time.Duration
	}{
		{"plain", link{Delay: span{time.Millisecond}}, 0, 0, time.Millisecond},
		{"loss", link{Loss: 0.05}, 0.05, 1.05, 0},
		{"bursts", link{Loss: 0.05, Burst: 8}, 0.05, 8, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFabric(1, c.l)
			lost, runs, in := 0.0, 0.0, false
			for range n {
				d, ok := f.route(now, 0, 1, 1000)
				if ok && d != c.delay {
					t.Fatalf("a packet takes %s, want %s", d, c.delay)
				}
				if !ok {
					lost++
					if !in {
						runs++
					}
				}
				in = !ok
			}
			if got := lost / n; got < c.loss*0.8-0.001 || got > c.loss*1.2+0.001 {
				t.Errorf("%.3f of the packets are lost, want %.3f", got, c.loss)
			}
			if runs > 0 && (lost/runs < c.longest*0.8 || lost/runs > c.longest*1.2) {
				t.Errorf("a run of losses is %.2f packets long, want %.2f", lost/runs, c.longest)
			}
		})
	}
	t.Run("rate", func(t *testing.T) {
		f := newFabric(1, link{Mbit: 8}) // a byte a microsecond
		last, passed := time.Duration(0), 0
		for range 1000 {
			d, ok := f.route(now, 0, 1, 1000)
			if !ok {
				break
			}
			last, passed = d, passed+1
		}
		if passed < 500 || passed > 502 || last > maxBacklog+2*time.Millisecond {
			t.Errorf("%d packets of 1 ms each fit a queue of %s, the last one waits %s", passed, maxBacklog, last)
		}
	})
	t.Run("cuts", func(t *testing.T) {
		f := newFabric(1, link{})
		reach := func(a, b int) bool { _, ok := f.route(now, a, b, 1); return ok }
		f.change(func() { f.cut[[2]int{0, 1}] = true; f.isle[2] = 1; f.off[3] = true })
		if reach(0, 1) || !reach(1, 0) || reach(0, 2) || reach(2, 1) || reach(3, 0) || reach(0, 3) {
			t.Error("a cut leaks, or cuts too much")
		}
		f.heal()
		if !reach(0, 1) || !reach(0, 2) || !reach(3, 0) {
			t.Error("healed, and still cut")
		}
	})
}
