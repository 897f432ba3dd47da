package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

// MaxMessageSize bounds a gossip message in bytes, envelope included. A block announcement
// with 10,000 messages takes 430 kB.
const MaxMessageSize = 1 << 20

// BlocksTopic is where blocks of a network are announced.
func BlocksTopic(netName string) string { return "/fil/blocks/" + netName }

// MessagesTopic is where messages of a network are announced.
func MessagesTopic(netName string) string { return "/fil/msgs/" + netName }

// Verdict is what a validator thinks of a message.
type Verdict int

// The verdicts. Accept passes the message on; Ignore drops it; Reject drops it and lowers
// the score of the peer that sent it. The zero value is Ignore.
const (
	Ignore Verdict = iota
	Accept
	Reject
)

// String names the verdict.
func (v Verdict) String() string {
	switch v {
	case Accept:
		return "accept"
	case Reject:
		return "reject"
	default:
		return "ignore"
	}
}

// Validator looks at the data of one message. from is the peer that handed it to us, not
// its author. It is called from several goroutines, must honour ctx, and should take less
// than 100 ms. It must not change data.
type Validator func(ctx context.Context, from peer.ID, data []byte) Verdict

// Validators are the receivers of a network's topics.
type Validators struct {
	Block   Validator
	Message Validator
}

// Options vary a Gossip. The zero value is an ordinary node that takes messages at once.
type Options struct {
	// Bootstrap peers get a score that no fault outweighs.
	Bootstrap []peer.ID
	// Bootstrapper makes this node one: it keeps no mesh and tells pruned peers of others.
	Bootstrapper bool
	// Score is the node's own opinion of a peer, added to GossipSub's: 0 is neutral, below
	// −500 the peer gets no gossip, below −2500 nothing from it is read. It must be quick.
	// Nil is neutral.
	Score func(peer.ID) float64
	// Messages is closed when the node is near enough to the head to judge messages; until
	// then the messages topic is not joined. Nil means at once.
	Messages <-chan struct{}
}

// Stats count what came in since the start, by verdict.
type Stats struct {
	Accepted, Ignored, Rejected uint64
}

// ErrNotRunning: nothing can be published before Run is ready or after it has ended.
var ErrNotRunning = errors.New("gossip is not running")

// Gossip is one network's broadcast. Safe from many goroutines.
type Gossip struct {
	host             host.Host
	blocks, messages string // topic names
	validators       Validators
	opt              Options
	log              *slog.Logger
	ready            chan struct{}

	verdicts [3]atomic.Uint64 // by Verdict

	mu     sync.RWMutex
	ps     *pubsub.PubSub           // guarded by mu; nil when not running
	topics map[string]*pubsub.Topic // guarded by mu
}

// New prepares the gossip of a network; Run starts it.
func New(h host.Host, netName string, v Validators, opt Options, log *slog.Logger) *Gossip {
	return &Gossip{
		host: h, blocks: BlocksTopic(netName), messages: MessagesTopic(netName),
		validators: v, opt: opt, log: log, ready: make(chan struct{}),
		topics: make(map[string]*pubsub.Topic, 2),
	}
}

// Ready is closed when Run has attached handlers and validators: the host may listen.
func (g *Gossip) Ready() <-chan struct{} { return g.ready }

// Run broadcasts and receives until the context ends. It can be called once.
func (g *Gossip) Run(ctx context.Context) error {
	// Its own context, so that an early error return stops the router as well.
	routerCtx, stop := context.WithCancel(ctx)
	defer stop()
	ps, err := pubsub.NewGossipSub(routerCtx, g.host, g.options()...)
	if err != nil {
		return fmt.Errorf("start gossipsub: %w", err)
	}
	defer func() {
		for _, p := range pubsub.GossipSubDefaultProtocols {
			g.host.RemoveStreamHandler(p)
		}
	}()
	if err := g.join(ps, g.blocks, g.validators.Block); err != nil {
		return err
	}
	if err := g.join(ps, g.messages, g.validators.Message); err != nil {
		return err
	}
	g.mu.Lock()
	g.ps = ps
	topics := g.topics
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		g.ps = nil
		g.mu.Unlock()
	}()
	if err := follow(topics[g.blocks]); err != nil {
		return stopped(ctx, err)
	}
	close(g.ready)
	if g.opt.Messages != nil {
		select {
		case <-g.opt.Messages:
		case <-ctx.Done():
			return nil
		}
	}
	if err := follow(topics[g.messages]); err != nil {
		return stopped(ctx, err)
	}
	<-ctx.Done()
	return nil
}

// stopped forgives errors that come of the end of the context.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// follow takes part in a topic's mesh. The validator has received the message by the time
// it would reach a subscription, so there is none to read.
func follow(t *pubsub.Topic) error {
	if _, err := t.Relay(); err != nil {
		return fmt.Errorf("follow topic %s: %w", t, err)
	}
	return nil
}

// join opens a topic for publishing and puts its validator in place.
func (g *Gossip) join(ps *pubsub.PubSub, name string, v Validator) error {
	if err := ps.RegisterTopicValidator(name, g.wrap(v)); err != nil {
		return fmt.Errorf("validator of topic %s: %w", name, err)
	}
	t, err := ps.Join(name)
	if err != nil {
		return fmt.Errorf("join topic %s: %w", name, err)
	}
	g.mu.Lock()
	g.topics[name] = t
	g.mu.Unlock()
	return nil
}

// wrap turns a validator into pubsub's form and counts the verdicts.
func (g *Gossip) wrap(v Validator) pubsub.ValidatorEx {
	return func(ctx context.Context, from peer.ID, m *pubsub.Message) pubsub.ValidationResult {
		if from == g.host.ID() {
			return pubsub.ValidationAccept
		}
		verdict := v(ctx, from, m.Data)
		switch verdict {
		case Accept:
			g.verdicts[Accept].Add(1)
			return pubsub.ValidationAccept
		case Reject:
			g.verdicts[Reject].Add(1)
			return pubsub.ValidationReject
		default:
			g.verdicts[Ignore].Add(1)
			return pubsub.ValidationIgnore
		}
	}
}

// PublishBlock announces a block; data is the encoded types.BlockMsg.
func (g *Gossip) PublishBlock(ctx context.Context, data []byte) error {
	return g.publish(ctx, g.blocks, data)
}

// PublishMessage announces a message; data is the encoded types.SignedMessage.
func (g *Gossip) PublishMessage(ctx context.Context, data []byte) error {
	return g.publish(ctx, g.messages, data)
}

func (g *Gossip) publish(ctx context.Context, topic string, data []byte) error {
	g.mu.RLock()
	running, t := g.ps != nil, g.topics[topic]
	g.mu.RUnlock()
	if !running || t == nil {
		return fmt.Errorf("publish on %s: %w", topic, ErrNotRunning)
	}
	if err := t.Publish(ctx, data); err != nil {
		return fmt.Errorf("publish on %s: %w", topic, err)
	}
	return nil
}

// Peers are the connected peers that follow a topic.
func (g *Gossip) Peers(topic string) []peer.ID {
	g.mu.RLock()
	ps := g.ps
	g.mu.RUnlock()
	if ps == nil {
		return nil
	}
	return ps.ListPeers(topic)
}

// Stats are the counters so far.
func (g *Gossip) Stats() Stats {
	return Stats{
		Accepted: g.verdicts[Accept].Load(),
		Ignored:  g.verdicts[Ignore].Load(),
		Rejected: g.verdicts[Reject].Load(),
	}
}
