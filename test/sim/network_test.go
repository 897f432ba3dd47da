package sim_test

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"
)

// wires is the simulated network: a star of links with latency in the middle, where pairs of
// nodes can be cut off from one another. A cut is silent, as in life: packets are lost, and
// connections die of their timeouts.
type wires struct {
	net  *simnet.Simnet
	link simnet.NodeBiDiLinkSettings

	mu      sync.Mutex
	island  map[string]int           // IP → island; nodes of different ones hear nothing of each other; guarded by mu
	latency map[string]time.Duration // IP → half of what it adds to a packet; guarded by mu
	muted   map[string]bool          // IP → nothing goes in or out; guarded by mu
}

const port = 8000

// nowhere is an address that nobody has.
var nowhere = &net.UDPAddr{IP: net.IPv4(9, 9, 9, 9), Port: 9}

func newWires() *wires {
	link := simnet.LinkSettings{BitsPerSecond: 100 * simlibp2p.OneMbps}
	w := &wires{
		link:    simnet.NodeBiDiLinkSettings{Downlink: link, Uplink: link},
		island:  make(map[string]int),
		latency: make(map[string]time.Duration),
		muted:   make(map[string]bool),
	}
	w.net = &simnet.Simnet{LatencyFunc: w.route, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	w.net.Start()
	return w
}

// endpoint is where a node listens.
func endpoint(i int) string {
	return fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", simnet.IntToPublicIPv4(i), port)
}

func ip(i int) string { return simnet.IntToPublicIPv4(i).String() }

// options make a libp2p host use the wires.
func (w *wires) options() []libp2p.Option {
	return []libp2p.Option{
		simlibp2p.QUICSimnet(w.net, w.link),
		libp2p.DisableIdentifyAddressDiscovery(), // it stalls virtual time
	}
}

// route tells how long a packet travels, and sends it nowhere when its way is cut.
func (w *wires) route(p *simnet.Packet) time.Duration {
	from, to := p.From.(*net.UDPAddr).IP.String(), p.To.(*net.UDPAddr).IP.String()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.island[from] != w.island[to] || w.muted[from] || w.muted[to] {
		p.To = nowhere
	}
	return w.latency[from] + w.latency[to]
}

// split puts nodes on islands, one number a node.
func (w *wires) split(islands []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, n := range islands {
		w.island[ip(i)] = n
	}
}

// mute cuts a node off from all others, or ends that.
func (w *wires) mute(i int, on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.muted[ip(i)] = on
}

// slow sets what a node's line adds to each packet, either way.
func (w *wires) slow(i int, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.latency[ip(i)] = d
}
