package syncer

import (
	"slices"
	"strings"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/chain/types"
)

// Bounds of the targets. A peer's newest heads replace its older ones, so nobody fills the
// list for others.
const (
	headsPerPeer  = 4
	maxPeers      = 512
	firstRetry    = time.Second
	lastRetry     = 30 * time.Second
	maxFails      = 20
	refusedFor    = time.Hour
	maxRefused    = 4096
	maxSupporters = 64 // of which names are kept
)

// target is a tipset to sync to.
type target struct {
	key     types.TipSetKey
	height  abi.ChainEpoch
	weight  big.Int   // as claimed
	peers   []peer.ID // who has it
	claimed []peer.ID // of these, who called it its own head
	fails   int
	next    time.Time // not before
}

// targets decides what is synced next. It does no I/O and reads no clock; what it holds is
// bounded by maxPeers × headsPerPeer.
type targets struct {
	byKey   map[types.TipSetKey]*target
	byPeer  map[peer.ID][]types.TipSetKey // oldest first
	order   []peer.ID                     // by first offer, to forget the oldest
	refused map[types.TipSetKey]time.Time
}

func newTargets() *targets {
	return &targets{
		byKey:   make(map[types.TipSetKey]*target),
		byPeer:  make(map[peer.ID][]types.TipSetKey),
		refused: make(map[types.TipSetKey]time.Time),
	}
}

// offer notes that a peer has a tipset and tells whether that is news.
func (t *targets) offer(now time.Time, p peer.ID, claimed bool, key types.TipSetKey, height abi.ChainEpoch, weight big.Int) bool {
	if until, ok := t.refused[key]; ok {
		if now.Before(until) {
			return false
		}
		delete(t.refused, key)
	}
	if weight.Int == nil {
		weight = big.Zero()
	}
	g, known := t.byKey[key]
	if !known {
		g = &target{key: key, height: height, weight: weight}
		t.byKey[key] = g
	}
	if !slices.Contains(g.peers, p) && len(g.peers) < maxSupporters {
		g.peers = append(g.peers, p)
	}
	if claimed && !slices.Contains(g.claimed, p) && len(g.claimed) < maxSupporters {
		g.claimed = append(g.claimed, p)
	}
	t.note(p, key)
	return !known
}

// note puts a key on a peer's list and lets go of what that pushes out.
func (t *targets) note(p peer.ID, key types.TipSetKey) {
	list, known := t.byPeer[p]
	if slices.Contains(list, key) {
		return
	}
	if !known {
		if len(t.order) >= maxPeers {
			oldest := t.order[0]
			t.order = t.order[1:]
			for _, k := range t.byPeer[oldest] {
				t.unsupport(oldest, k)
			}
			delete(t.byPeer, oldest)
		}
		t.order = append(t.order, p)
	}
	if len(list) >= headsPerPeer {
		t.unsupport(p, list[0])
		list = slices.Delete(list, 0, 1)
	}
	t.byPeer[p] = append(list, key)
}

// unsupport takes a peer off a target; one that nobody has any more is dropped.
func (t *targets) unsupport(p peer.ID, key types.TipSetKey) {
	g, ok := t.byKey[key]
	if !ok {
		return
	}
	is := func(o peer.ID) bool { return o == p }
	g.peers = slices.DeleteFunc(g.peers, is)
	g.claimed = slices.DeleteFunc(g.claimed, is)
	if len(g.peers) == 0 {
		delete(t.byKey, key)
	}
}

// next is the best target that is due: the heaviest by claim, then the one with most peers
// behind it. The copy is the caller's.
func (t *targets) next(now time.Time) (target, bool) {
	var best *target
	for _, g := range t.byKey {
		if !now.Before(g.next) && (best == nil || g.better(best)) {
			best = g
		}
	}
	if best == nil {
		return target{}, false
	}
	c := *best
	c.peers, c.claimed = slices.Clone(c.peers), slices.Clone(c.claimed)
	return c, true
}

func (g *target) better(o *target) bool {
	// One that failed waits for the others: a lie about the weight costs us one attempt.
	if (g.fails == 0) != (o.fails == 0) {
		return g.fails == 0
	}
	if c := big.Cmp(g.weight, o.weight); c != 0 {
		return c > 0
	}
	if len(g.peers) != len(o.peers) {
		return len(g.peers) > len(o.peers)
	}
	return strings.Compare(string(g.key.Bytes()), string(o.key.Bytes())) < 0
}

// done forgets a target that was reached.
func (t *targets) done(key types.TipSetKey) {
	delete(t.byKey, key)
	for p, list := range t.byPeer {
		t.byPeer[p] = slices.DeleteFunc(list, func(k types.TipSetKey) bool { return k == key })
	}
}

// failed puts a target off.
func (t *targets) failed(now time.Time, key types.TipSetKey) {
	g, ok := t.byKey[key]
	if !ok {
		return
	}
	if g.fails++; g.fails >= maxFails {
		t.done(key)
		return
	}
	d := firstRetry
	for i := 1; i < g.fails && d < lastRetry; i++ {
		d *= 2
	}
	g.next = now.Add(min(d, lastRetry))
}

// refuse forgets a target and does not take it again for a while.
func (t *targets) refuse(now time.Time, key types.TipSetKey) {
	t.done(key)
	if len(t.refused) >= maxRefused {
		var first types.TipSetKey
		for k, until := range t.refused {
			if !now.Before(until) {
				delete(t.refused, k)
			} else if first.IsEmpty() || until.Before(t.refused[first]) {
				first = k
			}
		}
		if len(t.refused) >= maxRefused {
			delete(t.refused, first)
		}
	}
	t.refused[key] = now.Add(refusedFor)
}
