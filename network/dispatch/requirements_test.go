package dispatch_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/lodenet/lode/network/dispatch"
)

// Subscribers that never read hold up nobody: neither those of their own topic, nor those of
// another, nor the publisher, who gets through a hundred thousand messages while nothing at
// all moves on the other side.
func TestD01StuckSubscribers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dispatch.New()
		defer d.Close()
		a, b := dispatch.NewTopic[int]("a"), dispatch.NewTopic[int]("b")
		opt := dispatch.SubOptions[int]{Queue: 8, MaxBytes: 1 << 10}
		for _, o := range []dispatch.Overflow{dispatch.DropNewest, dispatch.DropOldest, dispatch.Block} {
			opt.Overflow = o
			subscribe(t, d, a, opt)
			subscribe(t, d, b, opt)
		}
		opt.Overflow = dispatch.DropNewest
		live := subscribe(t, d, a, opt)
		const n = 100_000
		for i := range n {
			dispatch.Publish(b, dispatch.Envelope[int]{Msg: i})
			if r := dispatch.Publish(a, dispatch.Envelope[int]{Msg: i}); r.Delivered+r.Dropped != 4 {
				t.Fatalf("published with %+v", r)
			}
			if e := <-live.C(); e.Msg != i {
				t.Fatalf("got %d, want %d", e.Msg, i)
			}
		}
	})
}

// What one publisher sends arrives in its order; drops leave gaps and nothing comes twice.
func TestD02OrderOfOnePublisher(t *testing.T) {
	d := dispatch.New()
	topic := dispatch.NewTopic[[2]int]("test")
	s := subscribe(t, d, topic, dispatch.SubOptions[[2]int]{Queue: 16, MaxBytes: 1 << 20})
	var publishers sync.WaitGroup
	for p := range 4 {
		publishers.Go(func() {
			for i := range 20_000 {
				dispatch.Publish(topic, dispatch.Envelope[[2]int]{Size: 1, Msg: [2]int{p, i}})
			}
		})
	}
	first := make(chan struct{}) // came: what is queued when the dispatcher closes is dropped
	go func() { publishers.Wait(); <-first; d.Close() }()
	last := [4]int{-1, -1, -1, -1}
	got := uint64(0)
	for e := range s.C() {
		if got++; got == 1 {
			close(first)
		}
		if p, i := e.Msg[0], e.Msg[1]; i <= last[p] {
			t.Fatalf("message %d of publisher %d after %d", i, p, last[p])
		}
		last[e.Msg[0]] = e.Msg[1]
	}
	if st := s.Stats(); st.Delivered != got || got == 0 {
		t.Errorf("got %d messages, counted %+v", got, st)
	}
}

// delivered + dropped = published for each subscriber, once nothing is queued.
func TestD03EveryMessageIsCounted(t *testing.T) {
	d := dispatch.New()
	topic := dispatch.NewTopic[int]("test")
	var subs []*dispatch.Subscription[int]
	var consumers sync.WaitGroup
	for i := range 3 {
		s := subscribe(t, d, topic, dispatch.SubOptions[int]{Queue: 1 + 5*i, MaxBytes: 100, Overflow: dispatch.Overflow(i)})
		subs = append(subs, s)
		consumers.Go(func() {
			for range s.C() {
			}
		})
	}
	const n = 30_000
	for i := range n {
		dispatch.Publish(topic, dispatch.Envelope[int]{Size: 1 + i%120, Msg: i})
	}
	d.Close()
	consumers.Wait()
	for i, s := range subs {
		st := s.Stats()
		if st.Published != n || st.Delivered+st.Dropped != n || st.Queued != 0 || st.Bytes != 0 {
			t.Errorf("subscriber %d: %+v of %d", i, st, n)
		}
	}
}

// A flood of large messages holds no more memory than was allowed, and one that is larger
// than all of it is dropped without waiting.
func TestD05MemoryCeiling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dispatch.New()
		defer d.Close()
		topic := dispatch.NewTopic[[]byte]("test")
		const limit = 16 << 20
		s := subscribe(t, d, topic, dispatch.SubOptions[[]byte]{Queue: 1024, MaxBytes: limit})
		for range 100 {
			m := make([]byte, 1<<20)
			dispatch.Publish(topic, dispatch.Envelope[[]byte]{Size: len(m), Msg: m})
			if st := s.Stats(); st.Bytes > limit || st.HighWater > limit {
				t.Fatalf("%+v, the limit is %d", st, limit)
			}
		}
		if st := s.Stats(); st.Queued != 16 || st.Dropped != 84 {
			t.Errorf("%+v, want 16 queued and 84 dropped", st)
		}
		<-s.C()
		if r := dispatch.Publish(topic, dispatch.Envelope[[]byte]{Size: limit + 1}); r.Dropped != 1 {
			t.Errorf("a message over the limit: %+v", r)
		}
		block := subscribe(t, d, topic, dispatch.SubOptions[[]byte]{Queue: 1, MaxBytes: 10, Overflow: dispatch.Block})
		dispatch.PublishWait(t.Context(), topic, dispatch.Envelope[[]byte]{Size: 11})
		if st := block.Stats(); st.Dropped != 1 {
			t.Errorf("a message that can never fit: %+v", st)
		}
	})
}

