package devnet

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/lodenet/lode/api"
)

// testTunnels offers a service on the miner's node and reaches it through the client's.
func testTunnels(t *testing.T, a *apiTest) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "hello")
			_ = c.Close()
		}
	}()
	defer func() { _ = l.Close(); <-done }()
	self := must[string](t)(func() (string, error) { id, err := a.miner.ID(a.ctx); return id.String(), err }())
	me, err := a.ID(a.ctx)
	if err != nil {
		t.Fatal(err)
	}
	offer := &api.P2POffer{Protocol: "/x/hello", Target: l.Addr().String()}
	offer.Allow = append(offer.Allow, me)
	if err := a.miner.P2PListen(a.ctx, offer); err != nil {
		t.Fatal(err)
	}
	at := must[string](t)(a.P2PForward(a.ctx, &api.P2PForwarding{Protocol: "/x/hello", Listen: "127.0.0.1:0", Target: self, Ephemeral: true}))
	get := func() string {
		_, port, _ := strings.Cut(at, "/tcp/")
		c, err := net.Dial("tcp4", "127.0.0.1:"+port)
		if err != nil {
			return err.Error()
		}
		defer c.Close()
		b, err := io.ReadAll(c)
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	if got := get(); got != "hello" {
		t.Errorf("the tunnel gave %q", got)
	}
	list := must[[]api.P2PListener](t)(a.miner.P2PList(a.ctx))
	if len(list) != 1 || list[0].Kind != "listen" || list[0].ListenAddress != "/p2p/"+self || list[0].Ephemeral || len(list[0].Allow) != 1 {
		t.Errorf("listeners %+v", list)
	}
	if st := must[*api.P2PStats](t)(a.P2PStats(a.ctx)); st.Opened != 1 || st.BytesIn != 5 || st.BytesOut != 0 {
		t.Errorf("counters %+v", st)
	}
	if _, err := a.P2PStreams(a.ctx); err != nil {
		t.Error(err)
	}
	if err := a.P2PStreamClose(a.ctx, 1000); err == nil {
		t.Error("a stream was closed that is not there")
	}
	if _, err := a.P2PStreamCloseAll(a.ctx); err != nil {
		t.Error(err)
	}

	// A holder that goes away takes the forward along; one that stays hears of its end.
	if _, err := a.miner.P2PHold(a.ctx, "listen", "/x/hello"); err == nil {
		t.Error("a lasting listener was held")
	}
	holder, leave := context.WithCancel(a.ctx)
	news := must[<-chan string](t)(a.P2PHold(holder, "forward", at))
	if word := <-news; word != "held" {
		t.Errorf("held says %q", word)
	}
	leave()
	for range news {
	}
	if left := must[[]api.P2PListener](t)(a.P2PList(a.ctx)); len(left) != 0 {
		t.Errorf("left over: %+v", left)
	}
	at = must[string](t)(a.P2PForward(a.ctx, &api.P2PForwarding{Protocol: "/x/hello", Listen: "127.0.0.1:0", Target: "/p2p/" + self, Ephemeral: true}))
	news = must[<-chan string](t)(a.P2PHold(a.ctx, "forward", at))
	if n := must[int](t)(a.P2PClose(a.ctx, api.P2PMatch{All: true})); n != 1 {
		t.Errorf("closed %d", n)
	}
	var words []string
	for w := range news {
		words = append(words, w)
	}
	if strings.Join(words, " ") != "held closed" {
		t.Errorf("the holder heard %q", words)
	}
	if n := must[int](t)(a.miner.P2PClose(a.ctx, api.P2PMatch{Protocol: "/x/hello", Streams: true})); n != 1 {
		t.Errorf("closed %d", n)
	}
	if err := a.miner.P2PListen(a.ctx, nil); err == nil {
		t.Error("no offer was taken")
	}
	if _, err := a.P2PForward(a.ctx, nil); err == nil {
		t.Error("no forward was taken")
	}
}
