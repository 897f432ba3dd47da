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
	"github.com/lodenet/lode/chain/sync/inbound"
	"github.com/lodenet/lode/chain/sync/syncer"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/dispatch"
	"github.com/lodenet/lode/network/gossip"
	"github.com/lodenet/lode/network/peers"
)

// maxBlockGossip bounds a block announcement of ours, so that it fits a gossip message with
// its envelope (spec chain.md c.4).
const maxBlockGossip = 1<<20 - 1<<15

// buildSync joins gossip, peers and consensus in the syncer.
func (n *Node) buildSync(context.Context) error {
	n.syncer = syncer.New(n.store, n.engine, n.exchange, n.peers, syncer.Options{
		Epochs: n.epochs, Classify: classify, Pool: n.pooled, Swap: n.chainSwap,
		Incoming: n.gate.Blocks, Dispatcher: n.dispatcher,
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

// Peers' heads on their way from the greeting to the syncer: a head is a few hundred bytes,
// and of a peer that greets over and over the newest counts.
const (
	headsQueue = 256
	headsBytes = 1 << 20
)

// onHello publishes the head that a peer announces.
func (n *Node) onHello(h hello.Head) {
	dispatch.Publish(n.heads, dispatch.Envelope[hello.Head]{
		From: string(h.Peer), At: n.clk.Now(), Size: len(h.Key.Bytes()) + len(h.Peer), Msg: h,
	})
}

// openDispatcher makes room for what peers announce before anything can arrive.
func (n *Node) openDispatcher(context.Context) (err error) {
	n.headsIn, err = dispatch.Subscribe(n.dispatcher, n.heads, dispatch.SubOptions[hello.Head]{
		Queue: headsQueue, MaxBytes: headsBytes, Overflow: dispatch.DropOldest,
		Key: func(e dispatch.Envelope[hello.Head]) uint64 { return dispatch.PeerKey(e.From) },
	})
	return err
}

// closeDispatcher ends all subscriptions.
func (n *Node) closeDispatcher(context.Context) error {
	n.dispatcher.Close()
	return nil
}

// offerHeads hands the peers' heads to the syncer.
func (n *Node) offerHeads(ctx context.Context) error {
	for {
		select {
		case e := <-n.headsIn.C():
			n.syncer.Offer(e.Msg.Peer, e.Msg.Key, e.Msg.Height, e.Msg.Weight)
		case <-ctx.Done():
			return nil
		}
	}
}

// checkBlock is consensus's cheap check, as gossip wants it.
func (n *Node) checkBlock(ctx context.Context, m *types.BlockMsg) (gossip.Verdict, error) {
	verdict, err := n.engine.CheckGossip(ctx, m)
	switch verdict {
	case consensus.Accept:
		return gossip.Accept, nil
	case consensus.Reject:
		return gossip.Reject, err
	}
	return gossip.Ignore, err
}

// checkMessage adds an announced message to the pool, whose answer is the verdict.
func (n *Node) checkMessage(ctx context.Context, m *types.SignedMessage) (gossip.Verdict, error) {
	err := n.pool.Add(ctx, m, false)
	switch {
	case err == nil:
		return gossip.Accept, nil
	case mpool.Ignore(err):
		return gossip.Ignore, err
	}
	return gossip.Reject, err
}

// blame charges a peer for gossip that no honest peer passes on: bytes that do not decode, and
// a block on parents that we know whose signature is not its miner's (spec network.md P-08). Other refused gossip costs
// it standing in gossip alone, since the view from another fork may be another.
func (n *Node) blame(from peer.ID, err error) {
	switch {
	case errors.Is(err, inbound.ErrMalformed):
		n.peers.Report(from, peers.Malformed, err)
	case errors.Is(err, consensus.ErrSignature) && !errors.Is(err, consensus.ErrByHead):
		n.peers.Report(from, peers.Forged, err)
	}
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
	n.gate.Published(b.Cid())
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
