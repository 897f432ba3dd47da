package sealing

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lodenet/lode/storage/sector"
)

// A sector with a deal is sealed by a process that dies at every file operation, before and
// after every message and every change of the record, one after the other. Each time the next
// process goes on, and in the end there is one sector and one message of each kind.
func TestCrashEverywhere(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		data := testData(1, 1000)
		p := r.deal(data, 100_000)
		m := &mortal{r: r, seen: map[string]bool{}, pending: make(chan struct{})}
		r.fault = func(op, path string) error {
			return m.at(op + " " + filepath.Base(filepath.Dir(path)) + "/" + filepath.Base(path))
		}
		r.dies = func(point string) error {
			m.mu.Lock()
			point += " " + m.stage
			m.mu.Unlock()
			return m.at(point)
		}
		r.stop()
		r.close()
		r.open()
		r.run()

		deaths := 0
		var at Placement
		for {
			m.mu.Lock()
			pending := m.pending
			m.mu.Unlock()
			if at.Size == 0 {
				if got, err := r.s.AddPiece(t.Context(), p, bytes.NewReader(data)); err == nil {
					at = got
				}
			}
			if at.Size != 0 {
				m.mu.Lock()
				dead := m.dead
				m.mu.Unlock()
				if !dead {
					state := r.get(at.Sector).State
					if state == sector.Proving {
						break
					}
					m.mu.Lock()
					m.stage = string(state)
					m.mu.Unlock()
				}
			}
			select {
			case <-pending:
				deaths++
				if testing.Verbose() {
					t.Logf("died at %s", m.died)
				}
				m.restart()
			case <-time.After(time.Second):
			}
			if deaths > 300 || r.chain.Height() > 20_000 {
				t.Fatalf("%d deaths, epoch %d, %s", deaths, r.chain.Height(), r.get(at.Sector).State)
			}
		}
		if deaths < 30 {
			t.Errorf("only %d deaths", deaths)
		}
		m.mu.Lock()
		m.safe = true
		m.mu.Unlock()
		r.active(at.Sector)
		r.read(at, data)
		r.sent("precommit/", 1)
		r.sent("provecommit/", 1)
		all, err := r.s.Sectors(t.Context())
		if err != nil || len(all) != 1 {
			t.Errorf("%d sectors, %v", len(all), err)
		}
		left, err := filepath.Glob(filepath.Join(r.s.files.root, "*", "*"+temp))
		more, _ := filepath.Glob(filepath.Join(r.s.files.root, "*", "*", "*"+temp))
		if err != nil || len(left)+len(more) > 0 {
			t.Errorf("left: %s %s %v", strings.Join(left, " "), strings.Join(more, " "), err)
		}
	})
}
