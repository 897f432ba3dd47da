package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// listenForPeers opens the ports of the settings.
func (n *Node) listenForPeers(ctx context.Context) error {
	if n.config.Libp2p.Offline {
		return n.host.Listen()
	}
	for _, a := range n.config.Libp2p.ListenAddresses {
		if err := unshared(ctx, a); err != nil {
			return err
		}
	}
	return n.host.Listen()
}

// unshared is an error when another program listens on a TCP address. libp2p's own listening
// does not tell: it shares ports with other nodes of the same user, and each would get
// connections that are meant for the other.
func unshared(ctx context.Context, listen string) error {
	a, err := ma.NewMultiaddr(listen)
	if err != nil {
		return fmt.Errorf("settings: Libp2p.ListenAddresses: %w", err)
	}
	passed := false
	tcp, _ := ma.SplitFunc(a, func(c ma.Component) bool {
		after := passed
		passed = passed || c.Protocol().Code == ma.P_TCP
		return after
	})
	if !passed {
		return nil // other transports share nothing
	}
	network, addr, err := manet.DialArgs(tcp)
	if err != nil {
		return fmt.Errorf("settings: Libp2p.ListenAddresses: %q: %w", listen, err)
	}
	l, err := listenTCP(ctx, network, addr, "for peers", "Libp2p.ListenAddresses")
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("listen on %s: %w", listen, err)
	case err != nil:
		return nil // the host's own listening says what is wrong
	}
	return l.Close()
}

// listenTCP takes a port of this machine. When another program has it, the error says what
// the port is for and which setting names another.
func listenTCP(ctx context.Context, network, addr, what, setting string) (net.Listener, error) {
	var c net.ListenConfig
	l, err := c.Listen(ctx, network, addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		err = fmt.Errorf("%w: another node, or another program, has the port %s; stop it, or set %s in config.toml to another port", err, what, setting)
	}
	return l, err
}
