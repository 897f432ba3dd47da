package dispatch

import (
	"sync"
	"time"

	"github.com/lodenet/lode/clock"
	"golang.org/x/crypto/blake2b"
)

// Defaults of a Dedup (spec network.md D-07).
const (
	DefaultDedupAge  = 120 * time.Second
	DefaultDedupSize = 65536
	claimTimeout     = 30 * time.Second
	shards           = 16
)

// DedupKey identifies a message for a Dedup: the topic is part of it, so that equal bytes on
// two topics are two messages.
func DedupKey(topic string, data []byte) [32]byte {
	buf := make([]byte, 0, len(topic)+1+len(data))
	buf = append(buf, topic...)
	buf = append(buf, 0)
	return blake2b.Sum256(append(buf, data...))
}

// Dedup remembers which messages were taken. A key is first claimed, and remembered only
// when the claim is committed: a message that nobody had room for may come again. Memory is
// bounded by two generations of a size and an age. Safe from many goroutines.
type Dedup struct {
	clk    clock.Clock
	age    time.Duration
	size   int // of one generation of one shard
	shards [shards]dedupShard
}

type dedupShard struct {
	mu      sync.Mutex
	claims  map[[32]byte]claim    // guarded by mu
	cur     map[[32]byte]struct{} // guarded by mu
	prev    map[[32]byte]struct{} // guarded by mu
	started time.Time             // guarded by mu: of the generation cur
	serial  uint64                // guarded by mu
}

type claim struct {
	serial  uint64
	expires time.Time
}

// Token is a claim on a key. Commit or Abort it; otherwise it lapses after 30 s. The zero
// Token does nothing.
type Token struct {
	d      *Dedup
	key    [32]byte
	serial uint64
}

// NewDedup remembers for one to two times age, and one to two times size keys; zeros mean
// the defaults.
func NewDedup(clk clock.Clock, age time.Duration, size int) *Dedup {
	if age <= 0 {
		age = DefaultDedupAge
	}
	if size <= 0 {
		size = DefaultDedupSize
	}
	return &Dedup{clk: clk, age: age, size: max(1, size/shards)}
}

func (d *Dedup) shard(k [32]byte) *dedupShard { return &d.shards[k[0]%shards] }

// Begin claims a key. fresh is false when the key was committed, or is claimed by another;
// the token is then the zero Token.
func (d *Dedup) Begin(k [32]byte) (tok Token, fresh bool) {
	now := d.clk.Now()
	s := d.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rotate(now, d.age, d.size)
	if _, ok := s.cur[k]; ok {
		return Token{}, false
	}
	if _, ok := s.prev[k]; ok {
		return Token{}, false
	}
	if c, ok := s.claims[k]; ok && now.Before(c.expires) {
		return Token{}, false
	}
	if len(s.claims) >= d.size {
		for o, c := range s.claims {
			if !now.Before(c.expires) {
				delete(s.claims, o)
			}
		}
		if len(s.claims) >= d.size {
			return Token{}, true // too many at once to watch: it passes unclaimed
		}
	}
	if s.claims == nil {
		s.claims = make(map[[32]byte]claim)
	}
	s.serial++
	s.claims[k] = claim{serial: s.serial, expires: now.Add(claimTimeout)}
	return Token{d: d, key: k, serial: s.serial}, true
}

// rotate needs mu. It starts a new generation when the present one is full or old.
func (s *dedupShard) rotate(now time.Time, age time.Duration, size int) {
	if s.cur == nil {
		s.cur, s.started = make(map[[32]byte]struct{}), now
	}
	switch old := now.Sub(s.started); {
	case old >= 2*age: // nobody came for long: both are out of date
		s.prev, s.cur, s.started = nil, make(map[[32]byte]struct{}), now
	case old >= age || len(s.cur) >= size:
		s.prev, s.cur, s.started = s.cur, make(map[[32]byte]struct{}), now
	}
}

// Commit remembers the key: somebody took the message.
func (t Token) Commit() { t.finish(true) }

// Abort gives the key up: nobody took the message, a later copy may pass.
func (t Token) Abort() { t.finish(false) }

// finish does nothing for a claim that has lapsed and was given to another.
func (t Token) finish(keep bool) {
	if t.d == nil {
		return
	}
	s := t.d.shard(t.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.claims[t.key]; !ok || c.serial != t.serial {
		return
	}
	delete(s.claims, t.key)
	if keep {
		s.rotate(t.d.clk.Now(), t.d.age, t.d.size)
		s.cur[t.key] = struct{}{}
	}
}
