package peers

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const testHello = protocol.ID("/test/hello")

var testLimits = limits{maxPeers: 6, maxInbound: 4, maxGuests: 2, hello: 10 * time.Second}

func testTable() *table {
	return newTable(testHello, testLimits, func(p peer.ID) bool { return p == "trusted" })
}

// at is a moment of the test.
func at(seconds float64) time.Time {
	return time.Unix(1000, 0).Add(time.Duration(seconds * float64(time.Second)))
}

func kinds(acts []action) (out []actionKind) {
	for _, a := range acts {
		out = append(out, a.kind)
	}
	return out
}

func expect(t *testing.T, what string, got []action, want ...actionKind) {
	t.Helper()
	if !slices.Equal(kinds(got), want) {
		t.Errorf("%s: actions %v, want %v", what, got, want)
	}
}

func all(peer.ID) glance { return glance{alive: true} }

var ours = []protocol.ID{testHello}

func TestP01HandshakeEitherOrder(t *testing.T) {
	for _, first := range []string{"said", "heard"} {
		t.Run(first, func(t *testing.T) {
			tb := testTable()
			expect(t, "connected", tb.connected(at(0), "p", true))
			expect(t, "connected twice", tb.connected(at(0), "p", false))
			expect(t, "identified", tb.protocolsKnown(at(1), "p", ours, "agent"), greet)
			expect(t, "identified again", tb.protocolsKnown(at(1), "p", ours, ""))
			said := func() []action { return tb.said(at(2), "p", Met{Latency: 30 * time.Millisecond}, nil) }
			heard := func() []action { return tb.greeted(at(2), "p", nil) }
			state := HelloSent
			if first == "heard" {
				said, heard = heard, said
				state = HelloReceived
			}
			expect(t, "first half", said())
			if got := tb.sessions["p"].state; got != state {
				t.Errorf("state %s, want %s", got, state)
			}
			expect(t, "second half", heard(), ready)
			if s := tb.sessions["p"]; s.state != Ready || s.met.Latency != 30*time.Millisecond || s.agent != "agent" {
				t.Errorf("session %+v", s)
			}
			expect(t, "much later", tb.tick(at(100), all))
			expect(t, "disconnected", tb.disconnected("p"), gone)
			expect(t, "disconnected again", tb.disconnected("p"))
		})
	}
}

func TestGreetingBeforeIdentification(t *testing.T) {
	tb := testTable()
	expect(t, "greeted", tb.greeted(at(0), "p", nil))
	expect(t, "identified", tb.protocolsKnown(at(1), "p", ours, ""), greet)
	expect(t, "said", tb.said(at(1), "p", Met{}, nil), ready)
}

func TestRestartedPeerIsGreetedAgain(t *testing.T) {
	tb := testTable()
	tb.connected(at(0), "p", true)
	tb.protocolsKnown(at(0), "p", ours, "")
	tb.said(at(0), "p", Met{}, nil)
	tb.greeted(at(0), "p", nil)
	expect(t, "an echo", tb.greeted(at(1), "p", nil))
	expect(t, "again", tb.greeted(at(60), "p", nil), greet)
	expect(t, "while greeting", tb.greeted(at(61), "p", nil))
	expect(t, "said", tb.said(at(61), "p", Met{}, nil))
	if tb.sessions["p"].state != Ready {
		t.Error("the session is not Ready any more")
	}
}

func TestP02Timeouts(t *testing.T) {
	tb := testTable()
	tb.connected(at(0), "silent", true)
	tb.connected(at(0), "half", true)
	tb.protocolsKnown(at(5), "half", ours, "")
	tb.said(at(5), "half", Met{}, nil)
	expect(t, "early", tb.tick(at(14), all))
	expect(t, "hello", tb.tick(at(15), all), drop)
	expect(t, "identify", tb.tick(at(30), all), drop)
	expect(t, "only once", tb.tick(at(31), all))
	if n := tb.dropped[ReasonTimeout]; n != 2 {
		t.Errorf("%d time-outs counted", n)
	}
	if acts := tb.tick(at(32), func(peer.ID) glance { return glance{} }); len(acts) != 2 || len(tb.sessions) != 0 {
		t.Errorf("lost connections leave sessions: %v", acts)
	}
}

