package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/lodenet/lode/chain/consensus"
	"github.com/lodenet/lode/chain/mpool"
	"github.com/lodenet/lode/chain/sync/hello"
	"github.com/lodenet/lode/chain/sync/syncer"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/dispatch"
	"github.com/lodenet/lode/network/gossip"
)

// maxBlockGossip bounds a block announcement of ours, so that it fits a gossip message with
// its envelope (spec chain.md c.4).
const maxBlockGossip = 1<<20 - 1<<15

// buildSync joins gossip, peers and consensus in the syncer.
func (n *Node) buildSync(context.Context) error {
	n.syncer = syncer.New(n.store, n.engine, n.exchange, n.peers, syncer.Options{
		Epochs: n.epochs, Classify: classify, Pool: n.pooled, Swap: n.chainSwap,
		Incoming: n.blocks, Dispatcher: n.dispatcher,
	}, n.clk, n.log)
	return nil
}

// classify tells the syncer what a verdict of consensus means.
func classify(err error) syncer.Class {
	switch {
	case errors.Is(err, consensus.ErrTemporal):
		return syncer.Temporal
	case errors.Is(err, consensus.ErrInvalid):
		return syncer.Invalid
	}
	return syncer.Retry
}

// pooled finds a block's message among those that wait in our own pool.
func (n *Node) pooled(c cid.Cid) (types.ChainMsg, bool) {
	m, ok := n.pool.Message(c)
	if !ok {
		return nil, false
	}
	if m.Signature.Type == crypto.SigTypeBLS {
		return &m.Message, true
	}
	return m, true
}

// onHello hands a peer's head to the syncer, which is built after the greeting.
func (n *Node) onHello(h hello.Head) { n.syncer.Offer(h.Peer, h.Key, h.Height, h.Weight) }

// gossipBlock judges an announced block cheaply and passes it to the syncer's queue.
func (n *Node) gossipBlock(ctx context.Context, from peer.ID, data []byte) gossip.Verdict {
	msg, err := types.DecodeBlockMsg(data)
	if err != nil {
		n.log.Debug("block refused", "peer", from, "err", err)
		return gossip.Reject
	}
	verdict, err := n.engine.CheckGossip(ctx, msg)
	switch verdict {
	case consensus.Reject:
		n.log.Debug("block refused", "peer", from, "block", msg.Cid(), "err", err)
		return gossip.Reject
	case consensus.Ignore:
		return gossip.Ignore
	}
	dispatch.Publish(n.blocks, dispatch.Envelope[*types.BlockMsg]{From: string(from), At: n.clk.Now(), Size: len(data), Msg: msg})
	return gossip.Accept
}

// gossipMessage offers an announced message to the pool, whose answer is the verdict.
func (n *Node) gossipMessage(ctx context.Context, from peer.ID, data []byte) gossip.Verdict {
	if len(data) > types.MaxMessageBytes {
		return gossip.Reject
	}
	m, err := types.DecodeSignedMessage(data)
	if err != nil {
		n.log.Debug("message refused", "peer", from, "err", err)
		return gossip.Reject
	}
	if err := n.pool.Add(ctx, m, false); err != nil {
		if mpool.Ignore(err) {
			return gossip.Ignore
		}
		n.log.Debug("message refused", "peer", from, "message", m.Cid(), "err", err)
		return gossip.Reject
	}
	dispatch.Publish(n.messages, dispatch.Envelope[*types.SignedMessage]{From: string(from), At: n.clk.Now(), Size: len(data), Msg: m})
	return gossip.Accept
}

// Publish implements mining.Publisher: a block of our own goes into our chain first, then to
// the network.
func (n *Node) Publish(ctx context.Context, b *types.FullBlock) error {
	if err := n.inOwn(ctx, b); err != nil {
		return err
	}
	msg := &types.BlockMsg{Header: b.Header}
	for _, m := range b.BlsMessages {
		msg.BlsMessages = append(msg.BlsMessages, m.Cid())
	}
	for _, m := range b.SecpkMessages {
		msg.SecpkMessages = append(msg.SecpkMessages, m.Cid())
	}
	raw, err := msg.Serialize()
	if err != nil {
		return err
	}
	if len(raw) > maxBlockGossip {
		return fmt.Errorf("block %s takes %d bytes in gossip, at most %d", b.Cid(), len(raw), maxBlockGossip)
	}
	return n.gossip.PublishBlock(ctx, raw)
}

// inOwn validates our own block like any other. Clocks have whole seconds in blocks, so one
// made for this very moment may look a fraction early.
func (n *Node) inOwn(ctx context.Context, b *types.FullBlock) error {
	for {
		err := n.syncer.InBlock(ctx, b, "")
		if !errors.Is(err, consensus.ErrTemporal) {
			return err
		}
		if err := clock.Sleep(ctx, n.clk, n.network.Propagation()/10); err != nil {
			return err
		}
	}
}
