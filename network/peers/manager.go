package peers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/lodenet/lode/clock"
)

// Greeting is the news that a peer's half of the handshake came. Err is nil when it was
// fine.
type Greeting struct {
	Peer peer.ID
	Err  *DropError
}

// Handshake turns a connected peer into a Ready one; both sides greet each other.
type Handshake interface {
	// Protocol is what a peer must speak to be more than a guest.
	Protocol() protocol.ID
	// Greet runs our half with a peer and measures the round trip. An error that holds a
	// *DropError says how to drop the peer; any other drops it without a ban.
	Greet(ctx context.Context, p peer.ID) (time.Duration, error)
	// Greetings reports the peers' halves.
	Greetings() <-chan Greeting
}

// Options vary a Manager; zero values take the defaults of spec network.md I.
type Options struct {
	// Bootstrap are dialled until Threshold peers are Ready, and again when fewer are.
	Bootstrap []peer.AddrInfo
	Threshold int           // default 4
	Period    time.Duration // between looks whether peers are needed; default 1 s
	MaxPeers  int           // default 160; two thirds may be inbound
	MaxGuests int           // peers without the handshake protocol; default 40
	Hello     time.Duration // from identification to Ready; default 10 s
}

func (o *Options) defaults() {
	if o.Threshold == 0 {
		o.Threshold = 4
	}
	if o.Period == 0 {
		o.Period = time.Second
	}
	if o.MaxPeers == 0 {
		o.MaxPeers = 160
	}
	if o.MaxGuests == 0 {
		o.MaxGuests = 40
	}
	if o.Hello == 0 {
		o.Hello = 10 * time.Second
	}
}

// tags of libp2p's connection manager (spec chain.md f.5).
const (
	tagReady   = "hello"
	tagWeight  = 10
	eventQueue = 256
)

// Manager owns the sessions. Its methods are safe from many goroutines.
type Manager struct {
	host      host.Host
	bans      *Bans
	handshake Handshake // nil: identified peers are Ready
	opt       Options
	clk       clock.Clock
	log       *slog.Logger
	bootstrap map[peer.ID]bool // immutable
	ready     chan struct{}
	kill      chan action // drops asked for outside the loop

	mu    sync.Mutex
	table *table                   // guarded by mu
	book  map[peer.ID]*bookEntry   // guarded by mu: whom to dial
	wait  map[chan struct{}]waiter // guarded by mu: WaitReady
}

type waiter struct{ n int }

// New prepares the session layer; Run starts it. handshake may be nil. bans should also be
// the host's gater, so that banned peers are refused before they cost anything.
func New(h host.Host, bans *Bans, handshake Handshake, opt Options, clk clock.Clock, log *slog.Logger) *Manager {
	opt.defaults()
	m := &Manager{
		host: h, bans: bans, handshake: handshake, opt: opt, clk: clk, log: log,
		bootstrap: make(map[peer.ID]bool, len(opt.Bootstrap)),
		ready:     make(chan struct{}),
		kill:      make(chan action, eventQueue),
		book:      make(map[peer.ID]*bookEntry),
		wait:      make(map[chan struct{}]waiter),
	}
	for _, b := range opt.Bootstrap {
		if b.ID != h.ID() {
			m.bootstrap[b.ID] = true
			m.book[b.ID] = &bookEntry{info: b, keep: true}
		}
	}
	var hello protocol.ID
	if handshake != nil {
		hello = handshake.Protocol()
	}
	m.table = newTable(hello, limits{
		maxPeers: opt.MaxPeers, maxInbound: opt.MaxPeers * 2 / 3, maxGuests: opt.MaxGuests, hello: opt.Hello,
	}, func(p peer.ID) bool { return m.bootstrap[p] })
	return m
}

// Ready is closed when Run listens to the host's events: the host may accept connections.
func (m *Manager) Ready() <-chan struct{} { return m.ready }

