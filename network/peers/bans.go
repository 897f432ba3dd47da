package peers

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/clock"
)

// A ban for bad behaviour starts at firstBan and doubles with each further one (spec
// network.md P-08); a peer that kept quiet for forgetStrikes starts anew. When so many
// different peers of one household were struck within colludeWithin, its addresses are banned.
const (
	firstBan      = 10 * time.Minute
	longestBan    = 24 * time.Hour
	forgetStrikes = 48 * time.Hour
	maxBans       = 4096
	colluders     = 3
	colludeWithin = time.Hour
	maxSuspects   = 1024 // households that are watched
)

// Ban is one entry of the ban list: of a peer, or of a range of addresses.
type Ban struct {
	Peer    peer.ID      // empty in a ban of addresses
	Net     netip.Prefix // not valid in a ban of a peer
	Until   time.Time
	Reason  Reason
	Strikes int // how often it was banned for bad behaviour
}

// target is what an entry of the list is about; one of the two is set.
type target struct {
	peer peer.ID
	net  netip.Prefix
}

// Bans is the list of peers and addresses that may not connect; it is a gater for the host.
// Safe from many goroutines.
type Bans struct {
	clk     clock.Clock
	full    atomic.Bool   // set by the Manager: no room for inbound connections
	refused atomic.Uint64 // connections that the gater turned away
	dirty   atomic.Bool   // the list has changed since it was saved

	mu       sync.Mutex
	list     map[target]*entry                      // guarded by mu
	nets     map[int]int                            // guarded by mu: bans of addresses by length of prefix
	suspects map[netip.Prefix]map[peer.ID]time.Time // guarded by mu: who was struck when
	trusted  map[peer.ID]bool                       // guarded by mu: let in when full
}

type entry struct {
	until   time.Time
	reason  Reason
	strikes int
}

// NewBans makes an empty list.
func NewBans(clk clock.Clock) *Bans {
	return &Bans{
		clk: clk, list: make(map[target]*entry), nets: make(map[int]int),
		suspects: make(map[netip.Prefix]map[peer.ID]time.Time), trusted: make(map[peer.ID]bool),
	}
}

// Ban keeps a peer out for a while; a longer ban in force stays.
func (b *Bans) Ban(p peer.ID, d time.Duration, why Reason) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ban(target{peer: p}, d, why)
}

// BanNet keeps a range of addresses out for a while.
func (b *Bans) BanNet(n netip.Prefix, d time.Duration, why Reason) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ban(target{net: n.Masked()}, d, why)
}

// Strike bans a peer for bad behaviour, longer each time, and tells for how long. from is the
// address that it had; the zero value is none.
func (b *Bans) Strike(p peer.ID, from netip.Addr, why Reason) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.strike(target{peer: p}, why)
	if home, ok := household(from); ok && b.collude(home, p) {
		b.strike(target{net: home}, why)
	}
	return d
}

// strike needs mu.
func (b *Bans) strike(t target, why Reason) time.Duration {
	d := firstBan
	if e, ok := b.list[t]; ok {
		if b.clk.Now().Sub(e.until) >= forgetStrikes {
			e.strikes = 0
		}
		for range e.strikes {
			d = min(2*d, longestBan)
		}
	}
	b.ban(t, d, why).strikes++
	return d
}

// collude notes a strike and tells whether the household has had too many. It needs mu.
func (b *Bans) collude(home netip.Prefix, p peer.ID) bool {
	now := b.clk.Now()
	if _, ok := b.suspects[home]; !ok && len(b.suspects) >= maxSuspects {
		for h, who := range b.suspects {
			forgetOld(who, now)
			if len(who) == 0 {
				delete(b.suspects, h)
			}
		}
		if len(b.suspects) >= maxSuspects {
			return false
		}
	}
	who := b.suspects[home]
	if who == nil {
		who = make(map[peer.ID]time.Time, colluders)
		b.suspects[home] = who
	}
	forgetOld(who, now)
	who[p] = now
	if len(who) < colluders {
		return false
	}
	delete(b.suspects, home)
	return true
}

