package exchange

import (
	"bytes"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/lodenet/lode/chain/sync/chaintest"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/dispatch"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/host/hosttest"
	"github.com/lodenet/lode/network/peers"
)

// TestBrokenConnections: a peer whose connection breaks in the middle of an answer did not
// send a malformed one, however the transport words that.
func TestBrokenConnections(t *testing.T) {
	for name, listen := range map[string]string{"TCP": "/ip4/127.0.0.1/tcp/0", "QUIC": "/ip4/127.0.0.1/udp/0/quic-v1"} {
		t.Run(name, func(t *testing.T) {
			chain := chaintest.New(t)
			head := chain.Extend(chain.Genesis(), 3, 1, "a")
			var hosts []*host.Host
			for i := range 2 {
				hosts = append(hosts, hosttest.New(t, byte(i), host.Options{Listen: []ma.Multiaddr{ma.StringCast(listen)}, Version: "test"}))
			}
			hosttest.Listen(t, hosts...)
			hosttest.Connect(t, hosts[0], hosts[1])
			hosts[1].SetStreamHandler(Protocol, func(st network.Stream) {
				var req Request
				if err := req.UnmarshalCBOR(st); err != nil {
					t.Error(err)
				}
				var whole bytes.Buffer
				if err := (&Response{Status: OK, Chain: []*TipSet{{Blocks: head.Blocks()}}}).MarshalCBOR(&whole); err != nil {
					t.Error(err)
				}
				if _, err := st.Write(whole.Bytes()[:whole.Len()/2]); err != nil {
					t.Error(err)
				}
				_ = hosts[1].Network().ClosePeer(hosts[0].ID())
			})
			s := &session{peers: []peer.ID{hosts[1].ID()}}
			answers, err := NewDesk(dispatch.New())
			if err != nil {
				t.Fatal(err)
			}
			client := NewClient(hosts[0], s, ClientOptions{Answers: answers}, clock.System{}, hosttest.Quiet())
			if _, err := client.Headers(t.Context(), head.Key(), 1); err == nil {
				t.Fatal("half an answer passed")
			}
			if got := s.faults[hosts[1].ID()]; len(got) != 1 || got[0] != peers.Slow {
				t.Errorf("faults %v", got)
			}
		})
	}
}

// TestAnsweredAndClosed: a peer that answered and closed the stream before we closed our half,
// as one does when our machine is busy, gave its answer all the same.
func TestAnsweredAndClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := chaintest.New(t)
		head := chain.Extend(chain.Genesis(), 3, 1, "a")
		client, s, hosts := pair(t, chain)
		client.host = hosttest.Late{Host: hosts[0]}
		if got, err := client.Headers(t.Context(), head.Key(), 4); err != nil || len(got) != 4 {
			t.Errorf("%d headers, %v", len(got), err)
		}
		if len(s.faults) != 0 {
			t.Errorf("faults %v", s.faults)
		}
	})
}

// TestP08MalformedRequests: who asks in a way that makes no sense is charged for it; who
// breaks off, or opens a stream for nothing, is not.
func TestP08MalformedRequests(t *testing.T) {
	for name, c := range map[string]struct {
		send  []byte
		end   func(network.Stream) error
		fault bool
	}{
		"garbage":         {bytes.Repeat([]byte{0x9f}, 100), network.Stream.CloseWrite, true},
		"cut short":       {[]byte{0x83, 0x81}, network.Stream.CloseWrite, true},
		"without an end":  {append([]byte{0x83, 0x80, 0x5b, 0, 0, 0, 1, 0, 0, 0, 0}, make([]byte, 2*maxRequestBytes)...), nil, true},
		"nothing":         {nil, network.Stream.CloseWrite, false},
		"breaks off":      {[]byte{0x83, 0x81}, network.Stream.Reset, false},
		"too slow to end": {[]byte{0x83, 0x81}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hosts := hosttest.Simulated(t, 2, 30*time.Millisecond)
				hosttest.Listen(t, hosts...)
				blame := &session{}
				serveTo(t, hosts[1], chaintest.New(t), blame)
				hosttest.Connect(t, hosts[0], hosts[1])
				st, err := hosts[0].NewStream(t.Context(), hosts[1].ID(), Protocol)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := st.Write(c.send); err != nil {
					t.Fatal(err)
				}
				if c.end != nil {
					time.Sleep(time.Second)
					_ = c.end(st) // the server may have ended it already
				}
				_, _ = st.Read(make([]byte, 1)) // the server's end of it
				time.Sleep(15 * time.Second)
				blame.mu.Lock()
				defer blame.mu.Unlock()
				want := []peers.Fault(nil)
				if c.fault {
					want = []peers.Fault{peers.Malformed}
				}
				if got := blame.faults[hosts[0].ID()]; !slices.Equal(got, want) {
					t.Errorf("faults %v, want %v", got, want)
				}
			})
		})
	}
}
