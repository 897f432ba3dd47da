package peers

import (
	"cmp"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Churn (spec network.md P-07): while all places are taken, one peer of little use makes room
// now and then, so that the network's shape stays in motion.
const (
	churnEvery = 5 * time.Minute
	churnIdle  = 30 * time.Minute // without delivering anything
	churnYoung = 10 * time.Minute // younger sessions are left alone
	churnTop   = 10               // percent of the sessions that are protected, the most useful
)

// useless tells whether a guest should go: it speaks nothing that we serve, and had no stream
// open for a while.
func (t *table) useless(now time.Time, p peer.ID, s *session) bool {
	if t.limits.useful == nil || t.trusted(p) || t.limits.useful(s.protocols) {
		return false
	}
	idle := s.identified
	if s.busyAt.After(idle) {
		idle = s.busyAt
	}
	return now.Sub(idle) >= uselessGrace
}

// churn drops one random peer of little use when all places are taken; pick chooses below n.
func (t *table) churn(now time.Time, pick func(n int) int) []action {
	if t.count().peers < t.limits.maxPeers {
		return nil
	}
	var all []peer.ID
	for p, s := range t.sessions {
		if s.state == Ready && !t.trusted(p) {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b peer.ID) int {
		return cmp.Or(cmp.Compare(t.score(now, a), t.score(now, b)), cmp.Compare(a, b))
	})
	all = all[:len(all)-len(all)*churnTop/100]
	all = slices.DeleteFunc(all, func(p peer.ID) bool {
		s := t.sessions[p]
		return now.Sub(s.since) < churnYoung || now.Sub(s.usefulAt) < churnIdle
	})
	if len(all) == 0 {
		return nil
	}
	return t.drop(all[pick(len(all))], ReasonChurn, 0)
}
