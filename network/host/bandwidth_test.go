package host

import (
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

func TestBandwidthRatesAndBounds(t *testing.T) {
	now := time.Unix(1000, 0)
	b := newBandwidth()
	b.now = func() time.Time { return now }
	// 1,000 bytes a second for a minute is a rate of about 1,000.
	for range 600 {
		now = now.Add(100 * time.Millisecond)
		b.LogRecvMessage(100)
		b.LogRecvMessageStream(100, "/x", "p")
	}
	if s := b.GetBandwidthTotals(); s.TotalIn != 60_000 || s.RateIn < 950 || s.RateIn > 1050 || s.TotalOut != 0 {
		t.Errorf("stats %+v", s)
	}
	now = now.Add(time.Minute)
	if s := b.GetBandwidthForPeer("p"); s.TotalIn != 60_000 || s.RateIn > 10 {
		t.Errorf("after a minute of silence: %+v", s)
	}
	if s := b.GetBandwidthForProtocol("/nobody"); s.TotalIn != 0 {
		t.Errorf("of a protocol that nobody speaks: %+v", s)
	}
	for i := range maxMetered + 100 {
		now = now.Add(time.Second)
		b.LogSentMessageStream(1, "/x", peer.ID(fmt.Sprint(i)))
	}
	all := b.GetBandwidthByPeer()
	if len(all) != maxMetered {
		t.Errorf("%d peers are counted, want %d", len(all), maxMetered)
	}
	if _, ok := all["p"]; ok {
		t.Error("the peer that was idle longest is still counted")
	}
	if p := b.GetBandwidthByProtocol()["/x"]; p.TotalIn != 60_000 || p.TotalOut != maxMetered+100 {
		t.Errorf("by protocol %+v", p)
	}
}