// Run keeps the sessions until the context ends, then closes all connections. It can be
// called once.
func (m *Manager) Run(ctx context.Context) error {
	sub, err := m.host.EventBus().Subscribe([]any{
		new(event.EvtPeerConnectednessChanged),
		new(event.EvtPeerIdentificationCompleted),
		new(event.EvtPeerProtocolsUpdated),
	}, eventbus.BufSize(eventQueue), eventbus.Name("lode/peers"))
	if err != nil {
		return fmt.Errorf("subscribe to the host's events: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer func() {
		cancel()
		wg.Wait()
		_ = sub.Close() // only ever reports a second Close
		m.closeAll()
	}()
	for _, p := range m.host.Network().Peers() {
		m.do(ctx, &wg, m.step(func(now time.Time) []action { return m.table.connected(now, p, m.inbound(p)) }))
		m.known(ctx, &wg, p, "")
	}
	var greetings <-chan Greeting
	if m.handshake != nil {
		greetings = m.handshake.Greetings()
	}
	ticks := make(chan struct{})
	wg.Go(func() { m.tick(ctx, ticks) })
	wg.Go(func() { m.dialLoop(ctx) })
	wg.Go(func() { m.pulse(ctx) })
	close(m.ready)
	for {
		var acts []action
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-sub.Out():
			if !ok {
				return errors.New("the libp2p host closed before the session layer")
			}
			acts = m.hostEvent(ctx, &wg, e)
		case g := <-greetings:
			acts = m.step(func(now time.Time) []action { return m.table.greeted(now, g.Peer, g.Err) })
		case a := <-m.kill:
			acts = []action{a}
		case <-ticks:
			acts = m.step(func(now time.Time) []action { return m.table.tick(now, m.alive) })
		}
		m.do(ctx, &wg, acts)
	}
}

// step runs one event through the table.
func (m *Manager) step(f func(now time.Time) []action) []action {
	m.mu.Lock()
	defer m.mu.Unlock()
	return f(m.clk.Now())
}

func (m *Manager) hostEvent(ctx context.Context, wg *sync.WaitGroup, e any) []action {
	switch e := e.(type) {
	case event.EvtPeerConnectednessChanged:
		if e.Connectedness != network.Connected {
			return m.step(func(time.Time) []action { return m.table.disconnected(e.Peer) })
		}
		if m.bans.check(e.Peer) != nil { // a wrapped host has no gater
			return []action{{kind: drop, peer: e.Peer, reason: ReasonBanned}}
		}
		return m.step(func(now time.Time) []action { return m.table.connected(now, e.Peer, m.inbound(e.Peer)) })
	case event.EvtPeerIdentificationCompleted:
		// Connectedness comes first in time, but through another emitter.
		if m.alive(e.Peer) {
			m.do(ctx, wg, m.step(func(now time.Time) []action { return m.table.connected(now, e.Peer, m.inbound(e.Peer)) }))
		}
		m.known(ctx, wg, e.Peer, e.AgentVersion)
	case event.EvtPeerProtocolsUpdated:
		m.known(ctx, wg, e.Peer, "")
	}
	return nil
}

// known passes on what a peer speaks, when that is known.
func (m *Manager) known(ctx context.Context, wg *sync.WaitGroup, p peer.ID, agent string) {
	if !m.alive(p) {
		return // an event that comes after the end
	}
	protos, err := m.host.Peerstore().GetProtocols(p)
	if err != nil || len(protos) == 0 {
		return
	}
	m.do(ctx, wg, m.step(func(now time.Time) []action { return m.table.protocolsKnown(now, p, protos, agent) }))
}

func (m *Manager) inbound(p peer.ID) bool {
	for _, c := range m.host.Network().ConnsToPeer(p) {
		if c.Stat().Direction == network.DirOutbound {
			return false
		}
	}
	return true
}

func (m *Manager) alive(p peer.ID) bool {
	return m.host.Network().Connectedness(p) == network.Connected
}

// tick wakes the loop once a second.
func (m *Manager) tick(ctx context.Context, out chan<- struct{}) {
	for clock.Sleep(ctx, m.clk, time.Second) == nil {
		select {
		case out <- struct{}{}:
		case <-ctx.Done():
		}
	}
}

