package host_test

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/host/hosttest"
)

// Handlers of all protocols share the places, the stream beyond is reset, and stop waits.
func TestServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 2, 10*time.Millisecond)
		hosttest.Listen(t, hosts...)
		hosttest.Connect(t, hosts[1], hosts[0])
		release := make(chan struct{})
		handle := func(s network.Stream) {
			<-release
			_, _ = s.Write([]byte("served"))
			_ = s.Close()
		}
		stop := host.Serve(hosts[0], 2, map[protocol.ID]network.StreamHandler{"/a": handle, "/b": handle})
		ask := func(id protocol.ID) network.Stream {
			s, err := hosts[1].NewStream(t.Context(), hosts[0].ID(), id)
			if err == nil {
				_, err = s.Write([]byte("x"))
			}
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			return s
		}
		first, second, third := ask("/a"), ask("/b"), ask("/b")
		if b, err := io.ReadAll(third); err == nil {
			t.Errorf("the stream beyond is answered: %q", b)
		}
		stopped := make(chan struct{})
		go func() { stop(); close(stopped) }()
		synctest.Wait()
		select {
		case <-stopped:
			t.Error("stop does not wait for handlers")
		default:
		}
		close(release)
		<-stopped
		for _, s := range []network.Stream{first, second} {
			if b, err := io.ReadAll(s); err != nil || string(b) != "served" {
				t.Errorf("got %q, %v", b, err)
			}
		}
		s, err := hosts[1].NewStream(t.Context(), hosts[0].ID(), "/a")
		if err == nil {
			_, err = io.ReadAll(s)
		}
		if err == nil {
			t.Error("served after stop")
		}
	})
}
