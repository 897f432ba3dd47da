package retrieval

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lodenet/lode/chain/types"
)

// pipes is a listener whose connections hold no byte that is not read.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial sends a request and gives the answer's connection, of which nothing is read.
func (p *pipes) dial(t *testing.T, path string) net.Conn {
	t.Helper()
	here, there := net.Pipe()
	p.conns <- there
	if _, err := io.WriteString(here, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return here
}

// A reader that takes nothing keeps its place for a while, and not for ever.
func TestReaderThatStandsStill(t *testing.T) {
	var store types.MemBlocks
	imp := file(t, &store, content(100_000, 7))
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		srv := &http.Server{Handler: New(Config{Requests: 1}, nil, &store, nil, nil, quiet).Handler()}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(l) }()
		path := "/ipfs/" + imp.Root.String() + "?format=car"
		status := func() int {
			t.Helper()
			c := l.dial(t, path)
			defer c.Close()
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			return res.StatusCode
		}
		still := l.dial(t, path)
		synctest.Wait()
		if got := status(); got != http.StatusTooManyRequests {
			t.Errorf("beside the first: status %d", got)
		}
		time.Sleep(10 * time.Minute)
		if got := status(); got != http.StatusOK {
			t.Errorf("after a while: status %d", got)
		}
		still.Close()
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}
