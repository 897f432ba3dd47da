package peers

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Score is a peer's score: 0 is neutral, −100 is the end.
func (m *Manager) Score(p peer.ID) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.table.score(m.clk.Now(), p)
}

// ReadyPeers are the peers that have shaken hands, in no order.
func (m *Manager) ReadyPeers() []peer.ID {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]peer.ID, 0, len(m.table.sessions))
	for p, s := range m.table.sessions {
		if s.state == Ready {
			out = append(out, p)
		}
	}
	return out
}

// Drops counts the dropped peers by reason.
func (m *Manager) Drops() map[Reason]uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.table.dropped)
}

// Info is a session as an operator sees it.
type Info struct {
	ID        peer.ID
	State     State
	Inbound   bool
	Addrs     []string // of the open connections
	Agent     string
	Protocols []protocol.ID
	Latency   time.Duration // of the handshake; 0 when unknown
	Offset    time.Duration // how far its clock is behind ours
	Score     float64
	Since     time.Time
	Bootstrap bool
	Intro     *Intro // what it told of itself; nil when it did not
}

// Peers lists the sessions, ordered by id.
func (m *Manager) Peers() []Info {
	m.mu.Lock()
	now := m.clk.Now()
	out := make([]Info, 0, len(m.table.sessions))
	for p, s := range m.table.sessions {
		out = append(out, Info{
			ID: p, State: s.state, Inbound: s.inbound, Agent: s.agent,
			Protocols: slices.Clone(s.protocols), Latency: s.met.Latency, Offset: s.met.Offset,
			Score: m.table.score(now, p), Since: s.since, Bootstrap: m.bootstrap[p].ID != "", Intro: s.intro,
		})
	}
	m.mu.Unlock()
	for i := range out {
		for _, c := range m.host.Network().ConnsToPeer(out[i].ID) {
			out[i].Addrs = append(out[i].Addrs, c.RemoteMultiaddr().String())
		}
	}
	slices.SortFunc(out, func(a, b Info) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return out
}

// WaitReady waits until n peers are Ready.
func (m *Manager) WaitReady(ctx context.Context, n int) error {
	m.mu.Lock()
	if m.table.ready() >= n {
		m.mu.Unlock()
		return nil
	}
	c := make(chan struct{})
	m.wait[c] = waiter{n}
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		delete(m.wait, c)
		m.mu.Unlock()
	}()
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wake releases the waiters whose number is reached.
func (m *Manager) wake() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.wait) == 0 {
		return
	}
	n := m.table.ready()
	for c, w := range m.wait {
		if n >= w.n {
			close(c)
			delete(m.wait, c)
		}
	}
}
