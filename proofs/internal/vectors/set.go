package vectors

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// Set is the vectors of one file. It counts those that ran, by kind, and prints the counts
// when the test ends.
type Set struct {
	file   string
	mu     sync.Mutex
	kinds  []string
	counts map[string]*count
}

// count is what became of the vectors of one kind.
type count struct{ passed, failed, skipped int }

func newSet(t testing.TB, file string) *Set {
	s := &Set{file: file, counts: map[string]*count{}}
	t.Cleanup(func() { fmt.Println(s.summary()) })
	return s
}

// Run runs one vector as a subtest. Its kind is the name up to the first slash.
func (s *Set) Run(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	kind, _, _ := strings.Cut(name, "/")
	t.Run(name, func(t *testing.T) {
		t.Cleanup(func() { s.count(kind, t.Failed(), t.Skipped()) })
		f(t)
	})
}

func (s *Set) count(kind string, failed, skipped bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counts[kind]
	if c == nil {
		c = &count{}
		s.counts[kind] = c
		s.kinds = append(s.kinds, kind)
	}
	switch {
	case failed:
		c.failed++
	case skipped:
		c.skipped++
	default:
		c.passed++
	}
}

// summary is one line, such as "vectors: seal.json: 4 small, 1 of 2 published (1 skipped)".
func (s *Set) summary() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	parts := make([]string, len(s.kinds))
	for i, kind := range s.kinds {
		c := s.counts[kind]
		all := c.passed + c.failed + c.skipped
		parts[i] = fmt.Sprintf("%d %s", all, kind)
		if c.passed < all {
			parts[i] = fmt.Sprintf("%d of %d %s", c.passed, all, kind)
		}
		if c.failed > 0 {
			parts[i] += fmt.Sprintf(" (%d failed)", c.failed)
		}
		if c.skipped > 0 {
			parts[i] += fmt.Sprintf(" (%d skipped)", c.skipped)
		}
	}
	if len(parts) == 0 {
		parts = []string{"none ran"}
	}
	return "vectors: " + s.file + ": " + strings.Join(parts, ", ")
}
