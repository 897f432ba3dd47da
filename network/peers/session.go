package peers

import (
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// State of a session (spec network.md P-01).
type State int

// The states. Guest is a peer that does not speak the handshake protocol.
const (
	Connected State = iota
	Identified
	HelloSent     // ours was answered, theirs has not come
	HelloReceived // theirs came, ours is not answered
	Ready
	Guest
	Closing
)

// String names the state.
func (s State) String() string {
	switch s {
	case Connected:
		return "connected"
	case Identified:
		return "identified"
	case HelloSent:
		return "hello-sent"
	case HelloReceived:
		return "hello-received"
	case Ready:
		return "ready"
	case Guest:
		return "guest"
	default:
		return "closing"
	}
}

// Times of sessions.
const (
	identifyTimeout = 30 * time.Second // from connection to identification
	greetAgain      = 2 * time.Second  // a Ready peer that greets again after this is greeted again
	uselessGrace    = 5 * time.Second  // for a guest that speaks nothing of ours and has no stream open
	greetEvery      = 5 * time.Minute  // a Ready peer is greeted again, which measures its clock anew
	greetSoon       = 30 * time.Second // the same, while the clock seems to be off
	closeAgain      = 10 * time.Second // a connection that is still there is closed once more
)

// action is what the shell must do.
type action struct {
	kind   actionKind
	peer   peer.ID
	reason Reason
	ban    time.Duration // with drop: zero for none, negative for a strike
}

type actionKind int

const (
	greet actionKind = iota // run our half of the handshake
	drop                    // close the connection
	ready                   // the session became Ready
	gone                    // the session has ended
)

const strike = time.Duration(-1)

// limits are the caps of the table.
type limits struct {
	maxPeers   int // sessions without guests
	maxInbound int // of these, inbound
	maxGuests  int
	hello      time.Duration // from identification to Ready
	// useful tells whether a guest that speaks these protocols may stay; nil keeps all.
	useful func([]protocol.ID) bool
}

// session is what is known of a connected peer.
type session struct {
	state      State
	inbound    bool
	since      time.Time // of the connection
	identified time.Time
	saidAt     time.Time // when our half was last finished
	heardAt    time.Time // when theirs last came
	said       bool
	heard      bool
	greeting   bool // our half is under way
	met        Met
	usefulAt   time.Time    // when it last delivered something
	busyAt     time.Time    // when it last had a stream open, as far as that was looked at
	group      netip.Prefix // of an outbound connection, see subnet
	protocols  []protocol.ID
	agent      string
	intro      *Intro    // what it told of itself
	why        Reason    // of a Closing session
	closing    time.Time // when that was last looked at
}

// table decides about sessions: events in, actions out. It does no I/O and reads no clock.
type table struct {
	hello    protocol.ID // empty: whoever is identified is Ready
	limits   limits
	trusted  func(peer.ID) bool // exempt from caps
	sessions map[peer.ID]*session
	records  map[peer.ID]*record
	dropped  map[Reason]uint64
}

func newTable(hello protocol.ID, l limits, trusted func(peer.ID) bool) *table {
	return &table{
		hello: hello, limits: l, trusted: trusted,
		sessions: make(map[peer.ID]*session), records: make(map[peer.ID]*record),
		dropped: make(map[Reason]uint64),
	}
}

// connected starts a session; a further connection of the same peer changes nothing.
func (t *table) connected(now time.Time, p peer.ID, inbound bool) []action {
	if s, ok := t.sessions[p]; ok && s.state != Closing {
		return nil
	}
	t.sessions[p] = &session{state: Connected, inbound: inbound, since: now}
	return t.checkCaps(p)
}

// counts are the sessions by kind, trusted ones left out.
type counts struct {
	unknown   int // not yet identified
	unknownIn int // of these, inbound
	peers     int // that speak the handshake
	inbound   int // of these, inbound
	guests    int
}

// in counts what may be inbound, all counts everything.
func (c counts) in() int  { return c.unknownIn + c.inbound + c.guests }
func (c counts) all() int { return c.unknown + c.peers + c.guests }

func (t *table) count() (c counts) {
	for id, s := range t.sessions {
		switch {
		case s.state == Closing || t.trusted(id):
		case s.state == Guest:
			c.guests++
		case s.state == Connected:
			c.unknown++
			if s.inbound {
				c.unknownIn++
			}
		default:
			c.peers++
			if s.inbound {
				c.inbound++
			}
		}
	}
	return c
}

// full tells whether there is no room for one more inbound connection, whatever it turns
// out to be.
func (t *table) full() bool {
	c, l := t.count(), t.limits
	return c.in() >= l.maxInbound+l.maxGuests || c.all() >= l.maxPeers+l.maxGuests
}

// checkCaps drops the newest session when a cap is exceeded: at connection that of all
// connections, and again when the peer is known, because others may have come meanwhile, that
// of its kind (spec network.md P-05).
func (t *table) checkCaps(p peer.ID) []action {
	if t.trusted(p) {
		return nil
	}
	c, l, over := t.count(), t.limits, false
	switch s := t.sessions[p]; {
	case s.state == Guest:
		over = c.guests > l.maxGuests
	case s.state != Connected:
		over = c.peers > l.maxPeers || s.inbound && c.inbound > l.maxInbound
	default:
		over = c.all() > l.maxPeers+l.maxGuests || s.inbound && c.in() > l.maxInbound+l.maxGuests
	}
	if over {
		return t.drop(p, ReasonTooMany, 0)
	}
	return nil
}

// disconnected ends a session.
func (t *table) disconnected(p peer.ID) []action {
	if _, ok := t.sessions[p]; !ok {
		return nil
	}
	delete(t.sessions, p)
	return []action{{kind: gone, peer: p}}
}

// protocolsKnown tells what a peer speaks, at identification and when that changes.
func (t *table) protocolsKnown(now time.Time, p peer.ID, protocols []protocol.ID, agent string) []action {
	s, ok := t.sessions[p]
	if !ok || s.state == Closing {
		return nil
	}
	s.protocols = protocols
	if agent != "" {
		s.agent = agent
	}
	if s.state != Connected && s.state != Guest {
		return nil
	}
	if t.hello != "" && !slices.Contains(protocols, t.hello) {
		if s.state != Guest {
			s.state, s.identified = Guest, now
		}
		return t.checkCaps(p)
	}
	s.state, s.identified = Identified, now
	if acts := t.checkCaps(p); acts != nil {
		return acts
	}
	if t.hello == "" {
		s.state = Ready
		return []action{{kind: ready, peer: p}}
	}
	s.greeting = true
	return append([]action{{kind: greet, peer: p}}, t.advance(p)...)
}

// said tells how our half of the handshake went.
func (t *table) said(now time.Time, p peer.ID, met Met, fail *DropError) []action {
	s, ok := t.sessions[p]
	if !ok || s.state == Closing {
		return nil
	}
	s.greeting = false
	switch {
	case fail == nil:
	case s.state == Ready && fail.Ban == 0:
		s.saidAt = now // it was greeted before; that a peer is dead is for the pings to find out
		if fail.Malformed {
			return t.fault(now, p, Malformed)
		}
		return nil
	default:
		return t.refuse(now, p, fail)
	}
	s.said, s.saidAt, s.met = true, now, met
	return t.advance(p)
}

// greeted tells that the peer's half came, or was refused.
func (t *table) greeted(now time.Time, p peer.ID, fail *DropError) []action {
	s, ok := t.sessions[p]
	if !ok {
		// Its greeting overtook the news of its connection.
		acts := t.connected(now, p, true)
		if s = t.sessions[p]; len(acts) > 0 {
			return acts
		}
	}
	if s.state == Closing {
		return nil
	}
	if fail != nil {
		return t.refuse(now, p, fail)
	}
	// A peer that greets again has restarted while its old connection lingered: it waits
	// for our greeting as well.
	again := s.heard && !s.greeting && now.Sub(s.saidAt) >= greetAgain
	s.heard, s.heardAt = true, now
	if again {
		s.greeting = true
		return append([]action{{kind: greet, peer: p}}, t.advance(p)...)
	}
	return t.advance(p)
}

// refuse drops a peer whose handshake failed, and charges it for bytes that make no sense.
func (t *table) refuse(now time.Time, p peer.ID, fail *DropError) []action {
	if fail.Malformed {
		if acts := t.fault(now, p, Malformed); len(acts) > 0 {
			return acts // it is banned as well
		}
	}
	return t.drop(p, fail.Reason, fail.Ban)
}

// advance moves a session along the handshake.
func (t *table) advance(p peer.ID) []action {
	s := t.sessions[p]
	switch {
	case s.state == Connected || s.state == Guest || s.state == Ready:
	case s.said && s.heard:
		s.state = Ready
		return []action{{kind: ready, peer: p}}
	case s.said:
		s.state = HelloSent
	case s.heard:
		s.state = HelloReceived
	}
	return nil
}

// tick drops the sessions that take too long or are of no use, and ends those whose
// connection has gone while its news was overtaken by other news.
func (t *table) tick(now time.Time, look func(peer.ID) glance) []action {
	var acts []action
	again := greetEvery
	if t.clockOffset().Abs() > offsetWarn {
		again = greetSoon
	}
	for p, s := range t.sessions {
		g := look(p)
		if !g.alive {
			acts = append(acts, t.disconnected(p)...)
			continue
		}
		if g.busy {
			s.busyAt = now
		}
		switch s.state {
		case Connected:
			if now.Sub(s.since) >= identifyTimeout {
				acts = append(acts, t.drop(p, ReasonTimeout, 0)...)
			}
		case Identified, HelloSent, HelloReceived:
			if now.Sub(s.identified) >= t.limits.hello {
				acts = append(acts, t.drop(p, ReasonTimeout, 0)...)
			}
		case Guest:
			if t.useless(now, p, s) {
				acts = append(acts, t.drop(p, ReasonUseless, 0)...)
			}
		case Ready:
			if s.said && !s.greeting && now.Sub(s.saidAt) >= again {
				s.greeting = true
				acts = append(acts, action{kind: greet, peer: p})
			}
		case Closing:
			switch {
			case s.closing.IsZero():
				s.closing = now
			case now.Sub(s.closing) >= closeAgain: // another connection came in between, or nobody closed it
				s.closing = now
				acts = append(acts, action{kind: drop, peer: p, reason: s.why})
			}
		}
	}
	return acts
}

// glance is how a peer's connections look now.
type glance struct {
	alive bool
	busy  bool // a stream is open that serves more than the connection itself
}

// drop marks a session and asks for its end. One that is ending already is counted no more,
// but a ban still holds.
func (t *table) drop(p peer.ID, why Reason, ban time.Duration) []action {
	s, ok := t.sessions[p]
	switch {
	case ok && s.state == Closing && ban == 0:
		return nil
	case ok && s.state == Closing:
	case ok:
		s.state, s.why = Closing, why
		t.dropped[why]++
	default:
		t.dropped[why]++
	}
	return []action{{kind: drop, peer: p, reason: why, ban: ban}}
}

// ready counts the Ready sessions.
func (t *table) ready() int {
	n := 0
	for _, s := range t.sessions {
		if s.state == Ready {
			n++
		}
	}
	return n
}
