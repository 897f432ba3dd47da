package peers

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
)

// edit is a change that the operator made to the list to start from.
type edit struct {
	info    peer.AddrInfo
	removed bool
}

// ErrNotBootstrap: the peer is not in the list to start from.
var ErrNotBootstrap = errors.New("not a bootstrap peer")

// startFrom puts a peer on the list to start from. It needs mu, or a manager that does not
// run yet.
func (m *Manager) startFrom(info peer.AddrInfo) {
	if info.ID == m.host.ID() {
		return
	}
	m.bootstrap[info.ID] = info
	m.bans.trust(info.ID, true)
	e, ok := m.book[info.ID]
	if !ok {
		e = &bookEntry{}
		m.book[info.ID] = e
	}
	e.info, e.keep = info, true
}

// startWithout needs mu.
func (m *Manager) startWithout(id peer.ID) {
	delete(m.bootstrap, id)
	m.bans.trust(id, false)
	if e, ok := m.book[id]; ok {
		e.keep = false
	}
}

// Bootstrap is the list of peers to start from, ordered by id.
func (m *Manager) Bootstrap() []peer.AddrInfo {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Values(m.bootstrap), func(a, b peer.AddrInfo) int { return cmp.Compare(a.ID, b.ID) })
}

// AddBootstrap puts a peer on the list to start from, for good when there is a Memory.
func (m *Manager) AddBootstrap(info peer.AddrInfo) error {
	switch {
	case info.ID == m.host.ID():
		return ErrSelf
	case len(info.Addrs) == 0:
		return fmt.Errorf("bootstrap peer %s: no address", info.ID)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.startFrom(info)
	m.edits[info.ID] = edit{info: info}
	m.dirty.Store(true)
	return nil
}

// RemoveBootstrap takes a peer off the list, also one that the network or the settings name.
// A connection that is open stays.
func (m *Manager) RemoveBootstrap(id peer.ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	info, ok := m.bootstrap[id]
	if !ok {
		return fmt.Errorf("%s: %w", id, ErrNotBootstrap)
	}
	m.startWithout(id)
	m.edits[id] = edit{info: info, removed: true}
	m.dirty.Store(true)
	return nil
}
