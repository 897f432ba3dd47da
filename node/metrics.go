package node

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
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
	descHighWater = prometheus.NewDesc("lode_dispatch_high_water", "The most that waited since the last look.", []string{"topic"}, nil)
)

// counters reads a node's counters.
type counters struct{ n *Node }

var _ prometheus.Collector = counters{}

// Describe implements prometheus.Collector.
func (m counters) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descRestarts, descMessages, descQueued, descBytes, descHighWater, descClock} {
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
	reg.MustRegister(counters{n}, n.peers)
	n.rpc.server.Handle(metricsPath, promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
}
