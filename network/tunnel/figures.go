package tunnel

import (
	"context"
	"maps"

	"github.com/prometheus/client_golang/prometheus"
)

// The figures of spec network.md T-11, for Prometheus.
var (
	openDesc      = prometheus.NewDesc("lode_tunnel_streams", "Tunnel streams that are open.", nil, nil)
	openedDesc    = prometheus.NewDesc("lode_tunnel_streams_opened_total", "Tunnel streams that were let in.", nil, nil)
	bytesDesc     = prometheus.NewDesc("lode_tunnel_bytes_total", "Bytes that tunnels carried, from peers and to them.", []string{"direction"}, nil)
	setupDesc     = prometheus.NewDesc("lode_tunnel_setup_seconds", "Time to set a tunnel stream up.", nil, nil)
	endsDesc      = prometheus.NewDesc("lode_tunnel_ends_total", "How tunnel streams ended or were refused.", []string{"reason"}, nil)
	listenersDesc = prometheus.NewDesc("lode_tunnel_listeners", "Offers and forwards.", []string{"kind"}, nil)
)

var _ prometheus.Collector = (*Tunnels)(nil)

// Describe implements prometheus.Collector.
func (t *Tunnels) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{openDesc, openedDesc, bytesDesc, setupDesc, endsDesc, listenersDesc} {
		out <- d
	}
}

// Collect implements prometheus.Collector. Before Run, and after it, there is nothing to tell.
func (t *Tunnels) Collect(out chan<- prometheus.Metric) {
	select {
	case <-t.ready:
	default:
		return
	}
	var st *Stats
	listeners := make(map[Kind]int)
	t.ask(func(r *registry) {
		s := t.stats(r)
		st, listeners[KindListen], listeners[KindForward] = &s, len(r.offers), len(r.forwards)
	})
	if st == nil {
		return
	}
	out <- prometheus.MustNewConstMetric(openDesc, prometheus.GaugeValue, float64(st.Open))
	out <- prometheus.MustNewConstMetric(openedDesc, prometheus.CounterValue, float64(st.Opened))
	out <- prometheus.MustNewConstMetric(bytesDesc, prometheus.CounterValue, float64(st.BytesIn), "in")
	out <- prometheus.MustNewConstMetric(bytesDesc, prometheus.CounterValue, float64(st.BytesOut), "out")
	for kind, n := range listeners {
		out <- prometheus.MustNewConstMetric(listenersDesc, prometheus.GaugeValue, float64(n), string(kind))
	}
	for why, n := range st.Ends {
		out <- prometheus.MustNewConstMetric(endsDesc, prometheus.CounterValue, float64(n), string(why))
	}
	count, within := uint64(0), make(map[float64]uint64, len(setupBounds))
	for i, bound := range setupBounds {
		count += st.Setup.Counts[i]
		within[bound.Seconds()] = count
	}
	count += st.Setup.Counts[len(setupBounds)]
	out <- prometheus.MustNewConstHistogram(setupDesc, count, st.Setup.Sum.Seconds(), within)
}

// Stats are the counters.
func (t *Tunnels) Stats(ctx context.Context) (out Stats, err error) {
	err = t.do(ctx, func(r *registry) { out = t.stats(r) })
	return out, err
}

// stats sums up the streams that have ended and those that are open.
func (t *Tunnels) stats(r *registry) Stats {
	out := r.stats
	out.Open = len(r.streams)
	out.Ends = maps.Clone(r.stats.Ends)
	for _, l := range r.streams {
		out.BytesIn += l.in.Load()
		out.BytesOut += l.out.Load()
	}
	return out
}
