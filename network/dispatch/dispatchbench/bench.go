package dispatchbench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lodenet/lode/network/dispatch"
)

// Cost is what publishing one message costs the publisher.
type Cost struct {
	Subscribers int     `json:"subscribers"` // that read as quickly as they can
	Stuck       int     `json:"stuck"`       // more that never read
	Dispatch    float64 `json:"dispatch_ns"`
	Channel     float64 `json:"channel_ns"` // a bare channel for each subscriber
	Central     float64 `json:"central_ns"` // the old kind, until its loop is done too
	// Shares of the messages to subscribers that read which arrived; the rest was dropped.
	DispatchArrived float64 `json:"dispatch_arrived"`
	ChannelArrived  float64 `json:"channel_arrived"`
	CentralArrived  float64 `json:"central_arrived"`
	// Ratios over the others: below 1 the dispatcher is quicker.
	OverChannel float64 `json:"over_channel"`
	OverCentral float64 `json:"over_central"`
}

// Flood is how long a message of a quiet topic takes while another topic is flooded as fast
// as one goroutine can, and its subscriber is slow.
type Flood struct {
	Dispatch, Channel, Central Latency
}

// Latency are percentiles.
type Latency struct {
	P50 time.Duration `json:"p50_ns"`
	P99 time.Duration `json:"p99_ns"`
	Max time.Duration `json:"max_ns"`
	N   int           `json:"messages"`
}

// Report is one run.
type Report struct {
	Costs []Cost `json:"publish"`
	Flood Flood  `json:"flood"`
}

// Env is what a run needs.
type Env struct {
	Now      func() time.Time
	Least    time.Duration // of each figure
	Progress func(what string)
}

const (
	queue    = 1024
	maxBytes = 16 << 20
	size     = 100
	batch    = 256 // publishes between looks at the clock
)

// Run measures. It starts goroutines and has ended them when it returns.
func Run(ctx context.Context, e Env) (*Report, error) {
	r := &Report{}
	for _, c := range []Cost{{Subscribers: 1}, {Subscribers: 4}, {Subscribers: 64}, {Subscribers: 4, Stuck: 1}} {
		e.Progress(fmt.Sprintf("publishing to %d subscribers and %d stuck ones", c.Subscribers, c.Stuck))
		for _, m := range []struct {
			to, arrived *float64
			open        func(subscribers, stuck int) (publish func(at int64), end func() int64)
		}{
			{&c.Dispatch, &c.DispatchArrived, openDispatch},
			{&c.Channel, &c.ChannelArrived, openChannel},
			{&c.Central, &c.CentralArrived, openCentral},
		} {
			publish, end := m.open(c.Subscribers, c.Stuck)
			n, begin := 0, e.Now()
			for ctx.Err() == nil && e.Now().Sub(begin) < e.Least {
				for range batch {
					publish(0)
				}
				n += batch
			}
			got := end()
			*m.arrived = float64(got) / float64(max(n*c.Subscribers, 1))
			*m.to = float64(e.Now().Sub(begin).Nanoseconds()) / float64(max(n, 1))
		}
		c.OverChannel, c.OverCentral = c.Dispatch/c.Channel, c.Dispatch/c.Central
		r.Costs = append(r.Costs, c)
	}
	e.Progress("a quiet topic beside a flood")
	for _, m := range []struct {
		to   *Latency
		open func(quiet chan<- int64) (flood, whisper func(at int64), end func())
	}{{&r.Flood.Dispatch, floodDispatch}, {&r.Flood.Channel, floodChannel}, {&r.Flood.Central, floodCentral}} {
		*m.to = e.flood(ctx, m.open)
	}
	return r, ctx.Err()
}

// openDispatch, openChannel and openCentral put subscribers in place; end waits for them and
// tells how many messages arrived.

func openDispatch(subscribers, stuck int) (func(int64), func() int64) {
	var got atomic.Int64
	d, topic := dispatch.New(), dispatch.NewTopic[int64]("bench")
	var wg sync.WaitGroup
	for i := range subscribers + stuck {
		s, err := dispatch.Subscribe(d, topic, dispatch.SubOptions[int64]{Queue: queue, MaxBytes: maxBytes})
		if err != nil {
			panic(err) // the options are right and d is open
		}
		if i < subscribers {
			wg.Go(func() { got.Add(count(s.C())) })
		}
	}
	return func(at int64) { dispatch.Publish(topic, dispatch.Envelope[int64]{Size: size, Msg: at}) },
		func() int64 { d.Close(); wg.Wait(); return got.Load() }
}

func openChannel(subscribers, stuck int) (func(int64), func() int64) {
	var got atomic.Int64
	var wg sync.WaitGroup
	chans := make([]chan dispatch.Envelope[int64], subscribers+stuck)
	for i := range chans {
		c := make(chan dispatch.Envelope[int64], queue)
		chans[i] = c
		if i < subscribers {
			wg.Go(func() { got.Add(count(c)) })
		}
	}
	return func(at int64) {
			for _, c := range chans {
				select {
				case c <- dispatch.Envelope[int64]{Size: size, Msg: at}:
				default:
				}
			}
		}, func() int64 {
			for _, c := range chans {
				close(c)
			}
			wg.Wait()
			return got.Load()
		}
}

func openCentral(subscribers, stuck int) (func(int64), func() int64) {
	var got atomic.Int64
	c := newCentral()
	var wg sync.WaitGroup
	var chans []chan int64
	for i := range subscribers + stuck {
		ch := make(chan int64, queue)
		chans = append(chans, ch)
		c.subscribe("bench", ch)
		if i < subscribers {
			wg.Go(func() { got.Add(count(ch)) })
		}
	}
	return func(at int64) { c.publish("bench", at) }, func() int64 {
		c.close()
		for _, ch := range chans {
			close(ch)
		}
		wg.Wait()
		return got.Load()
	}
}

// count reads to the end.
func count[T any](c <-chan T) (n int64) {
	for range c {
		n++
	}
	return n
}
