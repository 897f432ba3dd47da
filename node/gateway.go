package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
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
	g.http = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	return nil
}

// run serves until the context ends.
func (g *gateway) run(ctx context.Context) error {
	if g.http == nil {
		<-ctx.Done()
		return nil
	}
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
