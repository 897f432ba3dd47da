package inbound

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/network/dispatch"
	"github.com/lodenet/lode/network/gossip"
)

// maxMessageSize bounds a signed message in bytes: what a message pool takes (64 KiB) and
// its envelope.
const maxMessageSize = 64<<10 + 1<<10

// Bounds of the messages on their way. Peers are served in turns, and one that floods makes
// room for the others; a message that had to has no verdict, so nobody waits longer than
// messageWait for one.
const (
	messageQueue   = 1024
	messageBytes   = 16 << 20
	messageWorkers = 8
	messageWait    = 10 * time.Second
)

// pending is a message whose validator waits for the verdict.
type pending struct {
	ctx     context.Context // of the validator; what is in a queue has no other home
	msg     *types.SignedMessage
	verdict chan judged // has room for the one verdict
}

type judged struct {
	verdict gossip.Verdict
	err     error
}

// Ready is closed when Run lets messages in: before that gossip's are ignored.
func (g *Gate) Ready() <-chan struct{} { return g.ready }

// Run has messages checked until the context ends. It can be called once.
func (g *Gate) Run(ctx context.Context) error {
	defer close(g.done)
	sub, err := dispatch.Subscribe(g.dispatcher, g.messages, dispatch.SubOptions[*pending]{
		Queue: messageQueue, MaxBytes: messageBytes,
		Key: func(e dispatch.Envelope[*pending]) uint64 { return dispatch.PeerKey(e.From) },
	})
	if err != nil {
		return fmt.Errorf("gossip messages: %w", err)
	}
	var workers sync.WaitGroup
	defer workers.Wait()
	defer sub.Close()
	for range messageWorkers {
		workers.Go(func() {
			for e := range sub.C() {
				g.judge(e.Msg)
			}
		})
	}
	close(g.ready)
	<-ctx.Done()
	return nil
}

// judge checks one message, unless nobody waits for the verdict any more.
func (g *Gate) judge(p *pending) {
	if p.ctx.Err() != nil {
		return
	}
	v, err := g.checks.Message(p.ctx, p.msg)
	p.verdict <- judged{v, err}
}

// message takes a message: it goes through the dispatcher to the check, and the verdict comes
// back. One that nobody has room for is ignored, and counted there.
func (g *Gate) message(ctx context.Context, from peer.ID, data []byte) gossip.Verdict {
	if len(data) > maxMessageSize {
		return g.malformed(from, messageTopic, fmt.Errorf("%d bytes, at most %d", len(data), maxMessageSize))
	}
	m, err := types.DecodeSignedMessage(data)
	if err != nil {
		return g.malformed(from, messageTopic, err)
	}
	ctx, cancel := context.WithTimeout(ctx, messageWait)
	defer cancel()
	p := &pending{ctx: ctx, msg: m, verdict: make(chan judged, 1)}
	if r := dispatch.Publish(g.messages, envelope(g, from, len(data), p)); r.Delivered == 0 {
		return gossip.Ignore
	}
	select {
	case j := <-p.verdict:
		if j.verdict != gossip.Accept {
			g.log.Debug("message refused", "peer", from, "message", m.Cid(), "verdict", j.verdict, "err", j.err)
			g.blame(from, j.verdict, j.err)
		}
		return j.verdict
	case <-ctx.Done():
	case <-g.done:
	}
	return gossip.Ignore
}
