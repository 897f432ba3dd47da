package host

import (
	"maps"
	"math"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/lodenet/lode/clock"
)

const (
	rateSpan   = 10 * time.Second // over which rates are averaged
	maxMetered = 4096             // peers that are counted apart; who was idle longest is forgotten
)

// Bandwidth counts bytes by peer and by protocol. Unlike libp2p's own counter it has no
// goroutine, so it ends with its host and works in virtual time. Safe from many goroutines.
type Bandwidth struct {
	now func() time.Time

	mu        sync.Mutex // guards all below
	all       flow
	peers     map[peer.ID]*flow
	protocols map[protocol.ID]*flow
}

var _ metrics.Reporter = (*Bandwidth)(nil)

func newBandwidth() *Bandwidth {
	return &Bandwidth{now: clock.System{}.Now, peers: make(map[peer.ID]*flow), protocols: make(map[protocol.ID]*flow)}
}

// flow is traffic in both directions.
type flow struct{ in, out meter }

// meter sums up bytes, and again with those of long ago weighing less.
type meter struct {
	total  int64
	recent float64
	at     time.Time
}

func (m *meter) add(now time.Time, n int64) {
	m.recent = m.decayed(now) + float64(n)
	m.total += n
	m.at = now
}

func (m *meter) decayed(now time.Time) float64 {
	return m.recent * math.Exp(-float64(max(0, now.Sub(m.at)))/float64(rateSpan))
}

func (f *flow) stats(now time.Time) metrics.Stats {
	return metrics.Stats{
		TotalIn: f.in.total, TotalOut: f.out.total,
		RateIn: f.in.decayed(now) / rateSpan.Seconds(), RateOut: f.out.decayed(now) / rateSpan.Seconds(),
	}
}

func (f *flow) last() time.Time {
	if f.in.at.After(f.out.at) {
		return f.in.at
	}
	return f.out.at
}

// LogSentMessage implements metrics.Reporter.
func (b *Bandwidth) LogSentMessage(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all.out.add(b.now(), n)
}

// LogRecvMessage implements metrics.Reporter.
func (b *Bandwidth) LogRecvMessage(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all.in.add(b.now(), n)
}

// LogSentMessageStream implements metrics.Reporter.
func (b *Bandwidth) LogSentMessageStream(n int64, proto protocol.ID, p peer.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	b.peer(p).out.add(now, n)
	b.protocol(proto).out.add(now, n)
}

// LogRecvMessageStream implements metrics.Reporter.
func (b *Bandwidth) LogRecvMessageStream(n int64, proto protocol.ID, p peer.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	b.peer(p).in.add(now, n)
	b.protocol(proto).in.add(now, n)
}

// peer needs mu.
func (b *Bandwidth) peer(p peer.ID) *flow {
	f, ok := b.peers[p]
	if !ok {
		forgetIdle(b.peers)
		f = &flow{}
		b.peers[p] = f
	}
	return f
}

// protocol needs mu. Names of protocols come from peers, so they are bounded as well.
func (b *Bandwidth) protocol(p protocol.ID) *flow {
	f, ok := b.protocols[p]
	if !ok {
		forgetIdle(b.protocols)
		f = &flow{}
		b.protocols[p] = f
	}
	return f
}

// forgetIdle makes room for one more.
func forgetIdle[K comparable](m map[K]*flow) {
	if len(m) < maxMetered {
		return
	}
	var oldest K
	var at time.Time
	for k, f := range m {
		if last := f.last(); at.IsZero() || last.Before(at) {
			oldest, at = k, last
		}
	}
	delete(m, oldest)
}

// GetBandwidthForPeer implements metrics.Reporter.
func (b *Bandwidth) GetBandwidthForPeer(p peer.ID) metrics.Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f, ok := b.peers[p]; ok {
		return f.stats(b.now())
	}
	return metrics.Stats{}
}

// GetBandwidthForProtocol implements metrics.Reporter.
func (b *Bandwidth) GetBandwidthForProtocol(p protocol.ID) metrics.Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f, ok := b.protocols[p]; ok {
		return f.stats(b.now())
	}
	return metrics.Stats{}
}

// GetBandwidthTotals implements metrics.Reporter.
func (b *Bandwidth) GetBandwidthTotals() metrics.Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.stats(b.now())
}

// GetBandwidthByPeer implements metrics.Reporter.
func (b *Bandwidth) GetBandwidthByPeer() map[peer.ID]metrics.Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return statsOf(b.peers, b.now())
}

// GetBandwidthByProtocol implements metrics.Reporter.
func (b *Bandwidth) GetBandwidthByProtocol() map[protocol.ID]metrics.Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return statsOf(b.protocols, b.now())
}

// Reset implements metrics.Reporter.
func (b *Bandwidth) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = flow{}
	clear(b.peers)
	clear(b.protocols)
}

// TrimIdle implements metrics.Reporter: it forgets who was idle since then.
func (b *Bandwidth) TrimIdle(since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.peers, func(_ peer.ID, f *flow) bool { return f.last().Before(since) })
	maps.DeleteFunc(b.protocols, func(_ protocol.ID, f *flow) bool { return f.last().Before(since) })
}

func statsOf[K comparable](m map[K]*flow, now time.Time) map[K]metrics.Stats {
	out := make(map[K]metrics.Stats, len(m))
	for k, f := range m {
		out[k] = f.stats(now)
	}
	return out
}
