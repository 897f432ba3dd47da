package peers

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/lodenet/lode/network/host/hosttest"
)

// Nodes of lode introduce themselves once they are Ready; a peer that does not know the
// extension, as other programs, is Ready all the same and hears nothing of it.
func TestP04Introduction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 3, 10*time.Millisecond)
		hosttest.Listen(t, hosts...)
		said := Intro{Network: "test", Agent: "lode/a", NewestState: 7, Capabilities: ServesChain | Relays | 1<<40, Finalised: math.MaxUint64}
		a := manager(hosts[0], newNod(hosts[0], 1), Options{Intro: func(context.Context) Intro { return said }})
		run(t, a)
		b := manager(hosts[1], newNod(hosts[1], 1), Options{})
		run(t, b)
		hosttest.Connect(t, hosts[0], hosts[1])

		// The third speaks the greeting alone.
		other := newNod(hosts[2], 1)
		hosttest.Connect(t, hosts[0], hosts[2])
		if _, err := other.Greet(t.Context(), hosts[0].ID()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)

		if n := len(a.ReadyPeers()); n != 2 {
			t.Errorf("%d peers are ready: %+v", n, a.Peers())
		}
		for _, p := range a.Peers() {
			if p.Intro != nil {
				t.Errorf("%s introduced itself with %+v", p.ID, p.Intro)
			}
		}
		got := b.Peers()
		if len(got) != 1 || got[0].Intro == nil || *got[0].Intro != said {
			t.Fatalf("peers %+v", got)
		}
		if names := got[0].Intro.Capabilities.Names(); !reflect.DeepEqual(names, []string{"chain", "relay"}) {
			t.Errorf("it serves %v", names)
		}
		for r, n := range a.Drops() {
			t.Errorf("%d peers were dropped: %s", n, r)
		}
	})
}

// A frame that makes no sense costs its stream and some points; a stream without one only
// itself.
func TestP04MalformedFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 2, 10*time.Millisecond)
		hosttest.Listen(t, hosts...)
		a := manager(hosts[0], newNod(hosts[0], 1), Options{})
		run(t, a)
		b := manager(hosts[1], newNod(hosts[1], 1), Options{})
		run(t, b)
		hosttest.Connect(t, hosts[0], hosts[1])
		time.Sleep(2 * time.Second)
		for _, frame := range [][]byte{
			nil, {0x80}, {0x86}, {0x83, 1, 2, 3}, {0x82, 0x60, 0}, bytes.Repeat([]byte{0x86}, 1<<16),
			append([]byte{0x86, 0x78, 0xff}, bytes.Repeat([]byte("x"), 255)...),
			{0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			s, err := hosts[0].NewStream(network.WithNoDial(ctx, "test"), hosts[1].ID(), Extension)
			if err != nil {
				t.Fatal(err)
			}
			_, werr := s.Write(frame)
			_ = s.CloseWrite()
			if _, err := io.ReadAll(s); err == nil && werr == nil {
				t.Errorf("frame %x was taken", frame[:min(len(frame), 16)])
			}
			_ = s.Reset()
			cancel()
			want := Malformed.penalty()
			if len(frame) == 0 {
				want = 0
			}
			if got := b.Score(hosts[0].ID()); math.Abs(got+want) > 1 {
				t.Errorf("score %f after frame %x, want %f", got, frame[:min(len(frame), 16)], -want)
			}
			b.Useful(hosts[0].ID(), want) // it is forgiven
		}
		if len(b.ReadyPeers()) != 1 || b.Peers()[0].Intro != nil {
			t.Errorf("peers %+v", b.Peers())
		}
	})
}

func TestIntroFrame(t *testing.T) {
	long := strings.Repeat("ü", 100)
	for _, want := range []Intro{
		{},
		{Network: "n", Agent: "a", OldestState: 1, NewestState: math.MaxInt64, Capabilities: math.MaxUint64, Finalised: 1},
	} {
		frame, err := want.encode()
		if err != nil {
			t.Fatal(err)
		}
		reason, got, err := decodeFrame(bytes.NewReader(frame))
		if err != nil || reason != "" || got == nil || *got != want || len(frame) > frameBytes {
			t.Errorf("%+v came back as %+v, %v", want, got, err)
		}
	}
	cut := Intro{Network: long, Agent: "x" + long}
	frame, err := cut.encode()
	if err != nil {
		t.Fatal(err)
	}
	_, got, err := decodeFrame(bytes.NewReader(frame))
	if err != nil || got.Network != long[:introNetwork] || got.Agent != "x"+long[:introAgent-2] {
		t.Errorf("cut to %+v, %v", got, err)
	}
}

func FuzzFrame(f *testing.F) {
	goodbye, err := encodeGoodbye(ReasonGenesis, "another network")
	if err != nil {
		f.Fatal(err)
	}
	i := Intro{Network: "net", Agent: "lode/1", NewestState: 3, Capabilities: ServesChain}
	intro, err := i.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(goodbye)
	f.Add(intro)
	f.Add([]byte{0x82, 0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x60})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, intro, err := decodeFrame(bytes.NewReader(b))
		if err != nil {
			if !errors.Is(err, errFrame) {
				t.Fatal(err)
			}
			return
		}
		if intro == nil {
			return
		}
		again, err := intro.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, got, err := decodeFrame(bytes.NewReader(again)); err != nil || *got != *intro {
			t.Fatalf("%+v came back as %+v, %v", intro, got, err)
		}
	})
}