func TestRefusedHandshake(t *testing.T) {
	tb := testTable()
	tb.connected(at(0), "p", true)
	acts := tb.greeted(at(0), "p", &DropError{Reason: ReasonGenesis, Ban: time.Hour})
	if len(acts) != 1 || acts[0].kind != drop || acts[0].ban != time.Hour || acts[0].reason != ReasonGenesis {
		t.Errorf("actions %v", acts)
	}
	expect(t, "the rest", tb.protocolsKnown(at(0), "p", ours, ""))
	expect(t, "the rest", tb.said(at(0), "p", Met{}, nil))
	// A new connection of the same peer is a new session.
	expect(t, "again", tb.connected(at(1), "p", true))
	expect(t, "again", tb.protocolsKnown(at(1), "p", ours, ""), greet)
}

// A handshake of bytes that make no sense costs points, and the fifth within minutes is a ban.
func TestP08MalformedHandshakes(t *testing.T) {
	for _, half := range []string{"theirs", "ours"} {
		t.Run(half, func(t *testing.T) {
			tb := testTable()
			bad := &DropError{Reason: ReasonHello, Malformed: true}
			for i, now := 0, at(0); i < 5; i++ {
				tb.connected(now, "p", true)
				var acts []action
				if half == "theirs" {
					acts = tb.greeted(now, "p", bad)
				} else {
					tb.protocolsKnown(now, "p", ours, "")
					acts = tb.said(now, "p", Met{}, bad)
				}
				want := action{kind: drop, peer: "p", reason: ReasonHello}
				if i == 4 {
					want = action{kind: drop, peer: "p", reason: ReasonScore, ban: strike}
				}
				if len(acts) != 1 || acts[0] != want {
					t.Errorf("the %dth: actions %v, want %v", i+1, acts, want)
				}
				tb.disconnected("p")
			}
		})
	}
	tb := testTable()
	tb.connected(at(0), "p", true)
	tb.greeted(at(0), "p", &DropError{Reason: ReasonHello})
	if s := tb.score(at(0), "p"); s != 0 {
		t.Errorf("a greeting that broke off cost %f", s)
	}
}

// A session that ends is counted once, a lie that shows meanwhile still bans, and a connection
// that is there all the same is closed again.
func TestEndingSession(t *testing.T) {
	tb := testTable()
	tb.connected(at(0), "p", true)
	expect(t, "dropped", tb.drop("p", ReasonChurn, 0), drop)
	expect(t, "dropped again", tb.drop("p", ReasonUseless, 0))
	if acts := tb.fault(at(1), "p", Forged); len(acts) != 1 || acts[0].ban != strike {
		t.Errorf("a lie: actions %v", acts)
	}
	if n := tb.dropped; n[ReasonChurn] != 1 || len(n) != 1 {
		t.Errorf("counted %v", n)
	}
	expect(t, "at once", tb.tick(at(2), all))
	expect(t, "soon", tb.tick(at(11), all))
	if acts := tb.tick(at(12), all); len(acts) != 1 || acts[0] != (action{kind: drop, peer: "p", reason: ReasonChurn}) {
		t.Errorf("still connected: actions %v", acts)
	}
	expect(t, "once", tb.tick(at(13), all))
	expect(t, "and again", tb.tick(at(22), all), drop)
	expect(t, "gone", tb.tick(at(23), func(peer.ID) glance { return glance{} }), gone)
}

func TestP05Caps(t *testing.T) {
	tb := testTable()
	known := func(p peer.ID, protos []protocol.ID) []action { return tb.protocolsKnown(at(0), p, protos, "") }
	// Before it is known what they are, all inbound connections share the places of inbound
	// peers and of guests.
	for i := range 6 {
		expect(t, "inbound", tb.connected(at(0), peer.ID(fmt.Sprint("in", i)), true))
	}
	if !tb.full() {
		t.Error("the gater lets more in")
	}
	expect(t, "one inbound too many", tb.connected(at(0), "in6", true), drop)
	expect(t, "trusted", tb.connected(at(0), "trusted", true))
	// Guests and peers then have a cap each.
	expect(t, "guest", known("in0", nil))
	expect(t, "guest", known("in1", nil))
	expect(t, "third guest", known("in2", nil), drop)
	for i := 3; i < 6; i++ {
		expect(t, "peer", known(peer.ID(fmt.Sprint("in", i)), ours), greet)
	}
	expect(t, "guest speaks hello later", known("in0", ours), greet)
	expect(t, "room for a guest", tb.connected(at(0), "in7", true))
	expect(t, "that is a fifth inbound peer", known("in7", ours), drop)
	// A third of the places is for those that we dialled.
	for i := range 3 {
		expect(t, "outbound", tb.connected(at(0), peer.ID(fmt.Sprint("out", i)), false))
	}
	expect(t, "outbound", known("out0", ours), greet)
	expect(t, "outbound", known("out1", ours), greet)
	expect(t, "one peer too many", known("out2", ours), drop)
	expect(t, "trusted", known("trusted", ours), greet)
}

