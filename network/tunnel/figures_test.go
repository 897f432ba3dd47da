package tunnel

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/host/hosttest"
)

// TestT11Metrics: the counters are there for Prometheus, and a node that does not run its
// tunnels has none.
func TestT11Metrics(t *testing.T) {
	p := newPair(t, transports["TCP"], Options{})
	at := p.tunnel(t, target(t, echo))
	roundTrip(t, at, 100)
	p.settle(t)
	require.Equal(t, map[string]float64{
		"lode_tunnel_bytes_total in": 100, "lode_tunnel_bytes_total out": 100,
		"lode_tunnel_ends_total eof":       1,
		"lode_tunnel_listeners forward":    0,
		"lode_tunnel_listeners listen":     1,
		"lode_tunnel_setup_seconds":        1,
		"lode_tunnel_streams":              0,
		"lode_tunnel_streams_opened_total": 1,
	}, figuresOf(t, p.server))
	p.stopServer()
	require.Empty(t, figuresOf(t, p.server), "after Run")
	require.Empty(t, figuresOf(t, New(p.hosts[0], nil, Options{}, clock.System{}, hosttest.Quiet())), "before Run")
}

// figuresOf are metrics by name and labels; of a histogram it is how many were counted.
func figuresOf(t *testing.T, tun *Tunnels) map[string]float64 {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	require.NoError(t, reg.Register(tun))
	families, err := reg.Gather()
	require.NoError(t, err)
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			out[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return out
}
