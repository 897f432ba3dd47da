package peers

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A clock that differs from the median of the peers' by offsetWarn is worth a warning; by
// OffsetLimit, blocks made with it would be refused (spec network.md P-14).
const (
	offsetWarn    = 2 * time.Second
	OffsetLimit   = 10 * time.Second
	offsetQuorum  = 3 // peers, fewer say nothing about whose clock is wrong
	warnClockLess = time.Hour
)

// figures are measurements of handshakes.
type figures struct {
	latency, offset prometheus.Histogram
}

func newFigures() figures {
	return figures{
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "lode_peer_hello_seconds", Help: "Round trips of handshakes.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
		}),
		offset: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "lode_peer_clock_offset_seconds", Help: "How far peers' clocks are behind ours.",
			Buckets: []float64{-60, -10, -5, -2, -1, -0.1, 0.1, 1, 2, 5, 10, 60},
		}),
	}
}

func (f figures) met(m Met) {
	f.latency.Observe(m.Latency.Seconds())
	f.offset.Observe(m.Offset.Seconds())
}

var (
	sessionsDesc = prometheus.NewDesc("lode_peer_sessions", "Sessions by state and direction.", []string{"state", "direction"}, nil)
	dropDesc     = prometheus.NewDesc("lode_peer_drop_total", "Peers dropped, by reason.", []string{"reason"}, nil)
	goodbyeDesc  = prometheus.NewDesc("lode_peer_goodbye_total", "Peers that dropped us, by the reason they gave.", []string{"reason"}, nil)
	refusedDesc  = prometheus.NewDesc("lode_peer_refused_total", "Connections refused by bans or because all places are taken.", nil, nil)
	bansDesc     = prometheus.NewDesc("lode_peer_bans", "Bans in force.", nil, nil)
	bookDesc     = prometheus.NewDesc("lode_peer_book", "Peers remembered for dialling.", nil, nil)
)

var _ prometheus.Collector = (*Manager)(nil)

// Describe implements prometheus.Collector.
func (m *Manager) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{sessionsDesc, dropDesc, goodbyeDesc, refusedDesc, bansDesc, bookDesc} {
		out <- d
	}
	m.figures.latency.Describe(out)
	m.figures.offset.Describe(out)
}

// Collect implements prometheus.Collector.
func (m *Manager) Collect(out chan<- prometheus.Metric) {
	type kind struct{ state, direction string }
	sessions := make(map[kind]int)
	m.mu.Lock()
	for _, s := range m.table.sessions {
		k := kind{s.state.String(), "out"}
		if s.inbound {
			k.direction = "in"
		}
		sessions[k]++
	}
	book := len(m.book)
	m.mu.Unlock()
	for k, n := range sessions {
		out <- prometheus.MustNewConstMetric(sessionsDesc, prometheus.GaugeValue, float64(n), k.state, k.direction)
	}
	for r, n := range m.Drops() {
		out <- prometheus.MustNewConstMetric(dropDesc, prometheus.CounterValue, float64(n), string(r))
	}
	for r, n := range m.Goodbyes() {
		out <- prometheus.MustNewConstMetric(goodbyeDesc, prometheus.CounterValue, float64(n), string(r))
	}
	out <- prometheus.MustNewConstMetric(refusedDesc, prometheus.CounterValue, float64(m.bans.Refused()))
	out <- prometheus.MustNewConstMetric(bansDesc, prometheus.GaugeValue, float64(len(m.bans.List())))
	out <- prometheus.MustNewConstMetric(bookDesc, prometheus.GaugeValue, float64(book))
	m.figures.latency.Collect(out)
	m.figures.offset.Collect(out)
}

// clockOffset is when the operator was last told that the clock is off.
type clockOffset struct{ warned time.Time }

// ClockOffset is the median of how far the Ready peers' clocks are behind ours. It is zero
// while too few are Ready to tell whose clock is wrong.
func (m *Manager) ClockOffset() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.table.clockOffset()
}

func (t *table) clockOffset() time.Duration {
	var all []time.Duration
	for _, s := range t.sessions {
		if s.state == Ready && s.said {
			all = append(all, s.met.Offset)
		}
	}
	if len(all) < offsetQuorum {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// watchClock tells the operator when the clock is off.
func (m *Manager) watchClock() {
	off := m.ClockOffset()
	if off.Abs() <= offsetWarn {
		return
	}
	m.mu.Lock()
	now := m.clk.Now()
	tell := m.offset.warned.IsZero() || now.Sub(m.offset.warned) >= warnClockLess
	if tell {
		m.offset.warned = now
	}
	m.mu.Unlock()
	if tell {
		m.log.Warn("this machine's clock differs from that of most peers; check its time service", "ahead", off)
	}
}
