package node

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/ipfs/go-cid"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/market/retrieval"
	"github.com/lodenet/lode/network/host/hosttest"
)

// pipes is a listener without a network, for virtual time.
type pipes struct {
	dialled chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func newPipes() *pipes {
	return &pipes{dialled: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.dialled:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipes) Close() error { p.once.Do(func() { close(p.closed) }); return nil }

// Addr implements net.Listener.
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.dialled <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// The gateway's end waits for a download that is cut off: what it reads is closed next.
func TestGatewayWaitsForRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		g := &gateway{listener: l, log: hosttest.Quiet()}
		begun, cut, read := make(chan struct{}), make(chan struct{}), make(chan struct{})
		g.serve(t.Context(), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(begun)
			<-r.Context().Done()
			close(cut)
			<-read // which nothing cuts off
		}))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- g.run(ctx) }()
		asked := make(chan error, 1)
		go func() {
			resp, err := (&http.Client{Transport: &http.Transport{DialContext: l.dial}}).Get("http://gateway/")
			if err == nil {
				err = resp.Body.Close()
			}
			asked <- err
		}()
		<-begun
		cancel()
		<-cut
		synctest.Wait()
		select {
		case <-ended:
			require.FailNow(t, "a request goes on after the end")
		default:
		}
		close(read)
		require.NoError(t, <-ended)
		require.Error(t, <-asked, "it was not cut off")
		require.NoError(t, g.close(t.Context()))
	})
}

// A start that ends between the gateway's port and the gateway gives the port back.
func TestGatewayGivesItsPortBack(t *testing.T) {
	require.NoError(t, (&gateway{}).close(t.Context()), "it was never opened")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g := &gateway{listener: l, log: hosttest.Quiet()}
	g.serve(t.Context(), http.NotFoundHandler())
	require.NoError(t, g.close(t.Context()))
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}

// searching is a finder that searches until it is told to stop.
type searching chan struct{}

// Find implements retrieval.Finder.
func (s searching) Find(ctx context.Context, _ cid.Cid) ([]retrieval.Provider, error) {
	close(s)
	<-ctx.Done()
	return nil, ctx.Err()
}

// A retrieval ends with the node, also when its caller would go on waiting.
func TestRetrievalEndsWithTheNode(t *testing.T) {
	search := make(searching)
	n := &Node{fetcher: retrieval.NewFetcher(hosttest.Loopback(t, 1)[0], hosttest.Quiet(), search)}
	root, err := types.CidBuilder.Sum([]byte("anything"))
	require.NoError(t, err)
	order := &api.RetrieveOrder{Root: root, Output: filepath.Join(t.TempDir(), "out")}
	events, err := clientAPI{n}.Retrieve(t.Context(), order)
	require.NoError(t, err)
	<-search
	require.NoError(t, n.subs.close(t.Context()))
	var last *api.RetrieveEvent
	for open := true; open; {
		var e *api.RetrieveEvent
		select {
		case e, open = <-events:
		default:
			require.FailNow(t, "it goes on after the end")
		}
		if open {
			last = e
		}
	}
	require.NotNil(t, last)
	require.False(t, last.Done)
	require.NotEmpty(t, last.Err)
	_, err = clientAPI{n}.Retrieve(t.Context(), order)
	require.ErrorIs(t, err, errStopping)
}
