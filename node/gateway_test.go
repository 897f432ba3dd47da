package node

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/market/retrieval"
	"github.com/lodenet/lode/network/host/hosttest"
)

// The gateway's end waits for a download that is cut off: what it reads is closed next.
func TestGatewayWaitsForRequests(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g := &gateway{listener: l, log: hosttest.Quiet()}
	begun := make(chan struct{})
	var over atomic.Bool
	g.serve(t.Context(), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		time.Sleep(100 * time.Millisecond) // a read that nothing cuts off
		over.Store(true)
	}))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.run(ctx) }()
	asked := make(chan error, 1)
	go func() {
		resp, err := http.Get("http://" + l.Addr().String())
		if err == nil {
			err = resp.Body.Close()
		}
		asked <- err
	}()
	<-begun
	cancel()
	require.NoError(t, <-ended)
	require.True(t, over.Load(), "a request goes on after the end")
	require.Error(t, <-asked, "it was not cut off")
	require.NoError(t, g.close(t.Context()))
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
