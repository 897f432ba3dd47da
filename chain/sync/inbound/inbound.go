package inbound

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/dispatch"
	"github.com/lodenet/lode/network/gossip"
)

// The names of the topics in metrics.
const (
	blockTopic   = "blocks"
	messageTopic = "messages"
)

// maxBlockMessages is how many messages a block may list (spec chain.md f.4).
const maxBlockMessages = 10_000

// Checks judge what was decoded. The error is for the log.
type Checks struct {
	// Block is consensus' cheap check.
	Block func(ctx context.Context, m *types.BlockMsg) (gossip.Verdict, error)
	// Message adds a message to the pool, or says why not.
	Message func(ctx context.Context, m *types.SignedMessage) (gossip.Verdict, error)
	// Blame hears why something of a peer was rejected; it must not block. Nil is nobody.
	Blame func(from peer.ID, err error)
}

// ErrMalformed: what came does not decode, or breaks a bound that every node keeps. No honest
// peer passes it on.
var ErrMalformed = errors.New("malformed gossip")

// Gate is the way in. Safe from many goroutines.
type Gate struct {
	// Blocks carries the blocks that passed their check.
	Blocks *dispatch.Topic[*types.BlockMsg]

	dispatcher *dispatch.Dispatcher
	messages   *dispatch.Topic[*pending] // on their way to the check, see messages.go
	ready      chan struct{}
	done       chan struct{}

	checks Checks
	dedup  *dispatch.Dedup
	clk    clock.Clock
	log    *slog.Logger
}

// New makes a gate with topics of its own in d; Run lets messages in.
func New(checks Checks, d *dispatch.Dispatcher, clk clock.Clock, log *slog.Logger) *Gate {
	return &Gate{
		Blocks:     dispatch.NewTopic[*types.BlockMsg](blockTopic),
		dispatcher: d,
		messages:   dispatch.NewTopic[*pending](messageTopic),
		ready:      make(chan struct{}), done: make(chan struct{}),
		checks: checks,
		dedup:  dispatch.NewDedup(clk, 0, 0),
		clk:    clk, log: log,
	}
}

// Validators are the gate as gossip wants it.
func (g *Gate) Validators() gossip.Validators {
	return gossip.Validators{Block: g.block, Message: g.message}
}

// block takes a block announcement. The same block in another envelope is ignored once a
// subscriber has taken it.
func (g *Gate) block(ctx context.Context, from peer.ID, data []byte) gossip.Verdict {
	m, err := types.DecodeBlockMsg(data)
	if err != nil {
		return g.malformed(from, blockTopic, err)
	}
	switch h := m.Header; {
	case len(m.BlsMessages)+len(m.SecpkMessages) > maxBlockMessages,
		h.Ticket == nil, h.ElectionProof == nil, h.BlockSig == nil, h.BLSAggregate == nil:
		return g.malformed(from, blockTopic, errors.New("too many messages, or a part is missing"))
	}
	tok, fresh := g.begin(blockTopic, m.Cid())
	if !fresh {
		g.Blocks.Duplicate()
		return gossip.Ignore
	}
	verdict, err := g.checks.Block(ctx, m)
	if verdict != gossip.Accept {
		tok.Abort()
		g.log.Debug("block refused", "peer", from, "block", m.Cid(), "verdict", verdict, "err", err)
		g.blame(from, verdict, err)
		return verdict
	}
	settle(tok, dispatch.Publish(g.Blocks, envelope(g, from, len(data), m)))
	return verdict
}

// malformed refuses what cannot be judged.
func (g *Gate) malformed(from peer.ID, topic string, err error) gossip.Verdict {
	err = fmt.Errorf("%w on %s: %w", ErrMalformed, topic, err)
	g.log.Debug("gossip refused", "peer", from, "err", err)
	g.blame(from, gossip.Reject, err)
	return gossip.Reject
}

func (g *Gate) blame(from peer.ID, v gossip.Verdict, err error) {
	if v == gossip.Reject && g.checks.Blame != nil {
		g.checks.Blame(from, err)
	}
}

// Published notes an own block, so that its echo is not taken for news.
func (g *Gate) Published(block cid.Cid) {
	tok, _ := g.begin(blockTopic, block)
	tok.Commit()
}

func (g *Gate) begin(topic string, c cid.Cid) (dispatch.Token, bool) {
	return g.dedup.Begin(dispatch.DedupKey(topic, c.Bytes()))
}

// settle keeps a message in mind only when somebody took it: one that nobody had room for
// may come again.
func settle(tok dispatch.Token, r dispatch.Result) {
	if r.Delivered > 0 {
		tok.Commit()
	} else {
		tok.Abort()
	}
}

func envelope[T any](g *Gate, from peer.ID, size int, m T) dispatch.Envelope[T] {
	return dispatch.Envelope[T]{From: string(from), At: g.clk.Now(), Size: size, Msg: m}
}
