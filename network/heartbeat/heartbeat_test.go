package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/host/hosttest"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// reports are what a collector got.
type reports struct {
	mu  sync.Mutex
	all []Report
}

func (r *reports) add(x Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, x)
}

func (r *reports) list() []Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Report(nil), r.all...)
}

// run runs something until the test ends or stop is called.
func run(t *testing.T, f func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := f(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return stop
}

func collector(t *testing.T, h *host.Host) (*Collector, *reports, func()) {
	t.Helper()
	var got reports
	c := NewCollector(h, got.add, clock.System{}, hosttest.Quiet())
	stop := run(t, c.Run)
	<-c.Ready()
	return c, &got, stop
}

// A node reports at its period, looks again for a collector that was away, and uses one
// stream at a time.
func TestReportsAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 2, 20*time.Millisecond)
		hosttest.Listen(t, hosts...)
		height := uint64(0)
		beat := func(context.Context) (Beat, error) {
			height++
			return Beat{Head: "[bafy]", Height: height, Nickname: "me\x1b[31m", Network: "net", Peers: 3, Healthy: true}, nil
		}
		r := NewReporter(hosts[0], hosttest.Info(hosts[1]), beat, Options{Period: 10 * time.Second}, clock.System{}, hosttest.Quiet())
		stop := run(t, r.Run)
		time.Sleep(time.Minute) // nobody collects yet
		if r.Sent() != 0 {
			t.Errorf("%d beats sent to nobody", r.Sent())
		}
		c, got, stopCollector := collector(t, hosts[1])
		time.Sleep(time.Minute)
		n := len(got.list())
		if n < 5 || n > 7 {
			t.Errorf("%d reports in a minute of ten seconds each", n)
		}
		last := c.Last()
		if len(last) != 1 || last[0].Peer != hosts[0].ID() || last[0].Nickname != "me[31m" || last[0].Beat.Peers != 3 {
			t.Errorf("last reports %+v", last)
		}
		streams := 0
		for _, conn := range hosts[1].Network().Conns() {
			for _, s := range conn.GetStreams() {
				if s.Protocol() == Protocol {
					streams++
				}
			}
		}
		if streams != 1 {
			t.Errorf("%d streams are open, want 1", streams)
		}
		stopCollector()
		time.Sleep(time.Minute)
		_, again, _ := collector(t, hosts[1])
		time.Sleep(time.Minute)
		if len(again.list()) < 3 {
			t.Errorf("%d reports after the collector's return", len(again.list()))
		}
		stop()
	})
}

// Whatever a stranger sends, a collector keeps its bounds.
func TestCollectorRefuses(t *testing.T) {
	for name, send := range map[string]string{
		"no JSON":      "hello\n",
		"wrong type":   `{"Height":"x"}` + "\n",
		"negative":     `{"Peers":-1}` + "\n",
		"without end":  strings.Repeat("x", 10*maxBeat),
		"a huge field": `{"Nickname":"` + strings.Repeat("x", maxBeat) + `"}` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hosts := hosttest.Simulated(t, 2, 20*time.Millisecond)
				hosttest.Listen(t, hosts...)
				_, got, _ := collector(t, hosts[1])
				hosttest.Connect(t, hosts[0], hosts[1])
				s, err := hosts[0].NewStream(t.Context(), hosts[1].ID(), Protocol)
				if err != nil {
					t.Fatal(err)
				}
				defer s.Reset()
				_, _ = s.Write([]byte(send)) // it may be cut off
				time.Sleep(time.Second)
				if _, err := s.Read(make([]byte, 1)); err == nil {
					t.Error("the stream is still open")
				}
				if len(got.list()) != 0 {
					t.Errorf("taken: %+v", got.list())
				}
			})
		})
	}
}

// A reporter that says nothing more is let go.
func TestSilentReporter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 2, 20*time.Millisecond)
		hosttest.Listen(t, hosts...)
		_, got, _ := collector(t, hosts[1])
		hosttest.Connect(t, hosts[0], hosts[1])
		s, err := hosts[0].NewStream(t.Context(), hosts[1].ID(), Protocol)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Reset()
		if _, err := s.Write([]byte(`{"Height":7}` + "\n")); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = s.Read(make([]byte, 1))
		if took := time.Since(start); err == nil || took < silence || took > silence+time.Minute {
			t.Errorf("let go after %s: %v", took, err)
		}
		if l := got.list(); len(l) != 1 || l[0].Height != 7 || l[0].Healthy {
			t.Errorf("reports %+v", l)
		}
	})
}

func TestBeatThatCannotBeMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 2, 20*time.Millisecond)
		hosttest.Listen(t, hosts...)
		_, got, _ := collector(t, hosts[1])
		r := NewReporter(hosts[0], hosttest.Info(hosts[1]), func(context.Context) (Beat, error) {
			return Beat{}, errors.New("no head")
		}, Options{}, clock.System{}, hosttest.Quiet())
		run(t, r.Run)
		time.Sleep(time.Minute)
		if r.Sent() != 0 || len(got.list()) != 0 {
			t.Errorf("%d sent, %d received", r.Sent(), len(got.list()))
		}
	})
}

func TestMetricsAndBounds(t *testing.T) {
	c := NewCollector(nil, func(Report) {}, clock.System{}, hosttest.Quiet())
	for i := range maxNodes + 5 {
		c.note(Report{Peer: peer.ID(fmt.Sprint(i)), At: time.Unix(int64(i), 0), Beat: Beat{Height: 1}})
	}
	if n := len(c.Last()); n != maxNodes {
		t.Errorf("%d nodes are remembered, want %d", n, maxNodes)
	}
	reg := prometheus.NewRegistry()
	if err := reg.Register(c); err != nil {
		t.Fatal(err)
	}
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.GetName() == "lode_heartbeat_height" && len(f.GetMetric()) == maxNodes {
			return
		}
	}
	t.Errorf("metrics %v", all)
}

func FuzzBeat(f *testing.F) {
	f.Add([]byte(`{"Head":"[bafy]","Height":7,"Nickname":"me","MinerAddress":"t01000"}`))
	f.Add([]byte(`{"Nickname":"\u001b[2J"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := parseBeat(b)
		if err != nil {
			if !errors.Is(err, errBeat) {
				t.Fatal(err)
			}
			return
		}
		if line := (Report{Beat: x}).String(); strings.ContainsAny(line, "\n\x1b\r") || len([]rune(x.Nickname)) > maxText {
			t.Fatalf("%q", line)
		}
	})
}