// do carries out the table's wishes. What may block runs in its own goroutine; there is at
// most one greeting and one closing per session.
func (m *Manager) do(ctx context.Context, wg *sync.WaitGroup, acts []action) {
	for _, a := range acts {
		switch a.kind {
		case greet:
			wg.Go(func() { m.greet(ctx, a.peer) })
		case drop:
			m.banFor(a)
			m.log.Info("peer dropped", "peer", a.peer, "reason", a.reason)
			wg.Go(func() { _ = m.host.Network().ClosePeer(a.peer) }) // it is gone either way
		case ready:
			m.host.ConnManager().TagPeer(a.peer, tagReady, tagWeight)
			m.remember(a.peer)
			m.log.Debug("peer ready", "peer", a.peer)
		case gone:
			m.host.ConnManager().UntagPeer(a.peer, tagReady)
			m.log.Debug("peer gone", "peer", a.peer)
		}
	}
	m.wake()
}

func (m *Manager) banFor(a action) {
	switch {
	case a.ban == strike:
		m.bans.Strike(a.peer, a.reason)
	case a.ban > 0:
		m.bans.Ban(a.peer, a.ban, a.reason)
	}
}

// greet runs our half of the handshake with one peer.
func (m *Manager) greet(ctx context.Context, p peer.ID) {
	greetCtx, cancel := context.WithTimeout(ctx, m.opt.Hello)
	defer cancel()
	latency, err := m.handshake.Greet(greetCtx, p)
	if ctx.Err() != nil {
		return // we are stopping; that is not the peer's fault
	}
	var fail *DropError
	if err != nil && !errors.As(err, &fail) {
		fail = &DropError{Reason: ReasonHello, Err: err}
		if greetCtx.Err() != nil {
			fail.Reason = ReasonTimeout
		}
	}
	if fail != nil {
		m.log.Debug("handshake", "peer", p, "err", err)
	}
	for _, a := range m.step(func(now time.Time) []action { return m.table.said(now, p, latency, fail) }) {
		select {
		case m.kill <- a: // the loop carries it out
		case <-ctx.Done():
		}
	}
}

// closeAll ends every session at the end of Run.
func (m *Manager) closeAll() {
	m.mu.Lock()
	all := slices.Collect(maps.Keys(m.table.sessions))
	clear(m.table.sessions)
	m.mu.Unlock()
	for _, p := range all {
		_ = m.host.Network().ClosePeer(p) // it is gone either way
	}
}

// Report lowers the score of a peer that misbehaved; it never blocks on the network. Faults
// of our own side must not be reported.
func (m *Manager) Report(p peer.ID, f Fault, err error) {
	if p == "" || p == m.host.ID() {
		return
	}
	m.log.Debug("peer misbehaved", "peer", p, "fault", f, "err", err)
	m.ask(m.step(func(now time.Time) []action { return m.table.fault(now, p, f) }))
}

// Useful raises the score of a peer that helped.
func (m *Manager) Useful(p peer.ID, points float64) {
	m.step(func(now time.Time) []action { m.table.useful(now, p, points); return nil })
}

// ask hands drops to the loop. When its queue is full the ban alone takes effect, and the
// timeouts or the next fault close the connection.
func (m *Manager) ask(acts []action) {
	for _, a := range acts {
		select {
		case m.kill <- a:
		default:
			m.banFor(a)
		}
	}
}

// Disconnect drops a peer without a ban.
func (m *Manager) Disconnect(p peer.ID) {
	m.ask(m.step(func(time.Time) []action { return m.table.drop(p, ReasonRequested, 0) }))
}

// Ban drops a peer and keeps it out.
func (m *Manager) Ban(p peer.ID, d time.Duration) {
	m.bans.Ban(p, d, ReasonRequested)
	m.Disconnect(p)
}

// Bans is the ban list.
func (m *Manager) Bans() *Bans { return m.bans }

// Connect dials a peer now and keeps it in the book of known peers.
func (m *Manager) Connect(ctx context.Context, info peer.AddrInfo) error {
	if info.ID == m.host.ID() {
		return ErrSelf
	}
	if err := m.bans.check(info.ID); err != nil {
		return err
	}
	if err := m.dial(ctx, info); err != nil {
		return fmt.Errorf("connect to %s: %w", info.ID, err)
	}
	return nil
}