func newDesk(t *testing.T, d *dispatch.Dispatcher, perPeer, total int) *dispatch.Desk[string] {
	t.Helper()
	k, err := dispatch.NewDesk[string](d, "answers", dispatch.DeskOptions{PerPeer: perPeer, Total: total})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func ask(t *testing.T, k *dispatch.Desk[string], peer string) *dispatch.Question[string] {
	t.Helper()
	q, err := k.Ask(t.Context(), peer)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// The first answer completes a question; equal answers to two questions both count, and what
// nobody asked for is charged to its sender.
func TestD08OneAnswerToEachQuestion(t *testing.T) {
	d := dispatch.New()
	defer d.Close()
	k := newDesk(t, d, 10, 100)
	a, b := ask(t, k, "a"), ask(t, k, "b")
	from := func(p string) dispatch.Envelope[string] {
		return dispatch.Envelope[string]{From: p, Size: 10, Msg: "same"}
	}
	for _, c := range []struct {
		name string
		peer string
		id   uint64
		want bool
	}{
		{"another peer answers", "b", a.ID(), false},
		{"a question that never was", "a", 999, false},
		{"the answer", "a", a.ID(), true},
		{"the answer again", "a", a.ID(), false},
		{"the same content to another question", "b", b.ID(), true},
	} {
		if got := k.Complete(c.id, from(c.peer)); got != c.want {
			t.Errorf("%s: taken %v, want %v", c.name, got, c.want)
		}
	}
	for _, q := range []*dispatch.Question[string]{a, b} {
		if e := <-q.Answer(); e.Msg != "same" {
			t.Errorf("got %+v", e)
		}
		q.Close()
		q.Close()
	}
	if k.Complete(a.ID(), from("a")) || k.Expects("a", a.ID()) {
		t.Error("an answer to a closed question was taken")
	}
	st := d.Topics()
	if len(st) != 1 || st[0].Delivered != 2 || st[0].Unexpected != 4 || st[0].Bytes != 40 || st[0].Queued != 0 {
		t.Errorf("counters %+v", st)
	}
}

// Of many answers that come at once to one question, one is taken.
func TestD08ExactlyOnceUnderRace(t *testing.T) {
	d := dispatch.New()
	defer d.Close()
	k := newDesk(t, d, 10, 100)
	for range 200 {
		q := ask(t, k, "a")
		var wg sync.WaitGroup
		var mu sync.Mutex
		taken := 0
		for range 8 {
			wg.Go(func() {
				if k.Complete(q.ID(), dispatch.Envelope[string]{From: "a"}) {
					mu.Lock()
					taken++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if taken != 1 {
			t.Fatalf("%d answers were taken", taken)
		}
		q.Close()
	}
}

// Credits bound what is open, for a peer and in all; whoever has none waits, and gives up
// with its context.
func TestD09Credits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dispatch.New()
		k := newDesk(t, d, 2, 3)
		a1 := ask(t, k, "a")
		ask(t, k, "a")
		got := make(chan *dispatch.Question[string])
		more := func(peer string) {
			go func() {
				q, err := k.Ask(t.Context(), peer)
				if err != nil {
					t.Error(err)
				}
				got <- q
			}()
			synctest.Wait()
		}
		none := func(why string) {
			t.Helper()
			select {
			case <-got:
				t.Fatal(why)
			default:
			}
		}
		more("a")
		none("a third question to one peer")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := k.Ask(ctx, "a"); !errors.Is(err, context.Canceled) {
			t.Errorf("asked without credit: %v", err)
		}
		b := ask(t, k, "b") // another peer has its own
		more("c")
		none("a fourth question in all")
		a1.Close() // for one of the two that wait
		first := <-got
		synctest.Wait()
		none("two questions for one credit")
		first.Close()
		b.Close()
		<-got
		done := make(chan error)
		ask(t, k, "d")
		go func() { _, err := k.Ask(t.Context(), "d"); done <- err }()
		synctest.Wait()
		d.Close()
		if err := <-done; !errors.Is(err, dispatch.ErrClosed) {
			t.Errorf("asked a closed desk: %v", err)
		}
	})
	if _, err := dispatch.NewDesk[int](dispatch.New(), "x", dispatch.DeskOptions{PerPeer: 1}); !errors.Is(err, dispatch.ErrDeskOptions) {
		t.Errorf("a desk without bounds: %v", err)
	}
}

// Gauges and counters are there when somebody looks, and looking starts a new high-water
// mark; no goroutine samples.
func TestD10Sampling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dispatch.New()
		defer d.Close()
		topic := dispatch.NewTopic[int]("blocks")
		dispatch.Publish(topic, dispatch.Envelope[int]{Size: 1})
		s := subscribe(t, d, topic, dispatch.SubOptions[int]{Queue: 2, MaxBytes: 100})
		for range 3 {
			dispatch.Publish(topic, dispatch.Envelope[int]{Size: 30})
		}
		topic.Duplicate()
		want := dispatch.TopicStats{
			Topic: "blocks", Published: 4, NoSubscriber: 1, Dropped: 1, Duplicate: 1, Queued: 2, Bytes: 60, HighWater: 60,
		}
		check := func() {
			t.Helper()
			synctest.Wait()
			if got := d.Topics(); len(got) != 1 || got[0] != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
		check()
		<-s.C()
		want.Delivered, want.Queued, want.Bytes = 1, 1, 30 // the mark is of the time since the last look
		check()
		want.HighWater = 30
		check()
		s.Close()
		want.Dropped, want.Queued, want.Bytes, want.HighWater = 2, 0, 0, 0
		check()
	})
}
