package devnet

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// memoryEvery is how often the memory of a demo is looked at.
const memoryEvery = 250 * time.Millisecond

// resident is memory in bytes: of this process, of its children, and of all together.
type resident struct{ own, child, sum uint64 }

// memory watches what a demo takes: its nodes run in this process, and long proofs are made in
// children of it.
type memory struct {
	stop func() // waits for the goroutine

	mu   sync.Mutex // guards what is below
	peak resident   // each at its own time
}

// watchMemory looks at the memory until ctx ends or stop is called, which must be. Where the
// system does not tell, the figures are 0.
func watchMemory(ctx context.Context) *memory {
	ctx, cancel := context.WithCancel(ctx)
	m := &memory{}
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(memoryEvery)
		defer tick.Stop()
		for {
			m.see(residentNow())
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	m.stop = func() {
		cancel()
		running.Wait()
	}
	return m
}

func (m *memory) see(r resident) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.peak = resident{max(m.peak.own, r.own), max(m.peak.child, r.child), max(m.peak.sum, r.sum)}
}

func (m *memory) most() resident {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.peak
}

// residentNow is what the process and its children have. Pages of a file that both map count
// twice.
func residentNow() (r resident) {
	r.own = residentOf("self")
	r.sum = r.own
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return r // only for a bad pattern
	}
	for _, list := range lists {
		b, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for _, pid := range strings.Fields(string(b)) {
			n := residentOf(pid)
			r.child = max(r.child, n)
			r.sum += n
		}
	}
	return r
}

// residentOf is the resident size of a process, 0 when it has ended.
func residentOf(pid string) uint64 {
	b, err := os.ReadFile(filepath.Join("/proc", pid, "statm"))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}