func TestP08Scores(t *testing.T) {
	tb := testTable()
	for range 4 {
		expect(t, "malformed", tb.fault(at(0), "p", Malformed))
	}
	if got := tb.score(at(600), "p"); got < -41 || got > -39 {
		t.Errorf("score %f after a half-life, want -40", got)
	}
	tb.useful(at(600), "p", 10)
	if got := tb.score(at(600), "p"); got < -31 || got > -29 {
		t.Errorf("score %f, want -30", got)
	}
	for range 1000 {
		tb.useful(at(600), "good", 10)
	}
	if got := tb.score(at(600), "good"); got != scoreMax {
		t.Errorf("score %f, want at most %d", got, scoreMax)
	}
	for range 3 {
		expect(t, "malformed", tb.fault(at(600), "p", Malformed))
	}
	acts := tb.fault(at(600), "p", Malformed)
	if len(acts) != 1 || acts[0].ban != strike || acts[0].reason != ReasonScore {
		t.Errorf("actions %v", acts)
	}
	expect(t, "forged once", tb.fault(at(0), "q", Forged), drop)
	for range 20 {
		expect(t, "trusted peers may be slow", tb.fault(at(0), "trusted", Malformed))
	}
	expect(t, "but not lie", tb.fault(at(0), "trusted", Forged), drop)
	for i := range 3 * maxRecords {
		tb.fault(at(float64(i)), peer.ID(fmt.Sprint(i)), Malformed)
	}
	if len(tb.records) > maxRecords {
		t.Errorf("%d records", len(tb.records))
	}
}

// Whatever the order of events: Ready needs both halves, caps hold, a closing session asks
// for nothing but its end.
func TestTableInvariants(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		tb := testTable()
		connected := map[peer.ID]bool{}
		for i := range 300 {
			runEvent(tb, rnd, connected, at(float64(i)/2))
			var peers, guests, all int
			for p, s := range tb.sessions {
				if s.state == Ready && !(s.said && s.heard) {
					t.Fatalf("seed %d: %s is Ready with said %v, heard %v", seed, p, s.said, s.heard)
				}
				if s.state != Closing {
					all++
				}
				switch s.state {
				case Closing, Connected:
				case Guest:
					guests++
				default:
					peers++
				}
			}
			if l := testLimits; peers > l.maxPeers || guests > l.maxGuests || all > l.maxPeers+l.maxGuests {
				t.Fatalf("seed %d: %d peers, %d guests", seed, peers, guests)
			}
		}
	}
}

func runEvent(tb *table, rnd *rand.Rand, connected map[peer.ID]bool, now time.Time) {
	p := peer.ID(fmt.Sprint(rnd.IntN(12)))
	var fail *DropError
	if rnd.IntN(5) == 0 {
		fail = &DropError{Reason: ReasonHello}
	}
	switch rnd.IntN(7) {
	case 0, 1:
		connected[p] = true
		tb.connected(now, p, rnd.IntN(2) == 0)
	case 2:
		delete(connected, p)
		tb.disconnected(p)
	case 3:
		protos := ours
		if rnd.IntN(3) == 0 {
			protos = nil
		}
		tb.protocolsKnown(now, p, protos, "")
	case 4:
		tb.said(now, p, Met{}, fail)
	case 5:
		tb.greeted(now, p, fail)
	case 6:
		tb.fault(now, p, Fault(rnd.IntN(5)))
		tb.tick(now, func(p peer.ID) glance { return glance{alive: connected[p]} })
	}
}
