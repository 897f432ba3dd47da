package exchange

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	libp2phost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/network/dispatch"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/peers"
	cbg "github.com/whyrusleeping/cbor-gen"
)

// Limits of the serving side (spec chain.md f.3, network.md I).
const (
	maxRequestBytes = 16 << 10
	readTimeout     = 10 * time.Second
	writeTimeout    = 60 * time.Second
	maxAnswers      = 16 // at once, for all peers
	maxPeerAnswers  = 4  // at once, for one peer
	answerBudget    = 24 << 20
)

// Chain is what the server reads. Both methods must be safe from many goroutines.
type Chain interface {
	TipSet(ctx context.Context, key types.TipSetKey) (*types.TipSet, error)
	BlockMessages(ctx context.Context, h *types.BlockHeader) ([]*types.Message, []*types.SignedMessage, error)
}

// Server answers the requests of peers. A request goes through the dispatcher to one of the
// workers, so that a request which nobody has room for is refused, and counted there.
type Server struct {
	host       libp2phost.Host
	chain      Chain
	dispatcher *dispatch.Dispatcher
	requests   *dispatch.Topic[*asked]
	budget     int // bytes of one answer; its first tipset comes in any case
	report     func(p peer.ID, f peers.Fault, err error)
	log        *slog.Logger
	ready      chan struct{}

	mu      sync.Mutex
	stopped bool            // guarded by mu: after Run
	busy    map[peer.ID]int // guarded by mu: answers under way
	total   int             // guarded by mu
	wg      sync.WaitGroup  // Add under mu and before stopped
}

// asked is a request on its way to a worker.
type asked struct {
	ctx   context.Context // of the stream; a request that is in a queue has no other home
	req   *Request
	reply chan answer // has room for the one answer
}

// NewServer prepares a server; Run starts it. report takes the blame of peers that ask in a
// way that makes no sense, as peers.Manager does.
func NewServer(h libp2phost.Host, chain Chain, d *dispatch.Dispatcher, report func(peer.ID, peers.Fault, error), log *slog.Logger) *Server {
	return &Server{
		report: report, host: h, chain: chain, dispatcher: d, requests: dispatch.NewTopic[*asked]("chain requests"), budget: answerBudget, log: log,
		ready: make(chan struct{}), busy: make(map[peer.ID]int),
	}
}

// Ready is closed when Run answers: the host may accept connections.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Run answers until the context ends, then waits for the answers under way. It can be
// called once.
func (s *Server) Run(ctx context.Context) error {
	sub, err := dispatch.Subscribe(s.dispatcher, s.requests, dispatch.SubOptions[*asked]{
		Queue: maxAnswers, MaxBytes: maxAnswers * maxRequestBytes,
	})
	if err != nil {
		return fmt.Errorf("chain exchange: %w", err)
	}
	var workers sync.WaitGroup
	defer workers.Wait()
	defer sub.Close()
	for range maxAnswers {
		workers.Go(func() {
			for e := range sub.C() {
				e.Msg.reply <- s.answer(e.Msg.ctx, e.Msg.req)
			}
		})
	}
	s.host.SetStreamHandler(Protocol, func(st network.Stream) { s.handle(ctx, st) })
	close(s.ready)
	<-ctx.Done()
	s.host.RemoveStreamHandler(Protocol)
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}

// enter takes a place among the answers under way.
func (s *Server) enter(p peer.ID) (open, free bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false, false
	}
	s.wg.Add(1)
	if s.total >= maxAnswers || s.busy[p] >= maxPeerAnswers {
		return true, false
	}
	s.total++
	s.busy[p]++
	return true, true
}

func (s *Server) leave(p peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.busy[p]--; s.busy[p] == 0 {
		delete(s.busy, p)
	}
}

func (s *Server) handle(ctx context.Context, st network.Stream) {
	p := st.Conn().RemotePeer()
	open, free := s.enter(p)
	if !open {
		_ = st.Reset()
		return
	}
	defer s.wg.Done()
	if free {
		defer s.leave(p)
	}
	err := s.serve(ctx, st, free)
	if err != nil {
		_ = st.Reset()
		s.log.Debug("chain exchange", "peer", p, "err", err)
		return
	}
	_ = st.Close()
}

