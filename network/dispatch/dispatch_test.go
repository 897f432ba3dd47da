package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/lodenet/lode/network/dispatch"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func subscribe[T any](t testing.TB, d *dispatch.Dispatcher, topic *dispatch.Topic[T], o dispatch.SubOptions[T]) *dispatch.Subscription[T] {
	t.Helper()
	s, err := dispatch.Subscribe(d, topic, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// model is a queue of the plainest kind: a slice, with the head in the pump's hand.
type model struct {
	opt                dispatch.SubOptions[int]
	queue              []dispatch.Envelope[int]
	delivered, dropped uint64
}

func (m *model) bytes() (n int64) {
	for _, e := range m.queue {
		n += int64(e.Size)
	}
	return n
}

func (m *model) publish(e dispatch.Envelope[int]) bool {
	if int64(e.Size) > m.opt.MaxBytes {
		m.dropped++
		return false
	}
	for len(m.queue) >= m.opt.Queue || m.bytes()+int64(e.Size) > m.opt.MaxBytes {
		if m.opt.Overflow != dispatch.DropOldest || len(m.queue) < 2 {
			m.dropped++
			return false
		}
		m.queue = append(m.queue[:1], m.queue[2:]...) // the first is in the pump's hand
		m.dropped++
	}
	m.queue = append(m.queue, e)
	return true
}

// The real queue and the model see the same operations; every message, counter and bound
// must agree after each (D-02, D-03, D-05).
func TestD02D03D05Model(t *testing.T) {
	steps := 20_000
	if os.Getenv("LODE_LONG") != "" {
		steps = 1_000_000
	}
	for _, overflow := range []dispatch.Overflow{dispatch.DropNewest, dispatch.DropOldest} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprintf("overflow %d seed %d", overflow, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { runModel(t, overflow, seed, steps) })
			})
		}
	}
}

func runModel(t *testing.T, overflow dispatch.Overflow, seed uint64, steps int) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	d := dispatch.New()
	topic := dispatch.NewTopic[int]("test")
	opt := dispatch.SubOptions[int]{Queue: 1 + rnd.IntN(8), MaxBytes: 1 + rnd.Int64N(64), Overflow: overflow}
	s := subscribe(t, d, topic, opt)
	m := model{opt: opt}
	for i := range steps {
		if rnd.IntN(3) > 0 {
			e := dispatch.Envelope[int]{Size: 1 + rnd.IntN(40), Msg: i}
			want := m.publish(e)
			r := dispatch.Publish(topic, e)
			if (r.Delivered == 1) != want || r.NoSubscriber || r.Delivered+r.Dropped != 1 {
				t.Fatalf("step %d: published with %+v, want taken %v", i, r, want)
			}
		} else if len(m.queue) > 0 {
			if got := <-s.C(); got.Msg != m.queue[0].Msg {
				t.Fatalf("step %d: got message %d, want %d", i, got.Msg, m.queue[0].Msg)
			}
			m.queue = m.queue[1:]
			m.delivered++
		} else {
			select {
			case e := <-s.C():
				t.Fatalf("step %d: got message %d from an empty queue", i, e.Msg)
			default:
			}
		}
		synctest.Wait() // the pump takes the head in hand
		got := s.Stats()
		want := dispatch.SubStats{
			Published: m.delivered + m.dropped + uint64(len(m.queue)),
			Delivered: m.delivered, Dropped: m.dropped, Queued: len(m.queue), Bytes: m.bytes(),
		}
		if got.HighWater < got.Bytes || got.HighWater > opt.MaxBytes {
			t.Fatalf("step %d: high water %d with %d bytes of %d", i, got.HighWater, got.Bytes, opt.MaxBytes)
		}
		if got.HighWater = 0; got != want {
			t.Fatalf("step %d: counters %+v, want %+v", i, got, want)
		}
	}
	d.Close()
	st := s.Stats()
	if st.Queued != 0 || st.Bytes != 0 || st.Delivered+st.Dropped != st.Published {
		t.Fatalf("after Close: %+v", st)
	}
}

// One peer that sends a hundred times as much must not push another's messages out.
func TestD01FairBetweenKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dispatch.New()
		defer d.Close()
		topic := dispatch.NewTopic[string]("test")
		s := subscribe(t, d, topic, dispatch.SubOptions[string]{
			Queue: 100, MaxBytes: 1 << 20,
			Key: func(e dispatch.Envelope[string]) uint64 { return uint64(e.From[0]) },
		})
		quiet := 0
		for range 20 {
			for range 100 {
				dispatch.Publish(topic, dispatch.Envelope[string]{From: "flood", Size: 1000})
			}
			if r := dispatch.Publish(topic, dispatch.Envelope[string]{From: "quiet", Size: 1000}); r.Delivered != 1 {
				t.Fatal("the quiet peer's message was refused")
			}
			for range 5 { // a slow consumer
				if e := <-s.C(); e.From == "quiet" {
					quiet++
				}
			}
		}
		for synctest.Wait(); s.Stats().Queued > 0; synctest.Wait() {
			if e := <-s.C(); e.From == "quiet" {
				quiet++
			}
		}
		if quiet != 20 {
			t.Errorf("%d of 20 messages of the quiet peer arrived", quiet)
		}
	})
}

