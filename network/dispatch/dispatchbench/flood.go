package dispatchbench

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lodenet/lode/network/dispatch"
)

const (
	leastFlood   = 500 * time.Millisecond
	whisperEvery = time.Millisecond
	slowness     = 50 * time.Microsecond // the flooded subscriber's, a message
)

// flood publishes on a quiet topic once a millisecond while another topic is flooded, for a
// while and until something was heard: a machine may be too busy for that at first.
func (e Env) flood(ctx context.Context, open func(quiet chan<- int64) (flood, whisper func(int64), end func())) Latency {
	heard := make(chan int64, queue)
	flood, whisper, end := open(heard)
	base := e.Now()
	var some atomic.Bool
	over := func() bool {
		return ctx.Err() != nil || some.Load() && e.Now().Sub(base) >= max(e.Least, leastFlood)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for !over() {
			for range batch {
				flood(0)
			}
		}
	})
	var took []time.Duration
	var listener sync.WaitGroup
	listener.Go(func() {
		for at := range heard {
			took = append(took, e.Now().Sub(base)-time.Duration(at))
			some.Store(true)
		}
	})
	tick := time.NewTicker(whisperEvery)
	for !over() {
		select {
		case <-tick.C:
			whisper(int64(e.Now().Sub(base)))
		case <-ctx.Done():
		}
	}
	tick.Stop()
	wg.Wait()
	end()
	close(heard)
	listener.Wait()
	return percentiles(took)
}

func percentiles(took []time.Duration) Latency {
	if len(took) == 0 {
		return Latency{}
	}
	slices.Sort(took)
	return Latency{P50: took[len(took)/2], P99: took[len(took)*99/100], Max: took[len(took)-1], N: len(took)}
}

// dawdle takes a while for each message, busily, as a decoder would.
func dawdle[T any](c <-chan T) {
	for range c {
		for begin := time.Now(); time.Since(begin) < slowness; {
		}
	}
}

func floodDispatch(quiet chan<- int64) (flood, whisper func(int64), end func()) {
	d := dispatch.New()
	loud, soft := dispatch.NewTopic[int64]("loud"), dispatch.NewTopic[int64]("soft")
	opt := dispatch.SubOptions[int64]{Queue: queue, MaxBytes: maxBytes}
	l, err := dispatch.Subscribe(d, loud, opt)
	if err != nil {
		panic(err) // the options are right and d is open
	}
	s, err := dispatch.Subscribe(d, soft, opt)
	if err != nil {
		panic(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { dawdle(l.C()) })
	wg.Go(func() {
		for e := range s.C() {
			quiet <- e.Msg
		}
	})
	publish := func(t *dispatch.Topic[int64]) func(int64) {
		return func(at int64) { dispatch.Publish(t, dispatch.Envelope[int64]{Size: size, Msg: at}) }
	}
	return publish(loud), publish(soft), func() { d.Close(); wg.Wait() }
}

func floodChannel(quiet chan<- int64) (flood, whisper func(int64), end func()) {
	loud, soft := make(chan int64, queue), make(chan int64, queue)
	var wg sync.WaitGroup
	wg.Go(func() { dawdle(loud) })
	wg.Go(func() {
		for at := range soft {
			quiet <- at
		}
	})
	offer := func(c chan int64) func(int64) {
		return func(at int64) {
			select {
			case c <- at:
			default:
			}
		}
	}
	return offer(loud), offer(soft), func() { close(loud); close(soft); wg.Wait() }
}

func floodCentral(quiet chan<- int64) (flood, whisper func(int64), end func()) {
	c := newCentral()
	loud, soft := make(chan int64, queue), make(chan int64, queue)
	c.subscribe("loud", loud)
	c.subscribe("soft", soft)
	var wg sync.WaitGroup
	wg.Go(func() { dawdle(loud) })
	wg.Go(func() {
		for at := range soft {
			quiet <- at
		}
	})
	return func(at int64) { c.publish("loud", at) }, func(at int64) { c.publish("soft", at) },
		func() { c.close(); close(loud); close(soft); wg.Wait() }
}
