package peers

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"

	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/host"
)

// Each peer is pinged every pulseEvery, and has pulseLimit to answer; one that misses two
// pings on end is dropped. So a peer that nothing reaches is found out in 24 s, where a
// transport may take a minute: packets that come in keep a connection of QUIC alive although
// none of ours arrives (spec network.md FT-03).
const (
	pulseEvery = 8 * time.Second
	pulseLimit = 8 * time.Second
	pulseBytes = 32 // of libp2p's ping
	maxMisses  = 2
)

// pulses are the pings under way.
type pulses struct {
	mu   sync.Mutex
	busy map[peer.ID]bool
}

// enter tells whether the peer is not being pinged already, and notes that it is now.
func (b *pulses) enter(p peer.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.busy[p] {
		return false
	}
	if b.busy == nil {
		b.busy = make(map[peer.ID]bool)
	}
	b.busy[p] = true
	return true
}

func (b *pulses) leave(p peer.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.busy, p)
}

// pulse pings all connected peers again and again until the context ends.
func (m *Manager) pulse(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	var under pulses
	for clock.Sleep(ctx, m.clk, pulseEvery) == nil {
		for _, p := range m.host.Network().Peers() {
			if protos, err := m.host.Peerstore().SupportsProtocols(p, ping.ID); err != nil || len(protos) == 0 {
				continue // it never said that it answers
			}
			if under.enter(p) {
				wg.Go(func() {
					defer under.leave(p)
					m.feel(ctx, p)
				})
			}
		}
	}
}

// feel pings a peer, twice if need be, and drops it when it is dead.
func (m *Manager) feel(ctx context.Context, p peer.ID) {
	for miss := 1; ; miss++ {
		err := m.ping(ctx, p)
		// Whoever refuses a ping is alive, and a stream that our own limits forbid says nothing.
		if err == nil || ctx.Err() != nil || !m.alive(p) || !errors.Is(err, errNoEcho) {
			return
		}
		m.log.Debug("peer does not answer a ping", "peer", p, "times", miss, "err", err)
		if miss == maxMisses {
			break
		}
	}
	m.ask(m.step(func(time.Time) []action { return m.table.drop(p, ReasonDead, 0) }))
}

// errNoEcho: nothing came back within pulseLimit.
var errNoEcho = errors.New("no echo in time")

// ping sends libp2p's ping and waits for the echo.
func (m *Manager) ping(ctx context.Context, p peer.ID) (err error) {
	ctx, cancel := context.WithTimeout(ctx, pulseLimit)
	defer cancel()
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", errNoEcho, err)
		}
	}()
	st, err := m.host.NewStream(network.WithNoDial(ctx, "a ping is for a connected peer"), p, ping.ID)
	if err != nil {
		return err
	}
	defer st.Close() // the echo is all we want
	defer host.Bound(ctx, st)()
	var out, in [pulseBytes]byte
	if _, err := rand.Read(out[:]); err != nil {
		return err
	}
	if _, err := st.Write(out[:]); err != nil {
		return err
	}
	if _, err := io.ReadFull(st, in[:]); err != nil {
		return err
	}
	if !bytes.Equal(out[:], in[:]) {
		return fmt.Errorf("the echo of a ping is %x, not %x", in, out)
	}
	return nil
}
