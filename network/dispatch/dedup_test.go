package dispatch_test

import (
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/dispatch"
)

func key(i uint64) [32]byte {
	return dispatch.DedupKey("test", binary.BigEndian.AppendUint64(nil, i))
}

func begin(t *testing.T, d *dispatch.Dedup, k [32]byte, want bool) dispatch.Token {
	t.Helper()
	tok, fresh := d.Begin(k)
	if fresh != want {
		t.Fatalf("fresh is %v, want %v", fresh, want)
	}
	return tok
}

func TestD07TwoPhases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dispatch.NewDedup(clock.System{}, time.Minute, 1000)
		tok := begin(t, d, key(1), true)
		begin(t, d, key(1), false) // claimed
		tok.Abort()
		tok = begin(t, d, key(1), true) // nobody took it: it may come again
		tok.Commit()
		tok.Commit()
		tok.Abort() // too late
		begin(t, d, key(1), false)
		begin(t, d, key(2), true)

		// A claim that is forgotten lapses; what its holder does later changes nothing.
		lapsed := begin(t, d, key(3), true)
		time.Sleep(30 * time.Second)
		begin(t, d, key(3), true).Abort()
		lapsed.Commit()
		begin(t, d, key(3), true)

		// Age: remembered for one to two minutes.
		time.Sleep(31 * time.Second)
		begin(t, d, key(1), false)
		time.Sleep(time.Minute)
		begin(t, d, key(1), true)
	})
}

func TestD07Bounded(t *testing.T) {
	d := dispatch.NewDedup(clock.System{}, time.Hour, 1600)
	for i := range uint64(100_000) {
		tok, fresh := d.Begin(key(i))
		if !fresh {
			t.Fatalf("key %d is not fresh", i)
		}
		tok.Commit()
	}
	seen := 0
	for i := range uint64(100_000) {
		if _, fresh := d.Begin(key(i)); !fresh {
			seen++
		}
	}
	// Claims of the second pass do not count as committed, so what is remembered is at most
	// two generations, and the newest keys are among it.
	if seen < 800 || seen > 3200 {
		t.Errorf("%d keys are remembered of two generations of 1600", seen)
	}
}

func TestD07KeyHoldsTheTopic(t *testing.T) {
	if dispatch.DedupKey("a", []byte("bc")) == dispatch.DedupKey("ab", []byte("c")) {
		t.Error("topic and data run together")
	}
}

// A message that no consumer had room for is not lost for good (defect 4 of Nebulas'
// dispatcher).
func TestD07DropThenResend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disp := dispatch.New()
		defer disp.Close()
		topic := dispatch.NewTopic[int]("test")
		s := subscribe(t, disp, topic, dispatch.SubOptions[int]{Queue: 1, MaxBytes: 10})
		d := dispatch.NewDedup(clock.System{}, 0, 0)
		send := func(i int) bool {
			tok, fresh := d.Begin(key(uint64(i)))
			if !fresh {
				return false
			}
			if dispatch.Publish(topic, dispatch.Envelope[int]{Msg: i}).Delivered > 0 {
				tok.Commit()
			} else {
				tok.Abort()
			}
			return true
		}
		send(1)
		send(2) // dropped
		if e := <-s.C(); e.Msg != 1 {
			t.Fatalf("got %d", e.Msg)
		}
		synctest.Wait()
		if send(1) {
			t.Error("a message that was taken passed again")
		}
		if !send(2) {
			t.Error("a dropped message was filtered")
		}
		if e := <-s.C(); e.Msg != 2 {
			t.Fatalf("got %d", e.Msg)
		}
	})
}
