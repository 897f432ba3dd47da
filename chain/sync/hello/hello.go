package hello

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	libp2phost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/peers"
)

// Limits of the greeting (spec chain.md f.2, network.md B.4).
const (
	maxMessageBytes = 16 << 10 // 128 CIDs take 5.5 kB
	streamTimeout   = 10 * time.Second
	defaultBan      = 24 * time.Hour // of a peer of another genesis
	offsetWarning   = 5 * time.Second
	queue           = 256 // greetings that wait for the session layer
	maxHandlers     = 64  // greetings answered at once
)

// ErrGenesis: the peer is of another network.
var ErrGenesis = errors.New("peer has another genesis")

// Chain is what a node says of itself.
type Chain interface {
	// Head and Genesis are never nil.
	Head() *types.TipSet
	Genesis() *types.TipSet
}

// Head is what a peer announces.
type Head struct {
	Peer   peer.ID
	Key    types.TipSetKey
	Height abi.ChainEpoch
	Weight big.Int
}

// Service greets and is greeted. Safe from many goroutines.
type Service struct {
	host      libp2phost.Host
	chain     Chain
	weigh     func(context.Context, *types.TipSet) (big.Int, error)
	onHead    func(Head)
	ban       time.Duration // of a peer of another genesis
	clk       clock.Clock
	log       *slog.Logger
	greetings chan peers.Greeting
	ready     chan struct{}
}

var _ peers.Handshake = (*Service)(nil)

// New prepares the greeting; Run answers it. weigh gives the weight of the node's own head;
// onHead takes each head that a peer of our genesis announces and must not block. ban is how
// long a peer of another genesis is kept out; 0 is a day.
func New(h libp2phost.Host, chain Chain, weigh func(context.Context, *types.TipSet) (big.Int, error),
	onHead func(Head), ban time.Duration, clk clock.Clock, log *slog.Logger,
) *Service {
	if ban <= 0 {
		ban = defaultBan
	}
	return &Service{
		host: h, chain: chain, weigh: weigh, onHead: onHead, ban: ban, clk: clk, log: log,
		greetings: make(chan peers.Greeting, queue),
		ready:     make(chan struct{}),
	}
}

// Protocol implements peers.Handshake.
func (s *Service) Protocol() protocol.ID { return Protocol }

// Greetings implements peers.Handshake.
func (s *Service) Greetings() <-chan peers.Greeting { return s.greetings }

// Ready is closed when Run answers greetings: the host may accept connections.
func (s *Service) Ready() <-chan struct{} { return s.ready }

// Run answers greetings until the context ends. It can be called once.
func (s *Service) Run(ctx context.Context) error {
	stop := host.Serve(s.host, maxHandlers, map[protocol.ID]network.StreamHandler{
		Protocol: func(st network.Stream) { s.answer(ctx, st) },
	})
	close(s.ready)
	<-ctx.Done()
	stop()
	return nil
}