func forgetOld(who map[peer.ID]time.Time, now time.Time) {
	for p, at := range who {
		if now.Sub(at) >= colludeWithin {
			delete(who, p)
		}
	}
}

// ban needs mu.
func (b *Bans) ban(t target, d time.Duration, why Reason) *entry {
	e, ok := b.list[t]
	if !ok {
		b.makeRoom()
		e = &entry{}
		b.list[t] = e
		if t.net.IsValid() {
			b.nets[t.net.Bits()]++
		}
	}
	if until := b.clk.Now().Add(d); until.After(e.until) {
		e.until, e.reason = until, why
	}
	b.dirty.Store(true)
	return e
}

// remove needs mu.
func (b *Bans) remove(t target) {
	if _, ok := b.list[t]; !ok {
		return
	}
	delete(b.list, t)
	if t.net.IsValid() {
		if b.nets[t.net.Bits()]--; b.nets[t.net.Bits()] == 0 {
			delete(b.nets, t.net.Bits())
		}
	}
}

// makeRoom forgets what no longer matters, and if that is not enough the ban that ends
// first.
func (b *Bans) makeRoom() {
	if len(b.list) < maxBans {
		return
	}
	now := b.clk.Now()
	var first target
	for t, e := range b.list {
		if e.until.Add(forgetStrikes).Before(now) {
			b.remove(t)
			continue
		}
		if first == (target{}) || e.until.Before(b.list[first].until) {
			first = t
		}
	}
	if len(b.list) >= maxBans {
		b.remove(first)
	}
}

// Unban lets a peer in again and tells whether it was banned.
func (b *Bans) Unban(p peer.ID) bool { return b.lift(target{peer: p}) }

// UnbanNet lets a range of addresses in again and tells whether it was banned.
func (b *Bans) UnbanNet(n netip.Prefix) bool { return b.lift(target{net: n.Masked()}) }

func (b *Bans) lift(t target) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, ok := b.list[t]
	was := ok && e.until.After(b.clk.Now())
	b.remove(t)
	b.dirty.Store(true)
	return was
}

// Banned tells whether a peer is banned, and until when.
func (b *Bans) Banned(p peer.ID) (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e, ok := b.list[target{peer: p}]; ok && e.until.After(b.clk.Now()) {
		return e.until, true
	}
	return time.Time{}, false
}

// bannedAddr tells whether an address is in a banned range.
func (b *Bans) bannedAddr(a netip.Addr) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for bits := range b.nets {
		p, err := a.Prefix(bits)
		if err != nil {
			continue // a length of the other version of IP
		}
		if e, ok := b.list[target{net: p}]; ok && e.until.After(b.clk.Now()) {
			return true
		}
	}
	return false
}

// List are the bans in force.
func (b *Bans) List() []Ban {
	now := b.clk.Now()
	var out []Ban
	for _, x := range b.all() {
		if x.Until.After(now) {
			out = append(out, x)
		}
	}
	return out
}

// all are the entries, also those that only count strikes.
func (b *Bans) all() []Ban {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]Ban, 0, len(b.list))
	for t, e := range b.list {
		out = append(out, Ban{Peer: t.peer, Net: t.net, Until: e.until, Reason: e.reason, Strikes: e.strikes})
	}
	return out
}

// restore takes entries that were saved.
func (b *Bans) restore(list []Ban) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, x := range list {
		t := target{peer: x.Peer, net: x.Net}
		if x.Net.IsValid() == (x.Peer != "") || len(b.list) >= maxBans {
			continue // about both or neither
		}
		if _, ok := b.list[t]; !ok && t.net.IsValid() {
			b.nets[t.net.Bits()]++
		}
		b.list[t] = &entry{until: x.Until, reason: x.Reason, strikes: x.Strikes}
	}
}

// check returns ErrBanned for a banned peer.
func (b *Bans) check(p peer.ID) error {
	if until, banned := b.Banned(p); banned {
		return fmt.Errorf("%w until %s: %s", ErrBanned, until.Format(time.RFC3339), p)
	}
	return nil
}
