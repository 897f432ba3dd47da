package node

import (
	"context"
	"errors"
	"fmt"
	"net"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/api/auth"
	"github.com/lodenet/lode/api/server"
)

var _ api.Node = (*API)(nil)

// rpcServer serves the api on the address of the settings; an empty one serves nothing.
type rpcServer struct {
	node     *Node
	server   *server.Server
	listener net.Listener // set by open, before run starts
}

// buildRPC makes the tokens and the server.
func (n *Node) buildRPC(context.Context) error {
	secret, err := n.opt.Repo.Secret()
	if err != nil {
		return err
	}
	if n.tokens, err = auth.New(secret); err != nil {
		return err
	}
	n.rpc = &rpcServer{node: n}
	n.rpc.server, err = server.New(n.API(), n.tokens, n.log, server.Options{
		MaxRequest: n.config.API.MaxRequestBytes, Origins: n.config.API.AllowedOrigins,
	})
	if err != nil {
		return err
	}
	n.serveMetrics()
	return nil
}

// open takes the port, so that a port in use is an error of the start, and announces it in
// the repo with a token for everything.
func (r *rpcServer) open(ctx context.Context) (err error) {
	listen := r.node.config.API.ListenAddress
	if listen == "" {
		return nil
	}
	where, err := ma.NewMultiaddr(listen)
	if err != nil {
		return fmt.Errorf("settings: API.ListenAddress: %w", err)
	}
	network, addr, err := manet.DialArgs(withoutHTTP(where))
	if err != nil {
		return fmt.Errorf("settings: API.ListenAddress: %w", err)
	}
	r.listener, err = listenTCP(ctx, network, addr, "of the API", "API.ListenAddress")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.listener.Close())
		}
	}()
	token, err := r.node.tokens.AuthNew(ctx, api.AllPermissions())
	if err != nil {
		return err
	}
	at, err := manet.FromNetAddr(r.listener.Addr())
	if err != nil {
		return err
	}
	addr = at.Encapsulate(ma.StringCast("/http")).String()
	r.node.log.Info("the api listens", "addr", addr)
	return r.node.opt.Repo.Announce(addr, string(token))
}

func withoutHTTP(a ma.Multiaddr) ma.Multiaddr {
	rest, last := ma.SplitLast(a)
	if last != nil && last.Protocol().Code == ma.P_HTTP {
		return rest
	}
	return a
}

// close gives the port back when run did not get to do it.
func (r *rpcServer) close(context.Context) error {
	if r.listener == nil {
		return nil
	}
	if err := r.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// run serves until the context ends.
func (r *rpcServer) run(ctx context.Context) error {
	if r.listener == nil {
		<-ctx.Done()
		return nil
	}
	return r.server.Serve(ctx, r.listener)
}
