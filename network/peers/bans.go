package peers

import (
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/clock"
	ma "github.com/multiformats/go-multiaddr"
)

// A ban for bad behaviour starts at firstBan and doubles with each further one (spec
// network.md P-08); a peer that kept quiet for forgetStrikes starts anew.
const (
	firstBan      = 10 * time.Minute
	longestBan    = 24 * time.Hour
	forgetStrikes = 48 * time.Hour
	maxBans       = 4096
)

// Ban is one entry of the ban list.
type Ban struct {
	Peer   peer.ID
	Until  time.Time
	Reason Reason
}

// Bans is the list of peers that may not connect; it is a gater for the host. It lives in
// memory. Safe from many goroutines.
type Bans struct {
	clk clock.Clock

	mu   sync.Mutex
	list map[peer.ID]*entry // guarded by mu
}

type entry struct {
	until   time.Time
	reason  Reason
	strikes int
}

var _ connmgr.ConnectionGater = (*Bans)(nil)

// NewBans makes an empty list.
func NewBans(clk clock.Clock) *Bans {
	return &Bans{clk: clk, list: make(map[peer.ID]*entry)}
}

// Ban keeps a peer out for a while; a longer ban in force stays.
func (b *Bans) Ban(p peer.ID, d time.Duration, why Reason) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ban(p, d, why)
}

// Strike bans a peer for bad behaviour, longer each time, and tells for how long.
func (b *Bans) Strike(p peer.ID, why Reason) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := firstBan
	if e, ok := b.list[p]; ok {
		for range e.strikes {
			d = min(2*d, longestBan)
		}
	}
	b.ban(p, d, why).strikes++
	return d
}

// ban needs mu.
func (b *Bans) ban(p peer.ID, d time.Duration, why Reason) *entry {
	e, ok := b.list[p]
	if !ok {
		b.makeRoom()
		e = &entry{}
		b.list[p] = e
	}
	if until := b.clk.Now().Add(d); until.After(e.until) {
		e.until, e.reason = until, why
	}
	return e
}

// makeRoom forgets what no longer matters, and if that is not enough the ban that ends
// first.
func (b *Bans) makeRoom() {
	if len(b.list) < maxBans {
		return
	}
	now := b.clk.Now()
	var first peer.ID
	for p, e := range b.list {
		if e.until.Add(forgetStrikes).Before(now) {
			delete(b.list, p)
			continue
		}
		if first == "" || e.until.Before(b.list[first].until) {
			first = p
		}
	}
	if len(b.list) >= maxBans {
		delete(b.list, first)
	}
}

// Unban lets a peer in again and tells whether it was banned.
func (b *Bans) Unban(p peer.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, ok := b.list[p]
	delete(b.list, p)
	return ok && e.until.After(b.clk.Now())
}

// Banned tells whether a peer is banned, and until when.
func (b *Bans) Banned(p peer.ID) (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e, ok := b.list[p]; ok && e.until.After(b.clk.Now()) {
		return e.until, true
	}
	return time.Time{}, false
}

// List are the bans in force.
func (b *Bans) List() []Ban {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clk.Now()
	out := make([]Ban, 0, len(b.list))
	for p, e := range b.list {
		if e.until.After(now) {
			out = append(out, Ban{Peer: p, Until: e.until, Reason: e.reason})
		}
	}
	return out
}

// check returns ErrBanned for a banned peer.
func (b *Bans) check(p peer.ID) error {
	if until, banned := b.Banned(p); banned {
		return fmt.Errorf("%w until %s: %s", ErrBanned, until.Format(time.RFC3339), p)
	}
	return nil
}

// InterceptPeerDial implements connmgr.ConnectionGater.
func (b *Bans) InterceptPeerDial(p peer.ID) bool { return b.check(p) == nil }

// InterceptAddrDial implements connmgr.ConnectionGater.
func (b *Bans) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }

// InterceptAccept implements connmgr.ConnectionGater: who it is shows later.
func (b *Bans) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured implements connmgr.ConnectionGater.
func (b *Bans) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return b.check(p) == nil
}

// InterceptUpgraded implements connmgr.ConnectionGater.
func (b *Bans) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
