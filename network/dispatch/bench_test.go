package dispatch_test

import (
	"testing"
	"time"

	"github.com/lodenet/lode/network/dispatch"
)

// benchBatch is how many messages are published between looks at the clock.
const benchBatch = 1024

// publisher measures what publishing costs the publisher alone: a batch at a time, with the
// subscribers' work done between batches (spec network.md D-10).
func publisher(b *testing.B, publish, between func()) {
	var took time.Duration
	b.ReportAllocs()
	for b.Loop() {
		begin := time.Now()
		for range benchBatch {
			publish()
		}
		took += time.Since(begin)
		between()
	}
	b.ReportMetric(float64(took.Nanoseconds())/float64(b.N*benchBatch), "ns/publish")
}

// BenchmarkQueue4 publishes to four queues that have room.
func BenchmarkQueue4(b *testing.B) {
	d := dispatch.New()
	defer d.Close()
	topic := dispatch.NewTopic[int]("test")
	subs := make([]*dispatch.Subscription[int], 4)
	for i := range subs {
		subs[i] = subscribe(b, d, topic, dispatch.SubOptions[int]{Queue: benchBatch + 1, MaxBytes: 16 << 20})
	}
	publisher(b, func() {
		if r := dispatch.Publish(topic, dispatch.Envelope[int]{Size: 100}); r.Delivered != 4 {
			b.Fatalf("published with %+v", r)
		}
	}, func() {
		for _, s := range subs {
			for range benchBatch {
				<-s.C()
			}
		}
	})
}

// BenchmarkChannelQueue4 does what BenchmarkQueue4 does, with bare channels.
func BenchmarkChannelQueue4(b *testing.B) {
	var chans [4]chan dispatch.Envelope[int]
	for i := range chans {
		chans[i] = make(chan dispatch.Envelope[int], benchBatch)
	}
	publisher(b, func() {
		for _, c := range chans {
			select {
			case c <- dispatch.Envelope[int]{Size: 100}:
			default:
				b.Fatal("no room")
			}
		}
	}, func() {
		for _, c := range chans {
			for range benchBatch {
				<-c
			}
		}
	})
}

// BenchmarkFull4 publishes to four queues that nobody reads.
func BenchmarkFull4(b *testing.B) {
	d := dispatch.New()
	defer d.Close()
	topic := dispatch.NewTopic[int]("test")
	for range 4 {
		subscribe(b, d, topic, dispatch.SubOptions[int]{Queue: 4, MaxBytes: 16 << 20})
	}
	publisher(b, func() { dispatch.Publish(topic, dispatch.Envelope[int]{Size: 100}) }, func() {})
}

// BenchmarkFair4 publishes to four queues that are fair between a few senders.
func BenchmarkFair4(b *testing.B) {
	d := dispatch.New()
	defer d.Close()
	topic := dispatch.NewTopic[int]("test")
	subs := make([]*dispatch.Subscription[int], 4)
	for i := range subs {
		subs[i] = subscribe(b, d, topic, dispatch.SubOptions[int]{
			Queue: benchBatch + 1, MaxBytes: 16 << 20,
			Key: func(e dispatch.Envelope[int]) uint64 { return dispatch.PeerKey(e.From) },
		})
	}
	from, n := []string{"one peer of some", "another peer", "a third"}, 0
	publisher(b, func() {
		n++
		dispatch.Publish(topic, dispatch.Envelope[int]{From: from[n%len(from)], Size: 100})
	}, func() {
		for _, s := range subs {
			for range benchBatch {
				<-s.C()
			}
		}
	})
}
