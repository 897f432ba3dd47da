package host_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
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
		if n := hosts[0].TurnedAway(); n["/b"] != 1 || len(n) != 1 {
			t.Errorf("counted %v", n)
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

// What did not come whole is told apart from what came and makes no sense.
func TestSource(t *testing.T) {
	broken := fmt.Errorf("stream reset: %w", io.EOF)
	for name, c := range map[string]struct {
		r    io.Reader
		got  string
		want bool
	}{
		"whole":                {strings.NewReader("abc"), "abc", true},
		"too much":             {strings.NewReader("abcdefgh"), "abcde", true},
		"nothing":              {strings.NewReader(""), "", false},
		"broken":               {iotest.ErrReader(broken), "", false},
		"broken in the middle": {io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken)), "abc", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := host.NewSource(c.r, 5)
			if b, _ := io.ReadAll(s); string(b) != c.got || s.Nonsense() != c.want {
				t.Errorf("read %q, nonsense: %t", b, s.Nonsense())
			}
		})
	}
}
