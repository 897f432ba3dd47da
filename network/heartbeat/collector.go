package heartbeat

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	libp2phost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/host"
	"github.com/prometheus/client_golang/prometheus"
)

// Bounds of a Collector.
const (
	maxStreams = 1024            // reporters at once
	maxNodes   = 4096            // remembered; who was silent longest is forgotten
	silence    = 2 * time.Minute // after which a stream is closed
)

// Report is a beat as it arrived.
type Report struct {
	Peer peer.ID // proven by the connection
	At   time.Time
	Beat
}

// Collector takes heartbeats. Safe from many goroutines.
type Collector struct {
	host  libp2phost.Host
	each  func(Report)
	clk   clock.Clock
	log   *slog.Logger
	ready chan struct{}

	mu   sync.Mutex
	last map[peer.ID]Report // guarded by mu
	bad  uint64             // guarded by mu
}

// NewCollector prepares a collector; Run takes heartbeats. each gets every report, from
// several goroutines, and may block, which slows that reporter down.
func NewCollector(h libp2phost.Host, each func(Report), clk clock.Clock, log *slog.Logger) *Collector {
	return &Collector{
		host: h, each: each, clk: clk, log: log, ready: make(chan struct{}),
		last: make(map[peer.ID]Report),
	}
}

// Ready is closed when Run takes heartbeats: the host may listen.
func (c *Collector) Ready() <-chan struct{} { return c.ready }

// Run collects until the context ends. It can be called once.
func (c *Collector) Run(ctx context.Context) error {
	stop := host.Serve(c.host, maxStreams, map[protocol.ID]network.StreamHandler{
		Protocol: func(s network.Stream) {
			defer func() { _ = s.Reset() }() // nothing is ever answered
			c.receive(ctx, s)
		},
	})
	close(c.ready)
	<-ctx.Done()
	stop()
	return nil
}

// receive reads the beats of one stream.
func (c *Collector) receive(ctx context.Context, s network.Stream) {
	p := s.Conn().RemotePeer()
	lines := bufio.NewScanner(s)
	lines.Buffer(make([]byte, 0, 1024), maxBeat)
	for {
		if !scan(ctx, s, lines) {
			if err := lines.Err(); err != nil && ctx.Err() == nil {
				c.log.Debug("heartbeats end", "peer", p, "err", err)
			}
			return
		}
		b, err := parseBeat(lines.Bytes())
		if err != nil {
			c.mu.Lock()
			c.bad++
			c.mu.Unlock()
			c.log.Debug("heartbeat refused", "peer", p, "err", err)
			return
		}
		r := Report{Peer: p, At: c.clk.Now(), Beat: b}
		c.note(r)
		c.each(r)
	}
}

// scan waits for the next line, not for ever.
func scan(ctx context.Context, s network.Stream, lines *bufio.Scanner) bool {
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	defer host.Bound(ctx, s)()
	return lines.Scan()
}

// note remembers the last report of each node.
func (c *Collector) note(r Report) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.last[r.Peer]; !ok && len(c.last) >= maxNodes {
		var oldest peer.ID
		for p, x := range c.last {
			if oldest == "" || x.At.Before(c.last[oldest].At) {
				oldest = p
			}
		}
		delete(c.last, oldest)
	}
	c.last[r.Peer] = r
}

// Last is the latest report of each node, ordered by peer id.
func (c *Collector) Last() []Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]Report, 0, len(c.last))
	for _, r := range c.last {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Report) int { return cmp.Compare(a.Peer, b.Peer) })
	return out
}

var (
	labels     = []string{"peer", "nickname", "network"}
	heightDesc = prometheus.NewDesc("lode_heartbeat_height", "Epoch of the node's head.", labels, nil)
	behindDesc = prometheus.NewDesc("lode_heartbeat_behind_epochs", "Epochs between the node's head and its clock.", labels, nil)
	peersDesc  = prometheus.NewDesc("lode_heartbeat_peers", "Peers of the node.", labels, nil)
	healthDesc = prometheus.NewDesc("lode_heartbeat_healthy", "Whether the node calls itself healthy.", labels, nil)
	ageDesc    = prometheus.NewDesc("lode_heartbeat_age_seconds", "Time since the node's last heartbeat.", labels, nil)
	badDesc    = prometheus.NewDesc("lode_heartbeat_malformed_total", "Heartbeats that could not be read.", nil, nil)
)

var _ prometheus.Collector = (*Collector)(nil)

// Describe implements prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{heightDesc, behindDesc, peersDesc, healthDesc, ageDesc, badDesc} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	now := c.clk.Now()
	for _, r := range c.Last() {
		healthy := 0.0
		if r.Healthy {
			healthy = 1
		}
		for d, v := range map[*prometheus.Desc]float64{
			heightDesc: float64(r.Height), behindDesc: float64(r.Behind), peersDesc: float64(r.Beat.Peers),
			healthDesc: healthy, ageDesc: now.Sub(r.At).Seconds(),
		} {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, r.Peer.String(), r.Nickname, r.Network)
		}
	}
	c.mu.Lock()
	bad := c.bad
	c.mu.Unlock()
	out <- prometheus.MustNewConstMetric(badDesc, prometheus.CounterValue, float64(bad))
}

// String shows a report in one line.
func (r Report) String() string {
	health := "healthy"
	if !r.Healthy {
		health = cmp.Or(r.Reason, "health unknown")
	}
	return fmt.Sprintf("%s %s %s height %d, %d behind, %d peers, %s", r.At.UTC().Format(time.RFC3339), r.Peer,
		cmp.Or(r.Nickname, "-"), r.Height, r.Behind, r.Beat.Peers, health)
}
