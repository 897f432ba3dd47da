package node

import (
	"context"
	"fmt"

	"github.com/lodenet/lode/network/tunnel"
)

// buildTunnels makes the tunnels, those of the settings included.
func (n *Node) buildTunnels(ctx context.Context) error {
	if err := tunnel.Migrate(ctx, n.db); err != nil {
		return err
	}
	c := n.config.Tunnels
	opt := tunnel.Options{
		Limits: tunnel.Limits{Listeners: c.MaxListeners, Streams: c.MaxStreams, PerPeer: c.MaxStreamsPerPeer},
		Linger: c.Linger, Idle: c.Idle,
	}
	if c.Linger == 0 {
		opt.Linger = -1 // the settings say for ever
	}
	for _, line := range c.Listen {
		o, err := tunnel.DeclaredOffer(line)
		if err != nil {
			return fmt.Errorf("settings: Tunnels.Listen: %w", err)
		}
		opt.Offers = append(opt.Offers, o)
	}
	for _, line := range c.Forward {
		f, err := tunnel.DeclaredForward(ctx, line)
		if err != nil {
			return fmt.Errorf("settings: Tunnels.Forward: %w", err)
		}
		opt.Forwards = append(opt.Forwards, f)
	}
	n.tunnels = tunnel.New(n.host, n.db, opt, n.clk, n.log)
	return nil
}
