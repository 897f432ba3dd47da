package node

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/lodenet/lode/network/gossip"
)

// metricsPath is where the RPC server shows the node's metrics.
const metricsPath = "/debug/metrics"

// The node's own metrics. They are read when somebody asks; nothing samples in between (spec
// network.md D-10, L-10).
var (
	descRestarts  = prometheus.NewDesc("lode_service_restarts_total", "Parts that were run again after a failure.", []string{"service", "reason"}, nil)
	descMessages  = prometheus.NewDesc("lode_dispatch_messages_total", "Messages of the dispatcher by topic and outcome.", []string{"topic", "outcome"}, nil)
	descQueued    = prometheus.NewDesc("lode_dispatch_queued", "Messages, or open questions, that wait.", []string{"topic"}, nil)
	descBytes     = prometheus.NewDesc("lode_dispatch_queued_bytes", "Bytes that wait; of answers, bytes of unexpected ones.", []string{"topic"}, nil)
	descClock     = prometheus.NewDesc("lode_clock_stops_mining", "1 while no blocks are made because this machine's clock differs from most peers'.", nil, nil)
	descTurned    = prometheus.NewDesc("lode_streams_turned_away_total", "Streams of peers that were reset since all places of their protocol were taken.", []string{"protocol"}, nil)
	descGossip    = prometheus.NewDesc("lode_gossip_messages_total", "What gossip brought, by verdict.", []string{"verdict"}, nil)
	descTold      = prometheus.NewDesc("lode_dht_announced_total", "Records of content that were stored at other peers.", nil, nil)
	descUntold    = prometheus.NewDesc("lode_dht_announce_dropped_total", "New content that waits for the next look, since the queue was full.", nil, nil)
	descHighWater = prometheus.NewDesc("lode_dispatch_high_water", "The most that waited since the last look.", []string{"topic"}, nil)
)

// counters reads a node's counters.
type counters struct{ n *Node }

var _ prometheus.Collector = counters{}

// Describe implements prometheus.Collector.
func (m counters) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descRestarts, descMessages, descQueued, descBytes, descHighWater, descClock, descTurned, descGossip, descTold, descUntold} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m counters) Collect(out chan<- prometheus.Metric) {
	stopped := 0.0
	if m.n.rightClock.wrong.Load() {
		stopped = 1
	}
	out <- prometheus.MustNewConstMetric(descClock, prometheus.GaugeValue, stopped)
	for id, n := range m.n.host.TurnedAway() {
		out <- prometheus.MustNewConstMetric(descTurned, prometheus.CounterValue, float64(n), string(id))
	}
	st := m.n.gossip.Stats()
	for verdict, n := range map[gossip.Verdict]uint64{gossip.Accept: st.Accepted, gossip.Ignore: st.Ignored, gossip.Reject: st.Rejected} {
		out <- prometheus.MustNewConstMetric(descGossip, prometheus.CounterValue, float64(n), verdict.String())
	}
	if m.n.announcer != nil {
		st := m.n.announcer.Stats()
		out <- prometheus.MustNewConstMetric(descTold, prometheus.CounterValue, float64(st.Told))
		out <- prometheus.MustNewConstMetric(descUntold, prometheus.CounterValue, float64(st.Dropped))
	}
	for _, r := range m.n.restarts.Restarts() {
		out <- prometheus.MustNewConstMetric(descRestarts, prometheus.CounterValue, float64(r.Count), r.Part, r.Reason)
	}
	for _, t := range m.n.dispatcher.Topics() {
		for outcome, n := range map[string]uint64{
			"delivered": t.Delivered, "dropped": t.Dropped, "duplicate": t.Duplicate,
			"no subscriber": t.NoSubscriber, "unexpected": t.Unexpected,
		} {
			out <- prometheus.MustNewConstMetric(descMessages, prometheus.CounterValue, float64(n), t.Topic, outcome)
		}
		out <- prometheus.MustNewConstMetric(descQueued, prometheus.GaugeValue, float64(t.Queued), t.Topic)
		out <- prometheus.MustNewConstMetric(descBytes, prometheus.GaugeValue, float64(t.Bytes), t.Topic)
		out <- prometheus.MustNewConstMetric(descHighWater, prometheus.GaugeValue, float64(t.HighWater), t.Topic)
	}
}

// serveMetrics puts the metrics of node and runtime beside the API. They hold numbers alone
// and need no token.
func (n *Node) serveMetrics() {
	reg := prometheus.NewRegistry()
	reg.MustRegister(counters{n}, n.peers, n.tunnels, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	n.rpc.server.Handle(metricsPath, promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
}