func (s *Server) serve(ctx context.Context, st network.Stream, free bool) error {
	readCtx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	release := host.Bound(readCtx, st)
	in := host.NewSource(st, maxRequestBytes)
	var req Request
	if err := req.UnmarshalCBOR(in); err != nil {
		release()
		err = fmt.Errorf("read request: %w", err)
		if in.Nonsense() {
			s.report(st.Conn().RemotePeer(), peers.Malformed, err)
		}
		return err
	}
	if !release() {
		return readCtx.Err()
	}
	ctx, cancel = context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	defer host.Bound(ctx, st)()
	a := answer{status: GoAway, text: "too many requests at once"}
	if !free {
		s.requests.Refused()
	} else {
		q := &asked{ctx: ctx, req: &req, reply: make(chan answer, 1)}
		r := dispatch.Publish(s.requests, dispatch.Envelope[*asked]{
			From: string(st.Conn().RemotePeer()), Size: requestSize(&req), Msg: q,
		})
		if r.Delivered > 0 {
			select {
			case a = <-q.reply:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return a.write(st)
}

// requestSize is about what a request holds in memory.
func requestSize(r *Request) int {
	n := 64
	for _, c := range r.Head {
		n += c.ByteLen()
	}
	return n
}

// answer is a response whose tipsets are encoded already.
type answer struct {
	status Status
	text   string
	n      uint64
	chain  bytes.Buffer // n encoded tipsets
}

// write sends what Response.MarshalCBOR would.
func (a *answer) write(w io.Writer) error {
	var head bytes.Buffer
	cw := cbg.NewCborWriter(&head)
	for _, step := range []error{
		cw.WriteMajorTypeHeader(cbg.MajArray, 3),
		cw.WriteMajorTypeHeader(cbg.MajUnsignedInt, uint64(a.status)),
		cw.WriteMajorTypeHeader(cbg.MajTextString, uint64(len(a.text))),
	} {
		if step != nil {
			return step
		}
	}
	head.WriteString(a.text)
	if err := cw.WriteMajorTypeHeader(cbg.MajArray, a.n); err != nil {
		return err
	}
	if _, err := w.Write(head.Bytes()); err != nil {
		return err
	}
	_, err := w.Write(a.chain.Bytes())
	return err
}

// answer collects the tipsets of a request, as many as the budget allows.
func (s *Server) answer(ctx context.Context, req *Request) answer {
	if why := req.refuse(); why != "" {
		return answer{status: BadRequest, text: why}
	}
	key, err := types.TipSetKeyFromBytes(types.NewTipSetKey(req.Head...).Bytes())
	if err != nil {
		return answer{status: BadRequest, text: "head is not a tipset key"}
	}
	ts, err := s.chain.TipSet(ctx, key)
	if err != nil {
		return answer{status: NotFound, text: "tipset not found"}
	}
	a := answer{status: OK}
	for {
		if err := s.add(ctx, &a.chain, ts, req.Options); err != nil {
			// A header may be here before its messages are.
			missing := ipld.IsNotFound(err)
			if !missing {
				s.log.Warn("chain exchange: read tipset", "tipset", ts, "err", err)
			}
			switch {
			case a.n > 0:
				a.status = Partial
				return a
			case missing:
				return answer{status: NotFound, text: "messages not found"}
			}
			return answer{status: InternalError, text: "cannot read the tipset"}
		}
		if a.n++; a.n == req.Length {
			return a
		}
		if a.chain.Len() >= s.budget || ts.Height() == 0 {
			break
		}
		if ts, err = s.chain.TipSet(ctx, ts.Parents()); err != nil {
			break // the chain before is not here, for example after a snapshot
		}
	}
	a.status = Partial
	return a
}

// refuse says why a request makes no sense, or nothing.
func (r *Request) refuse() string {
	switch {
	case r.Options&(Headers|Messages) == 0:
		return "no option set"
	case r.Length == 0 || r.Length > MaxLength:
		return fmt.Sprintf("length must be 1 to %d", MaxLength)
	case len(r.Head) == 0:
		return "no head"
	}
	return ""
}

// add encodes one tipset; on an error nothing is left behind.
func (s *Server) add(ctx context.Context, buf *bytes.Buffer, ts *types.TipSet, options uint64) error {
	var out TipSet
	if options&Headers != 0 {
		out.Blocks = ts.Blocks()
	}
	if options&Messages != 0 {
		m, err := s.compact(ctx, ts)
		if err != nil {
			return err
		}
		out.Messages = m
	}
	before := buf.Len()
	if err := out.MarshalCBOR(buf); err != nil {
		buf.Truncate(before)
		return err
	}
	return nil
}

// compact lists each message of a tipset once.
func (s *Server) compact(ctx context.Context, ts *types.TipSet) (*CompactedMessages, error) {
	var m CompactedMessages
	blsAt, secpAt := make(map[cid.Cid]uint64), make(map[cid.Cid]uint64)
	for _, h := range ts.Blocks() {
		bls, secp, err := s.chain.BlockMessages(ctx, h)
		if err != nil {
			return nil, fmt.Errorf("messages of block %s: %w", h.Cid(), err)
		}
		m.BlsIncludes = append(m.BlsIncludes, index(&m.Bls.List, blsAt, bls))
		m.SecpkIncludes = append(m.SecpkIncludes, index(&m.Secpk.List, secpAt, secp))
	}
	return &m, nil
}

// index adds the messages that are new to the list and tells where all of them are.
func index[M interface{ Cid() cid.Cid }](list *[]M, at map[cid.Cid]uint64, msgs []M) Indices {
	var in Indices
	for _, m := range msgs {
		c := m.Cid()
		i, ok := at[c]
		if !ok {
			i = uint64(len(*list))
			at[c] = i
			*list = append(*list, m)
		}
		in.List = append(in.List, i)
	}
	return in
}
