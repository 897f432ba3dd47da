package node

import (
	"context"
	"errors"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"

	"github.com/lodenet/lode/node/lifecycle"
)

// addParts puts the parts in the order in which they start: protocols before the host
// listens, own work when the chain can be followed, the RPC server last (spec network.md
// L-12).
func (n *Node) addParts() {
	g := n.group
	g.AddService("disk", func(context.Context) error { return n.opt.Repo.Room(0) }, nil)
	g.Add("disk watch", n.watchDisk)
	g.Add("chain store watch", n.store.Watch)
	g.Add("imports watch", n.imports.guard.Run)
	g.AddService("dispatcher", n.openDispatcher, n.closeDispatcher)
	g.Add("gossip", n.gossip.Run)
	g.Add("hello", n.hello.Run)
	g.Add("chain exchange", n.exchangeServer.Run)
	if n.table != nil {
		g.Add("dht", n.table.Run)
	}
	g.Add("chain bitswap", n.chainSwap.Run)
	g.Add("content bitswap", n.dataSwap.Run)
	g.AddService("gateway port", n.gateway.open, n.gateway.close) // peers are told of it
	g.Add("content over libp2p", n.gateway.server.Run)
	g.Add("tunnels", n.tunnels.Run)
	g.Add("message pool", n.pool.Run)
	g.Add("gossip messages", n.gate.Run)
	g.Add("message index", n.index.Run)
	g.Add("syncer", n.syncer.Run)
	g.AddService("protocols ready", n.awaitProtocols, nil)
	g.Add("peers' heads", n.offerHeads)
	g.Add("peers", n.peers.Run)
	g.Add("stall watch", n.watchStall)
	g.AddService("listen", n.listenForPeers, nil)
	g.Add("host", n.host.Run)
	if n.announcer != nil {
		g.Add("announcer", n.announcer.Run)
	}
	if n.heartbeat != nil {
		g.Add("heartbeat", n.heartbeat.Run)
	}
	g.Add("outbox", n.outbox.Run)
	g.Add("gateway", n.gateway.run)
	g.Add("deals made", n.client.Run)
	if n.provider != nil {
		start := func(ctx context.Context) error { return nil }
		if n.config.Mining.Enabled {
			start = n.provider.role.Enable
		}
		g.AddService("provider", start, n.provider.role.Close, lifecycle.Deadline(30*time.Second))
		g.Add("provider watch", func(ctx context.Context) error { return n.provider.role.Keep(ctx, n.restarts) })
	}
	g.AddService("subscriptions", nil, n.subs.close)
	g.AddService("rpc port", n.rpc.open, n.rpc.close)
	g.Add("rpc", n.rpc.run)
}

// awaitProtocols waits until every protocol has its handlers, and its blocks a taker.
func (n *Node) awaitProtocols(ctx context.Context) error {
	all := []<-chan struct{}{n.gossip.Ready(), n.hello.Ready(), n.exchangeServer.Ready(), n.chainSwap.Ready(), n.dataSwap.Ready(), n.tunnels.Ready(), n.gate.Ready(), n.syncer.Ready()}
	if n.table != nil {
		all = append(all, n.table.Ready())
	}
	for _, ready := range all {
		select {
		case <-ready:
		case <-ctx.Done():
			return ctx.Err()
		case <-n.group.Done():
			return errors.New("a part ended while starting")
		}
	}
	return nil
}

// epoch is the length of an epoch.
func (n *Node) epoch() time.Duration { return time.Duration(n.network.EpochSeconds) * time.Second }

// confidence is how many epochs on top of a message make it certain enough to go on.
func (n *Node) confidence() abi.ChainEpoch { return abi.ChainEpoch(n.config.Sealing.Confidence) }

// maxFee is what a message may burn for gas, in attoFIL; nil is the outbox's own bound.
func (n *Node) maxFee() abi.TokenAmount {
	return big.Int(n.config.Fees.DefaultMaxFee)
}
