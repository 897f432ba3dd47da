package netfault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/host/hosttest"
	"github.com/lodenet/lode/node"
	"github.com/lodenet/lode/repo"
)

// TestSim runs the scenarios in virtual time.
func TestSim(t *testing.T) {
	for _, s := range scenarios(t, levelSim) {
		t.Run(s.ID, func(t *testing.T) { simulate(t, s) })
	}
}

// lead is how long before epoch 0 the world begins.
const lead = 10 * time.Second

// bubbleStart is what the clock of every synctest bubble says first.
var bubbleStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func simulate(t *testing.T, s scenario) {
	begin := time.Now()
	b := create(t, s, func() time.Time { return bubbleStart.Add(lead) })
	r := &run{s: s, level: levelSim, birth: b.Birth, ids: b.ids, epochs: b.epochs(), fabric: newFabric(s.Seed, s.Link)}
	w := &simWorld{born: b, nodes: make([]*node.Node, s.Nodes), dirs: make([]string, s.Nodes), logs: make([]logBuffer, s.Nodes)}
	for i, m := range b.Members {
		w.dirs[i] = filepath.Join(b.dir, m.Name)
	}
	defer func() {
		r.t = t
		r.report(time.Since(begin))
	}()
	synctest.Test(t, func(t *testing.T) {
		w.net = &simnet.Simnet{LatencyFunc: w.route, Logger: hosttest.Quiet()}
		w.net.Start()
		defer w.net.Close()
		w.t, r.t, r.w, w.fabric = t, t, w, r.fabric
		r.live()
	})
	if r.t = t; !t.Failed() {
		r.checkRemains()
	}
}

// simWorld is nodes of this process on a simulated network of QUIC packets.
type simWorld struct {
	*born
	t      *testing.T
	fabric *fabric
	net    *simnet.Simnet
	nodes  []*node.Node // nil: down
	dirs   []string     // repos, which move when a node is killed
	kills  int
	logs   []logBuffer
}

// logBuffer keeps what a node says.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// simPacket is what a packet is taken to measure: the simulated network does not tell.
const simPacket = 1200

// nowhere is an address that nobody has.
var nowhere = &net.UDPAddr{IP: net.IPv4(9, 9, 9, 9), Port: 9}

// route is the network's latency function; what is lost is sent nowhere.
func (w *simWorld) route(p *simnet.Packet) time.Duration {
	from, to := simNode(p.From), simNode(p.To)
	d, ok := w.fabric.route(time.Now(), from, to, simPacket)
	if !ok {
		p.To = nowhere
	}
	return d
}

// simNode is the number of the node behind a simulated address.
func simNode(a net.Addr) int {
	ip := a.(*net.UDPAddr).IP
	for i := range 64 {
		if simnet.IntToPublicIPv4(i).Equal(ip) {
			return i
		}
	}
	return -1
}

func simAddr(i int) string {
	return fmt.Sprintf("/ip4/%s/udp/8000/quic-v1", simnet.IntToPublicIPv4(i))
}

func (w *simWorld) options() []libp2p.Option {
	wide := simnet.LinkSettings{BitsPerSecond: 1000 * simlibp2p.OneMbps}
	return []libp2p.Option{
		simlibp2p.QUICSimnet(w.net, simnet.NodeBiDiLinkSettings{Downlink: wide, Uplink: wide}),
		libp2p.DisableIdentifyAddressDiscovery(), // it stalls virtual time
	}
}

