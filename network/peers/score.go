package peers

import (
	"math"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Scores (spec network.md P-08).
const (
	scoreHalfLife = 10 * time.Minute
	scoreLimit    = -100
	scoreMax      = 50
	maxRecords    = 1024 // scores kept of peers that have gone
)

// record is a peer's score; it outlives the session.
type record struct {
	score float64
	at    time.Time
}

// fault lowers a peer's score; at the limit the peer is dropped and banned.
func (t *table) fault(now time.Time, p peer.ID, f Fault) []action {
	if f == Local {
		return nil // never charged to the peer (spec network.md P-09)
	}
	r := t.record(now, p)
	r.score -= f.penalty()
	if r.score > scoreLimit || t.trusted(p) && f != Forged {
		return nil
	}
	r.score = scoreLimit / 2 // it comes back on probation
	return t.drop(p, ReasonScore, strike)
}

// useful raises a peer's score.
func (t *table) useful(now time.Time, p peer.ID, points float64) {
	r := t.record(now, p)
	r.score = min(scoreMax, r.score+points)
	if s, ok := t.sessions[p]; ok && points > 0 {
		s.usefulAt = now
	}
}

// score is a peer's score now.
func (t *table) score(now time.Time, p peer.ID) float64 {
	if r, ok := t.records[p]; ok {
		return r.decayed(now)
	}
	return 0
}

func (r *record) decayed(now time.Time) float64 {
	age := max(0, now.Sub(r.at))
	return r.score * math.Exp2(-float64(age)/float64(scoreHalfLife))
}

// record finds or makes a peer's score and brings it up to date.
func (t *table) record(now time.Time, p peer.ID) *record {
	r, ok := t.records[p]
	if !ok {
		t.forget(now)
		r = &record{at: now}
		t.records[p] = r
	}
	r.score, r.at = r.decayed(now), now
	return r
}

// forget keeps the number of records bounded: scores near zero go first, then the oldest
// of peers that are not connected.
func (t *table) forget(now time.Time) {
	if len(t.records) < maxRecords {
		return
	}
	var oldest peer.ID
	for p, r := range t.records {
		if _, here := t.sessions[p]; here {
			continue
		}
		if math.Abs(r.decayed(now)) < 1 {
			delete(t.records, p)
			continue
		}
		if oldest == "" || r.at.Before(t.records[oldest].at) {
			oldest = p
		}
	}
	if len(t.records) >= maxRecords && oldest != "" {
		delete(t.records, oldest)
	}
}