// Greet implements peers.Handshake: it tells a peer of our head and waits for the answer.
func (s *Service) Greet(ctx context.Context, p peer.ID) (peers.Met, error) {
	head := s.chain.Head()
	weight, err := s.weigh(ctx, head)
	if err != nil {
		// Not the peer's fault, and receivers make little of the weight.
		s.log.Warn("weigh our head for a greeting", "tipset", head, "err", err)
		weight = head.ParentWeight()
	}
	msg := Message{
		HeaviestTipSet: head.Cids(), HeaviestTipSetHeight: head.Height(),
		HeaviestTipSetWeight: weight, GenesisHash: s.chain.Genesis().Cids()[0],
	}
	var buf bytes.Buffer
	if err := msg.MarshalCBOR(&buf); err != nil {
		return peers.Met{}, fmt.Errorf("encode our greeting: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, streamTimeout)
	defer cancel()
	st, err := s.host.NewStream(network.WithNoDial(ctx, "a greeting needs a connection"), p, Protocol)
	if err != nil {
		return peers.Met{}, fmt.Errorf("greet %s: %w", p, err)
	}
	defer host.Bound(ctx, st)()
	in := host.NewSource(st, maxMessageBytes)
	t0 := s.clk.Now()
	var answer Answer
	err = func() error {
		if _, err := st.Write(buf.Bytes()); err != nil {
			return err
		}
		_ = st.CloseWrite() // fails when the peer is done with the stream; the answer tells how
		return answer.UnmarshalCBOR(in)
	}()
	t3 := s.clk.Now()
	if err != nil {
		_ = st.Reset()
		err = fmt.Errorf("greet %s: %w", p, err)
		if in.Nonsense() {
			err = malformed(err)
		}
		return peers.Met{}, err
	}
	_ = st.Close()
	off := offset(t0, t3, answer)
	if off.Abs() > offsetWarning {
		s.log.Warn("a peer's clock differs from ours; check the time service of both machines", "peer", p, "offset", off)
	}
	return peers.Met{Latency: t3.Sub(t0), Offset: off}, nil
}

// offset estimates how far the peer's clock is behind ours. The sums of its times are done
// in floating point: they may be anything.
func offset(t0, t3 time.Time, a Answer) time.Duration {
	ns := (float64(t0.UnixNano()) - float64(a.TArrival) + float64(t3.UnixNano()) - float64(a.TSent)) / 2
	const most = float64(100 * 365 * 24 * time.Hour)
	return time.Duration(max(-most, min(most, ns)))
}

// answer serves one greeting.
func (s *Service) answer(ctx context.Context, st network.Stream) {
	arrival := s.clk.Now()
	p := st.Conn().RemotePeer()
	streamCtx, cancel := context.WithTimeout(ctx, streamTimeout)
	defer cancel()
	defer host.Bound(streamCtx, st)()
	head, err := s.read(p, st)
	if err == nil {
		reply := Answer{TArrival: arrival.UnixNano(), TSent: s.clk.Now().UnixNano()}
		err = reply.MarshalCBOR(st)
	}
	if err != nil {
		_ = st.Reset()
		if ctx.Err() != nil {
			return // we are stopping
		}
		var bad *peers.DropError
		if !errors.As(err, &bad) {
			bad = &peers.DropError{Reason: peers.ReasonHello, Err: err}
		}
		s.log.Debug("greeting refused", "peer", p, "err", bad)
		s.tell(ctx, peers.Greeting{Peer: p, Err: bad})
		return
	}
	_ = st.Close()
	s.tell(ctx, peers.Greeting{Peer: p})
	if head.Height > 0 {
		s.onHead(head)
	}
}

// tell hands a greeting to the session layer, which reads them at once.
func (s *Service) tell(ctx context.Context, g peers.Greeting) {
	select {
	case s.greetings <- g:
	case <-ctx.Done():
	}
}

// read takes and checks a greeting.
func (s *Service) read(p peer.ID, r io.Reader) (Head, error) {
	in := host.NewSource(r, maxMessageBytes)
	var m Message
	if err := m.UnmarshalCBOR(in); err != nil {
		err = fmt.Errorf("read greeting: %w", err)
		if in.Nonsense() {
			err = malformed(err)
		}
		return Head{}, err
	}
	head, err := s.check(p, &m)
	if err != nil && !errors.Is(err, ErrGenesis) {
		err = malformed(err)
	}
	return head, err
}

// malformed charges the peer for a greeting, or an answer, that no honest node sends.
func malformed(err error) error {
	return &peers.DropError{Reason: peers.ReasonHello, Malformed: true, Err: err}
}

// check turns a greeting into a head; the genesis decides who is a peer.
func (s *Service) check(p peer.ID, m *Message) (Head, error) {
	if ours := s.chain.Genesis().Cids()[0]; m.GenesisHash != ours {
		return Head{}, &peers.DropError{
			Reason: peers.ReasonGenesis, Ban: s.ban,
			Err: fmt.Errorf("%w: %s, ours is %s", ErrGenesis, m.GenesisHash, ours),
		}
	}
	key, err := types.TipSetKeyFromBytes(types.NewTipSetKey(m.HeaviestTipSet...).Bytes())
	switch {
	case err != nil:
		return Head{}, fmt.Errorf("greeting: %w", err)
	case key.IsEmpty() || m.HeaviestTipSetHeight < 0 || m.HeaviestTipSetWeight.Int == nil || m.HeaviestTipSetWeight.Sign() < 0:
		return Head{}, errors.New("greeting: no head, or a negative height or weight")
	}
	return Head{Peer: p, Key: key, Height: m.HeaviestTipSetHeight, Weight: m.HeaviestTipSetWeight}, nil
}
