package peers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
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
	// Greet runs our half with a peer. An error that holds a *DropError says how to drop the
	// peer; any other drops it without a ban.
	Greet(ctx context.Context, p peer.ID) (Met, error)
	// Greetings reports the peers' halves.
	Greetings() <-chan Greeting
}

// Met is what a handshake measures.
type Met struct {
	Latency time.Duration // of the round trip
	Offset  time.Duration // how far the peer's clock is behind ours
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
	// Useful tells whether a guest that speaks these protocols may stay without a stream
	// open; nil keeps all guests.
	Useful func([]protocol.ID) bool
	// LimitPrivate counts private ranges like others when no subnet may have more than a
	// quarter of the outbound places.
	LimitPrivate bool
	// Memory is what survives a restart; nil remembers nothing.
	Memory Memory
	// Intro is what this node tells peers of itself that speak the extension; nil tells
	// nothing.
	Intro func(ctx context.Context) Intro
	// Pick chooses a number below n, for what must not be foreseen; default math/rand.
	Pick func(n int) int
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
	if o.Pick == nil {
		o.Pick = rand.IntN
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
	ready     chan struct{}
	kill      chan action   // drops asked for outside the loop
	saveNow   chan struct{} // asks the saver
	dirty     atomic.Bool   // the book or the bootstrap list has changed since it was saved
	saved     time.Time     // when the saver was last asked; the loop owns it
	figures   figures

	mu        sync.Mutex
	table     *table                    // guarded by mu
	book      map[peer.ID]*bookEntry    // guarded by mu: whom to dial
	bootstrap map[peer.ID]peer.AddrInfo // guarded by mu: the list to start from
	edits     map[peer.ID]edit          // guarded by mu: changes to the list of the options
	wait      map[chan struct{}]waiter  // guarded by mu: WaitReady
	offset    clockOffset               // guarded by mu
	goodbyes  map[Reason]uint64         // guarded by mu: why peers dropped us
}

type waiter struct{ n int }

// New prepares the session layer; Run starts it. handshake may be nil. bans should also be
// the host's gater, so that banned peers are refused before they cost anything.
func New(h host.Host, bans *Bans, handshake Handshake, opt Options, clk clock.Clock, log *slog.Logger) *Manager {
	opt.defaults()
	m := &Manager{
		host: h, bans: bans, handshake: handshake, opt: opt, clk: clk, log: log,
		bootstrap: make(map[peer.ID]peer.AddrInfo, len(opt.Bootstrap)),
		edits:     make(map[peer.ID]edit),
		goodbyes:  make(map[Reason]uint64),
		saveNow:   make(chan struct{}, 1),
		figures:   newFigures(),
		ready:     make(chan struct{}),
		kill:      make(chan action, eventQueue),
		book:      make(map[peer.ID]*bookEntry),
		wait:      make(map[chan struct{}]waiter),
	}
	for _, b := range opt.Bootstrap {
		m.startFrom(b)
	}
	var hello protocol.ID
	if handshake != nil {
		hello = handshake.Protocol()
	}
	m.table = newTable(hello, limits{
		maxPeers: opt.MaxPeers, maxInbound: opt.MaxPeers * 2 / 3, maxGuests: opt.MaxGuests, hello: opt.Hello,
		useful: opt.Useful,
	}, func(p peer.ID) bool { return m.bootstrap[p].ID != "" })
	return m
}

// Ready is closed when Run listens to the host's events: the host may accept connections.
func (m *Manager) Ready() <-chan struct{} { return m.ready }

// Run keeps the sessions until the context ends, then closes all connections. It can be
// called once.
func (m *Manager) Run(ctx context.Context) error {
	if err := m.recall(ctx); err != nil {
		return err
	}
	sub, err := m.host.EventBus().Subscribe([]any{
		new(event.EvtPeerConnectednessChanged),
		new(event.EvtPeerIdentificationCompleted),
		new(event.EvtPeerProtocolsUpdated),
	}, eventbus.BufSize(eventQueue), eventbus.Name("lode/peers"))
	if err != nil {
		return fmt.Errorf("subscribe to the host's events: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	stopHearing := m.hear(ctx)
	var wg sync.WaitGroup
	defer func() {
		cancel()
		stopHearing()
		wg.Wait()
		_ = sub.Close() // only ever reports a second Close
		m.closeAll()
	}()
	for _, p := range m.host.Network().Peers() {
		m.do(ctx, &wg, m.connected(p))
		m.known(ctx, &wg, p, "")
	}
	var greetings <-chan Greeting
	if m.handshake != nil {
		greetings = m.handshake.Greetings()
	}
	ticks := make(chan struct{})
	wg.Go(func() { m.tick(ctx, ticks) })
	wg.Go(func() { m.dialLoop(ctx) })
	wg.Go(func() { m.saveLoop(ctx) })
	wg.Go(func() { m.pulse(ctx) })
	close(m.ready)
	churned := m.clk.Now()
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
			acts = m.greeted(g)
		case a := <-m.kill:
			acts = []action{a}
		case <-ticks:
			acts = m.step(func(now time.Time) []action { return m.table.tick(now, m.glance) })
			if now := m.clk.Now(); now.Sub(churned) >= churnEvery {
				churned = now
				acts = append(acts, m.step(func(now time.Time) []action { return m.table.churn(now, m.opt.Pick) })...)
			}
			m.watchClock()
			m.askToSave()
		}
		m.do(ctx, &wg, acts)
	}
}

// step runs one event through the table.
func (m *Manager) step(f func(now time.Time) []action) []action {
	m.mu.Lock()
	defer m.mu.Unlock()
	acts := f(m.clk.Now())
	m.bans.full.Store(m.table.full())
	return acts
}

// connected notes a connection. A wrapped host has no gater, so bans are looked up here too.
func (m *Manager) connected(p peer.ID) []action {
	if m.bans.check(p) != nil {
		return []action{{kind: drop, peer: p, reason: ReasonBanned}}
	}
	inbound := m.inbound(p)
	var group netip.Prefix
	if !inbound {
		if a, ok := m.remoteAddr(p); ok {
			group, _ = subnet(a, m.opt.LimitPrivate)
		}
	}
	return m.step(func(now time.Time) []action {
		acts := m.table.connected(now, p, inbound)
		m.table.sessions[p].group = group
		return acts
	})
}

// greeted passes on a peer's half of the handshake. It may come before the news of its
// connection, which says who dialled.
func (m *Manager) greeted(g Greeting) []action {
	if m.bans.check(g.Peer) != nil {
		return nil // its connection is being closed
	}
	var acts []action
	if m.alive(g.Peer) {
		acts = m.connected(g.Peer)
	}
	return append(acts, m.step(func(now time.Time) []action { return m.table.greeted(now, g.Peer, g.Err) })...)
}

// remoteAddr is where a connected peer is.
func (m *Manager) remoteAddr(p peer.ID) (netip.Addr, bool) {
	for _, c := range m.host.Network().ConnsToPeer(p) {
		if a, ok := addrOf(c.RemoteMultiaddr()); ok {
			return a, true
		}
	}
	return netip.Addr{}, false
}

func (m *Manager) hostEvent(ctx context.Context, wg *sync.WaitGroup, e any) []action {
	switch e := e.(type) {
	case event.EvtPeerConnectednessChanged:
		if e.Connectedness != network.Connected {
			return m.step(func(time.Time) []action { return m.table.disconnected(e.Peer) })
		}
		return m.connected(e.Peer)
	case event.EvtPeerIdentificationCompleted:
		// Connectedness comes first in time, but through another emitter.
		if m.bans.check(e.Peer) != nil {
			return nil // its connection is being closed
		}
		if m.alive(e.Peer) {
			m.do(ctx, wg, m.connected(e.Peer))
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

// plain are the protocols of a connection itself; a stream of any other is somebody's work.
var plain = []protocol.ID{identify.ID, identify.IDPush, ping.ID, ""}

// glance looks at a peer's connections.
func (m *Manager) glance(p peer.ID) glance {
	g := glance{alive: m.alive(p)}
	for _, c := range m.host.Network().ConnsToPeer(p) {
		for _, s := range c.GetStreams() {
			g.busy = g.busy || !slices.Contains(plain, s.Protocol())
		}
	}
	return g
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
			wg.Go(func() {
				m.sayGoodbye(ctx, a.peer, a.reason)
				_ = m.host.Network().ClosePeer(a.peer) // it is gone either way
			})
		case ready:
			m.host.ConnManager().TagPeer(a.peer, tagReady, tagWeight)
			m.remember(a.peer)
			m.log.Debug("peer ready", "peer", a.peer)
			wg.Go(func() { m.introduce(ctx, a.peer) })
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
		from, _ := m.remoteAddr(a.peer)
		m.bans.Strike(a.peer, from, a.reason)
	case a.ban > 0:
		m.bans.Ban(a.peer, a.ban, a.reason)
	}
}

// greet runs our half of the handshake with one peer.
func (m *Manager) greet(ctx context.Context, p peer.ID) {
	greetCtx, cancel := context.WithTimeout(ctx, m.opt.Hello)
	defer cancel()
	m.mu.Lock()
	began := m.table.sessions[p]
	m.mu.Unlock()
	met, err := m.handshake.Greet(greetCtx, p)
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
	} else {
		m.figures.met(met)
	}
	acts := m.step(func(now time.Time) []action {
		if m.table.sessions[p] != began {
			return nil // the peer has come back meanwhile, and is greeted anew
		}
		return m.table.said(now, p, met, fail)
	})
	for _, a := range acts {
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

// ask hands drops to the loop. When its queue is full the ban alone takes effect, and a later
// tick closes the connection.
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

// BanNet keeps a range of addresses out and drops the peers that are in it.
func (m *Manager) BanNet(n netip.Prefix, d time.Duration) {
	m.bans.BanNet(n, d, ReasonRequested)
	for _, p := range m.host.Network().Peers() {
		if a, ok := m.remoteAddr(p); ok && n.Contains(a) {
			m.Disconnect(p)
		}
	}
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
