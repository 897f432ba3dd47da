package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/market/deal/client"
	"github.com/lodenet/lode/market/pieces"
	"github.com/lodenet/lode/market/retrieval"
	"github.com/lodenet/lode/network/bitswap"
	"github.com/lodenet/lode/network/dht"
)

// gateway serves content: over libp2p always, over plain HTTP where the settings say so. There
// it also looks up in the DHT for those who are not in it.
type gateway struct {
	server *retrieval.Server
	blocks *pieces.Blocks // all content that this node has
	router dht.Router
	listen string
	public ma.Multiaddr // how others reach listen; nil: as it is
	log    *slog.Logger
	// listener is where plain HTTP is served; set by open before anything that reads it starts.
	listener net.Listener
	http     *http.Server
	requests context.CancelFunc // ends those under way; set by open

	mu      sync.Mutex     // guards closing, and that nothing is added to running after it
	closing bool           // no request begins any more
	running sync.WaitGroup // requests
}

// buildGateway makes the retrieval server over our imports and sealed pieces.
func (n *Node) buildGateway(context.Context) error {
	blocks := pieces.NewBlocks(n.pieces, n.reader(), n.imports)
	g := &gateway{blocks: blocks, router: n.router, listen: n.config.Retrieval.ListenAddress, log: n.log}
	if u := n.config.Retrieval.PublicURL; u != "" {
		var err error
		if g.public, err = retrieval.PublicAddr(u); err != nil {
			return fmt.Errorf("setting Retrieval.PublicURL: %w", err)
		}
	}
	g.server = retrieval.New(retrieval.Config{HTTP: func() []ma.Multiaddr { return n.gatewayAddrs() }, Bitswap: true, Version: n.opt.Version},
		n.host, blocks, n.pieces, n.reader(), n.log)
	n.gateway = g
	opt := bitswap.Options{}
	if n.table != nil {
		opt.Finder = n.router
	}
	n.dataSwap = bitswap.New(n.host, blocks, opt, n.log)
	return nil
}

// open takes the port, so that a port in use is an error of the start.
func (g *gateway) open(ctx context.Context) error {
	if g.listen == "" {
		return nil
	}
	l, err := listenTCP(ctx, "tcp", g.listen, "of the gateway", "Retrieval.ListenAddress")
	if err != nil {
		return err
	}
	g.listener = l
	g.log.Info("gateway on plain HTTP", "url", "http://"+l.Addr().String())
	mux := http.NewServeMux()
	mux.Handle("/", g.server.Handler())
	mux.Handle("/routing/v1/", dht.Delegated(g.router))
	g.serve(ctx, mux)
	return nil
}

// serve makes the server of plain HTTP. Its requests outlive ctx, which is the start's.
func (g *gateway) serve(ctx context.Context, handler http.Handler) {
	ctx, g.requests = context.WithCancel(context.WithoutCancel(ctx))
	g.http = &http.Server{
		Handler: g.counted(handler), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
}

// counted lets run wait for requests: net/http does not, once it is told to close.
func (g *gateway) counted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		if g.closing {
			g.mu.Unlock()
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		g.running.Add(1)
		g.mu.Unlock()
		defer g.running.Done()
		h.ServeHTTP(w, r)
	})
}

// close gives the port back when run did not get to do it.
func (g *gateway) close(context.Context) error {
	if g.listener == nil {
		return nil
	}
	g.requests()
	if err := g.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// run serves until the context ends, and returns when no request reads what is closed next.
func (g *gateway) run(ctx context.Context) error {
	if g.http == nil {
		<-ctx.Done()
		return nil
	}
	defer func() {
		g.mu.Lock()
		g.closing = true
		g.mu.Unlock()
		g.requests()
		g.running.Wait()
	}()
	served := make(chan error, 1)
	go func() { served <- g.http.Serve(g.listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	// Downloads under way may finish, for a while.
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := g.http.Shutdown(stop); err != nil {
		err = errors.Join(g.http.Close())
		if err != nil {
			return err
		}
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// gatewayAddrs is where plain HTTP can be had, as multiaddrs that end in /http or /https.
func (n *Node) gatewayAddrs() []ma.Multiaddr {
	if n.gateway.listener == nil {
		return nil
	}
	if n.gateway.public != nil {
		return []ma.Multiaddr{n.gateway.public}
	}
	addr, err := manet.FromNetAddr(n.gateway.listener.Addr())
	if err != nil {
		return nil
	}
	return []ma.Multiaddr{addr.Encapsulate(ma.StringCast("/http"))}
}

// ownDeals finds providers among the deals that we made.
type ownDeals struct{ client *client.Client }

var _ retrieval.Finder = ownDeals{}

// Find implements retrieval.Finder.
func (o ownDeals) Find(ctx context.Context, root cid.Cid) ([]retrieval.Provider, error) {
	infos, err := o.client.Providers(ctx, root)
	if err != nil {
		return nil, err
	}
	out := make([]retrieval.Provider, 0, len(infos))
	for _, info := range infos {
		out = append(out, retrieval.Provider{Peer: info})
	}
	return out, nil
}
