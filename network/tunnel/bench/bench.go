package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/lodenet/lode/clock"
)

// Options say how much is measured. Zero values take the defaults.
type Options struct {
	Bytes  int64 // in one direction, a round; default 256 MiB
	Setups int   // connections opened, a round; default 2000
	Pings  int   // round trips of 64 bytes, a round; default 5000
	Rounds int   // of each way, taking turns; the median counts; default 5
	// Say is told what is being measured.
	Say func(format string, args ...any)
}

func (o *Options) defaults() {
	if o.Bytes <= 0 {
		o.Bytes = 256 << 20
	}
	if o.Setups <= 0 {
		o.Setups = 2000
	}
	if o.Pings <= 0 {
		o.Pings = 5000
	}
	if o.Rounds <= 0 {
		o.Rounds = 5
	}
	if o.Say == nil {
		o.Say = func(string, ...any) {}
	}
}

// Measure is one quantity over the three ways.
type Measure struct {
	Bare, Least, Tunnel float64
	// OfBare and OfLeast are the tunnel's part of them: 1 is as good, for latencies too,
	// where more is better there as well.
	OfBare, OfLeast float64
}

// Result is everything over one transport.
type Result struct {
	Transport   string
	Throughput  Measure // bytes a second
	SetupRate   Measure // connections a second, eight at a time
	PingMedian  Measure // seconds
	PingSlowest Measure // seconds, the 99th percentile
}

// setupWorkers open connections at the same time.
const setupWorkers = 8

const pingSize = 64

// Run measures over TCP and QUIC.
func Run(ctx context.Context, opt Options, clk clock.Clock) (out []Result, err error) {
	opt.defaults()
	for _, tr := range transports {
		r, err := measure(ctx, tr, opt, clk)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", tr.name, err)
		}
		out = append(out, r)
	}
	return out, nil
}

// sample is what one round of one way gives.
type sample struct{ throughput, setups, median, slowest float64 }

func measure(ctx context.Context, tr transport, opt Options, clk clock.Clock) (_ Result, err error) {
	w, err := newWorld(ctx, tr, clk)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	samples := make([][]sample, len(w.ways))
	for round := range opt.Rounds + 1 {
		for i, open := range w.ways {
			opt.Say("%s, round %d of %d: %s", tr.name, round, opt.Rounds, wayNames[i])
			s, err := one(ctx, open, opt, clk)
			if err != nil {
				return Result{}, fmt.Errorf("%s: %w", wayNames[i], err)
			}
			if round > 0 { // the first one warms up
				samples[i] = append(samples[i], s)
			}
		}
	}
	pick := func(f func(sample) float64, lessIsBetter bool) Measure {
		var v [3]float64
		for i := range v {
			var all []float64
			for _, s := range samples[i] {
				all = append(all, f(s))
			}
			slices.Sort(all)
			v[i] = all[len(all)/2]
		}
		m := Measure{Bare: v[0], Least: v[1], Tunnel: v[2], OfBare: v[2] / v[0], OfLeast: v[2] / v[1]}
		if lessIsBetter {
			m.OfBare, m.OfLeast = 1/m.OfBare, 1/m.OfLeast
		}
		return m
	}
	return Result{
		Transport:   tr.name,
		Throughput:  pick(func(s sample) float64 { return s.throughput }, false),
		SetupRate:   pick(func(s sample) float64 { return s.setups }, false),
		PingMedian:  pick(func(s sample) float64 { return s.median }, true),
		PingSlowest: pick(func(s sample) float64 { return s.slowest }, true),
	}, nil
}

// one is a round of one way.
func one(ctx context.Context, open opener, opt Options, clk clock.Clock) (s sample, err error) {
	if s.throughput, err = throughput(ctx, open, opt.Bytes, clk); err != nil {
		return s, fmt.Errorf("throughput: %w", err)
	}
	if s.setups, err = setupRate(ctx, open, opt.Setups, clk); err != nil {
		return s, fmt.Errorf("set-up rate: %w", err)
	}
	if s.median, s.slowest, err = ping(ctx, open, opt.Pings, clk); err != nil {
		return s, fmt.Errorf("ping-pong: %w", err)
	}
	return s, nil
}

// throughput sends bytes and waits until the other side says that it has them.
func throughput(ctx context.Context, open opener, total int64, clk clock.Clock) (float64, error) {
	c, err := open(ctx)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if _, err := c.Write([]byte{modeSink}); err != nil {
		return 0, err
	}
	chunk := make([]byte, 128<<10)
	begin := clk.Now()
	for left := total; left > 0; left -= int64(len(chunk)) {
		if _, err := c.Write(chunk[:min(left, int64(len(chunk)))]); err != nil {
			return 0, err
		}
	}
	if err := c.CloseWrite(); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(c, chunk[:1]); err != nil {
		return 0, fmt.Errorf("the other side did not get everything: %w", err)
	}
	return float64(total) / clk.Now().Sub(begin).Seconds(), nil
}

// setupRate opens connections, exchanges a byte over each, and closes them.
func setupRate(ctx context.Context, open opener, n int, clk clock.Clock) (float64, error) {
	var work sync.WaitGroup
	errs := make(chan error, setupWorkers)
	begin := clk.Now()
	for range setupWorkers {
		work.Go(func() {
			for range n / setupWorkers {
				if err := oneSetup(ctx, open); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	work.Wait()
	took := clk.Now().Sub(begin)
	close(errs)
	if err := <-errs; err != nil {
		return 0, err
	}
	return float64(n/setupWorkers*setupWorkers) / took.Seconds(), nil
}

func oneSetup(ctx context.Context, open opener) error {
	c, err := open(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write([]byte{modeEcho, 'x'}); err != nil {
		return err
	}
	var b [1]byte
	if _, err = io.ReadFull(c, b[:]); err != nil {
		return err
	}
	// Both sides end, so that nothing of it is left to the next.
	if err := c.CloseWrite(); err != nil {
		return err
	}
	if _, err := c.Read(b[:]); !errors.Is(err, io.EOF) {
		return fmt.Errorf("want an end, got %w", err)
	}
	return nil
}

// ping sends a little and waits for it to come back, many times.
func ping(ctx context.Context, open opener, n int, clk clock.Clock) (median, slowest float64, err error) {
	c, err := open(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if _, err := c.Write([]byte{modeEcho}); err != nil {
		return 0, 0, err
	}
	b := make([]byte, pingSize)
	took := make([]time.Duration, n)
	for i := range took {
		begin := clk.Now()
		if _, err := c.Write(b); err != nil {
			return 0, 0, err
		}
		if _, err := io.ReadFull(c, b); err != nil {
			return 0, 0, err
		}
		took[i] = clk.Now().Sub(begin)
	}
	slices.Sort(took)
	return took[n/2].Seconds(), took[n*99/100].Seconds(), nil
}