// Turns are by bytes: a flow of large messages gets no more than one of small ones.
func TestTurnsAreByBytes(t *testing.T) {
	d := dispatch.New()
	defer d.Close()
	topic := dispatch.NewTopic[int]("test")
	s := subscribe(t, d, topic, dispatch.SubOptions[int]{
		Queue: 10_000, MaxBytes: 1 << 30,
		Key: func(e dispatch.Envelope[int]) uint64 { return uint64(e.Msg) },
	})
	const large, small = 256 << 10, 16 << 10
	for range 64 {
		dispatch.Publish(topic, dispatch.Envelope[int]{Msg: 1, Size: large})
		for range large / small {
			dispatch.Publish(topic, dispatch.Envelope[int]{Msg: 2, Size: small})
		}
	}
	var bytes [3]int
	for range 400 {
		e := <-s.C()
		bytes[e.Msg] += e.Size
	}
	if ratio := float64(bytes[1]) / float64(bytes[2]); ratio < 0.7 || ratio > 1.4 {
		t.Errorf("large messages got %d bytes, small ones %d", bytes[1], bytes[2])
	}
}

// Publish and Close from many goroutines; under -race this is the test of D-04.
func TestD04CloseDuringPublish(t *testing.T) {
	d := dispatch.New()
	topic := dispatch.NewTopic[int]("test")
	var publishers, consumers sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		publishers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					dispatch.Publish(topic, dispatch.Envelope[int]{Size: 1, Msg: i})
				}
			}
		})
	}
	var mu sync.Mutex
	var total uint64
	for range 4 {
		consumers.Go(func() {
			for range 50 {
				s, err := dispatch.Subscribe(d, topic, dispatch.SubOptions[int]{Queue: 4, MaxBytes: 100})
				if err != nil {
					t.Error(err)
					return
				}
				<-s.C()
				s.Close()
				var more uint64
				for range s.C() {
					more++
				}
				if more != 0 {
					t.Errorf("%d messages after Close", more)
				}
				st := s.Stats()
				if st.Delivered+st.Dropped != st.Published || st.Queued != 0 {
					t.Errorf("counters %+v", st)
				}
				mu.Lock()
				total += st.Delivered
				mu.Unlock()
			}
		})
	}
	consumers.Wait()
	close(stop)
	publishers.Wait()
	d.Close()
	d.Close()
	if _, err := dispatch.Subscribe(d, topic, dispatch.SubOptions[int]{Queue: 1, MaxBytes: 1}); !errors.Is(err, dispatch.ErrClosed) {
		t.Errorf("subscribed to a closed dispatcher: %v", err)
	}
	for _, st := range d.Topics() {
		if st.Delivered != total {
			t.Errorf("topic counted %d delivered, the subscriptions %d", st.Delivered, total)
		}
	}
}

func TestD06NobodyListens(t *testing.T) {
	topic := dispatch.NewTopic[int]("test")
	if topic.HasSubscriber() {
		t.Error("a new topic has a subscriber")
	}
	if r := dispatch.Publish(topic, dispatch.Envelope[int]{}); !r.NoSubscriber || r.Delivered != 0 {
		t.Errorf("published with %+v", r)
	}
	if _, err := dispatch.Subscribe(dispatch.New(), topic, dispatch.SubOptions[int]{}); !errors.Is(err, dispatch.ErrOptions) {
		t.Errorf("subscribed without bounds: %v", err)
	}
}

func TestBlockWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dispatch.New()
		defer d.Close()
		topic := dispatch.NewTopic[int]("test")
		s := subscribe(t, d, topic, dispatch.SubOptions[int]{Queue: 1, MaxBytes: 10, Overflow: dispatch.Block})
		dispatch.Publish(topic, dispatch.Envelope[int]{Msg: 1})
		done := make(chan dispatch.Result)
		go func() { done <- dispatch.PublishWait(t.Context(), topic, dispatch.Envelope[int]{Msg: 2}) }()
		synctest.Wait()
		select {
		case r := <-done:
			t.Fatalf("did not wait for room: %+v", r)
		default:
		}
		if e := <-s.C(); e.Msg != 1 {
			t.Errorf("got %d", e.Msg)
		}
		if r := <-done; r.Delivered != 1 {
			t.Errorf("published with %+v", r)
		}
		if e := <-s.C(); e.Msg != 2 {
			t.Errorf("got %d", e.Msg)
		}
		// A publisher that gives up loses its message; it never waits without end.
		synctest.Wait() // until then the message that was taken has its place
		dispatch.Publish(topic, dispatch.Envelope[int]{Msg: 3})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if r := dispatch.PublishWait(ctx, topic, dispatch.Envelope[int]{Msg: 4}); r.Dropped != 1 {
			t.Errorf("published with %+v", r)
		}
	})
}

func BenchmarkPublish4(b *testing.B) {
	d := dispatch.New()
	defer d.Close()
	topic := dispatch.NewTopic[int]("test")
	for range 4 {
		s := subscribe(b, d, topic, dispatch.SubOptions[int]{Queue: 1024, MaxBytes: 16 << 20})
		go func() {
			for range s.C() {
			}
		}()
	}
	b.ReportAllocs()
	for b.Loop() {
		dispatch.Publish(topic, dispatch.Envelope[int]{Size: 100})
	}
}

func BenchmarkChannel4(b *testing.B) {
	var chans [4]chan dispatch.Envelope[int]
	for i := range chans {
		c := make(chan dispatch.Envelope[int], 1024)
		chans[i] = c
		go func() {
			for range c {
			}
		}()
		defer close(c)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, c := range chans {
			select {
			case c <- dispatch.Envelope[int]{Size: 100}:
			default:
			}
		}
	}
}