func (w *simWorld) start(i int) error {
	var others []string
	for j, id := range w.ids {
		if j != i {
			others = append(others, fmt.Sprintf("%s/p2p/%s", simAddr(j), id))
		}
	}
	r, err := repo.Open(w.dirs[i], []string{
		"LODE_API_LISTENADDRESS=", "LODE_RETRIEVAL_LISTENADDRESS=",
		"LODE_LIBP2P_LISTENADDRESSES=" + simAddr(i), "LODE_LIBP2P_BOOTSTRAP=" + strings.Join(others, ","),
	})
	if err != nil {
		return err
	}
	var level slog.Level
	if os.Getenv("LODE_NETFAULT_OUT") != "" {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewJSONHandler(&w.logs[i], &slog.HandlerOptions{Level: level}))
	n, err := node.New(w.t.Context(), node.Options{Repo: r, Log: log, Clock: clock.System{}, Libp2p: w.options(), Name: fmt.Sprint("node-", i), Version: "sim"})
	if err != nil {
		return err
	}
	if err := n.Start(w.t.Context()); err != nil {
		return err
	}
	w.nodes[i] = n
	return nil
}

func (w *simWorld) stop(i int) error {
	n := w.nodes[i]
	w.nodes[i] = nil
	return n.Stop(context.WithoutCancel(w.t.Context()))
}

// kill gives the node's next life what it had on disk at a moment when nothing moved, and
// lets the others hear no good-bye.
func (w *simWorld) kill(i int) error {
	synctest.Wait()
	w.kills++
	next := filepath.Join(w.dir, fmt.Sprintf("life-%d-of-node-%d", w.kills, i))
	if err := os.CopyFS(next, os.DirFS(w.dirs[i])); err != nil {
		return err
	}
	// CopyFS widens permissions, and keys that others may read are refused.
	if err := filepath.WalkDir(next, func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			err = os.Chmod(p, 0o600)
		}
		return err
	}); err != nil {
		return err
	}
	w.fabric.change(func() { w.fabric.off[i] = true })
	err := w.stop(i)
	w.fabric.change(func() { delete(w.fabric.off, i) })
	err = errors.Join(err, os.RemoveAll(w.dirs[i]))
	w.dirs[i] = next
	return err
}

// errNoProcess: a goroutine cannot be stopped from outside.
var errNoProcess = errors.New("nodes in virtual time have no processes")

func (w *simWorld) oddStart(string) error                { return errNoProcess }
func (w *simWorld) tunnel(int, int) error                { return errNoProcess }
func (w *simWorld) carries(time.Time) error              { return errNoProcess }
func (w *simWorld) endLoad() (map[string]float64, error) { return nil, nil }

func (w *simWorld) freeze(int) error { return errNoProcess }
func (w *simWorld) thaw(int) error   { return errNoProcess }

func (w *simWorld) api(i int) api.Node { return w.nodes[i].API() }

func (w *simWorld) log(i int) ([]byte, error) {
	l := &w.logs[i]
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes()), nil
}

func (w *simWorld) usage(int) (usage, bool) { return usage{}, false }

func (w *simWorld) repo(i int) string { return w.dirs[i] }

// attack makes a host of its own on the simulated network and lets it loose.
func (w *simWorld) attack(a attack) (func() (map[string]float64, error), error) {
	for _, i := range a.on {
		id, err := peer.Decode(w.ids[i].String())
		if err != nil {
			return nil, err
		}
		a.Targets = append(a.Targets, simAddr(i)+"/p2p/"+id.String())
	}
	key, err := host.NewKey(strings.NewReader(strings.Repeat(a.Kind, 32)))
	if err != nil {
		return nil, err
	}
	addr, err := ma.NewMultiaddr(simAddr(len(w.ids) + a.Number))
	if err != nil {
		return nil, err
	}
	h, err := host.New(host.Options{Key: key, Listen: []ma.Multiaddr{addr}, Extra: w.options()})
	if err != nil {
		return nil, err
	}
	if err := h.Listen(); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	type outcome struct {
		figures map[string]float64
		err     error
	}
	done := make(chan outcome, 1)
	go func() {
		f, err := a.run(ctx, h)
		done <- outcome{f, err}
	}()
	return func() (map[string]float64, error) {
		cancel()
		o := <-done
		return o.figures, errors.Join(o.err, h.Close())
	}, nil
}

var _ io.Writer = (*logBuffer)(nil)
