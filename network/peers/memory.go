package peers

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Saving: what changed is written within a second or two, scores now and then.
const (
	saveEvery = 5 * time.Minute
	saveLast  = 5 * time.Second // for the last time, at the end
)

// Memory keeps what the session layer knows over a restart. One goroutine uses it.
type Memory interface {
	// Load gives what was saved last. Entries that cannot be read are left out: peers can be
	// found anew.
	Load(ctx context.Context) (Saved, error)
	// Save replaces what was saved.
	Save(ctx context.Context, s Saved) error
}

// Saved is what the session layer remembers.
type Saved struct {
	Bans  []Ban
	Peers []SavedPeer
	Edits []SavedEdit
}

// SavedPeer is a peer that was met. Without addresses only its score is of interest.
type SavedPeer struct {
	Info   peer.AddrInfo
	Fails  int       // failed dials in a row
	Next   time.Time // not dialled before
	Good   time.Time // when it was last Ready
	Score  float64
	Scored time.Time // when it had that score
}

// SavedEdit is a change that the operator made to the list to start from.
type SavedEdit struct {
	Info    peer.AddrInfo
	Removed bool
}

// recall takes up what was saved before this start.
func (m *Manager) recall(ctx context.Context) error {
	if m.opt.Memory == nil {
		return nil
	}
	s, err := m.opt.Memory.Load(ctx)
	if err != nil {
		return fmt.Errorf("recall the peers: %w", err)
	}
	m.bans.restore(s.Bans)
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clk.Now()
	for _, p := range s.Peers {
		if p.Score != 0 && len(m.table.records) < maxRecords {
			m.table.records[p.Info.ID] = &record{score: p.Score, at: p.Scored}
		}
		e, ok := m.book[p.Info.ID]
		if !ok && len(p.Info.Addrs) > 0 && len(m.book) < maxBook && p.Info.ID != m.host.ID() {
			e, ok = &bookEntry{info: p.Info}, true
			m.book[p.Info.ID] = e
		}
		if ok {
			e.fails, e.good, e.next = p.Fails, p.Good, p.Next
			if latest := now.Add(lastRetry); e.next.After(latest) { // the clock was set back
				e.next = latest
			}
		}
	}
	for _, e := range s.Edits {
		if e.Removed {
			m.startWithout(e.Info.ID)
		} else {
			m.startFrom(e.Info)
		}
		m.edits[e.Info.ID] = edit{e.Info, e.Removed}
	}
	return nil
}

// snapshot is what should be remembered now.
func (m *Manager) snapshot() Saved {
	s := Saved{Bans: m.bans.all()}
	m.mu.Lock()
	defer m.mu.Unlock()
	for p, e := range m.book {
		x := SavedPeer{Info: e.info, Fails: e.fails, Next: e.next, Good: e.good}
		if r, ok := m.table.records[p]; ok {
			x.Score, x.Scored = r.score, r.at
		}
		s.Peers = append(s.Peers, x)
	}
	for p, r := range m.table.records {
		if _, ok := m.book[p]; !ok {
			s.Peers = append(s.Peers, SavedPeer{Info: peer.AddrInfo{ID: p}, Score: r.score, Scored: r.at})
		}
	}
	for _, e := range m.edits {
		s.Edits = append(s.Edits, SavedEdit{e.info, e.removed})
	}
	return s
}

// askToSave wakes the saver when something changed or time has come; the loop calls it.
func (m *Manager) askToSave() {
	now := m.clk.Now()
	dirty := m.dirty.Swap(false)
	dirty = m.bans.dirty.Swap(false) || dirty
	if !dirty && now.Sub(m.saved) < saveEvery {
		return
	}
	m.saved = now
	select {
	case m.saveNow <- struct{}{}:
	default: // asked already
	}
}

// saveLoop writes when asked, and at the end.
func (m *Manager) saveLoop(ctx context.Context) {
	if m.opt.Memory == nil {
		return
	}
	for {
		select {
		case <-m.saveNow:
			m.save(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveLast)
			m.save(last)
			cancel()
			return
		}
	}
}

// save writes once. Peers can be found anew, so a disk that fails stops nothing.
func (m *Manager) save(ctx context.Context) {
	if err := m.opt.Memory.Save(ctx, m.snapshot()); err != nil && ctx.Err() == nil {
		m.log.Warn("the peers and bans known now will be forgotten at a restart; check the disk of the repo", "err", err)
	}
}
