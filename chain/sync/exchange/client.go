package exchange

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	libp2phost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/dispatch"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/peers"
)

// Limits of the asking side (spec chain.md f.3, network.md P-10, I).
const (
	// MessageBatch is how many tipsets one request for messages asks for.
	MessageBatch = 8
	// HeaderBatch is how many tipsets one request for headers asks for.
	HeaderBatch = 500

	maxResponseBytes = 120 << 20
	headerBytes      = 512 << 10 // a tipset's headers at the very most
	messageBytes     = 15 << 20  // a tipset's messages at the very most
	openTimeout      = 10 * time.Second
	firstByteTimeout = 20 * time.Second
	defaultRate      = 32 << 10 // bytes per second, over rateWindow
	leastRate        = 512      // that it is lowered to when nobody is quicker
	rateWindow       = 10 * time.Second
	maxAttempts      = 5
	usefulAnswer     = 0.2 // points of a peer's score
	readBuffer       = 64 << 10
	maxPeerQuestions = 4 // what a peer of ours answers at once
	maxQuestions     = 32
)

// ErrNoPeers: nobody is there to ask. Wait for peers and ask again.
var ErrNoPeers = errors.New("no peer to ask for the chain")

// ErrUnavailable: every peer that was asked failed. Ask again later.
var ErrUnavailable = errors.New("no peer could give the chain")

// Session is what the client needs of the session layer.
type Session interface {
	ReadyPeers() []peer.ID
	Report(p peer.ID, f peers.Fault, err error)
	Useful(p peer.ID, points float64)
}

// ClientOptions vary a Client.
type ClientOptions struct {
	// MinRate is how many bytes per second an answer must bring, over 10 s; default 32 KiB. It
	// is lowered for as long as no peer is quick enough: then our line is slow, not they.
	MinRate int
	// Answers is where answers meet their questions; NewDesk makes one. It is needed.
	Answers *Desk
}

// Desk bounds the questions that are open and counts the answers.
type Desk = dispatch.Desk[*Response]

// NewDesk makes the desk of a client.
func NewDesk(d *dispatch.Dispatcher) (*Desk, error) {
	return dispatch.NewDesk[*Response](d, "chain answers", dispatch.DeskOptions{PerPeer: maxPeerQuestions, Total: maxQuestions})
}

// Client asks peers. Safe from many goroutines.
type Client struct {
	host    libp2phost.Host
	session Session
	rate    int          // of the options
	floor   atomic.Int64 // what counts now: the rate, or less
	answers *Desk
	clk     clock.Clock
	log     *slog.Logger
	tracker tracker
}

// NewClient makes a client; it starts nothing.
func NewClient(h libp2phost.Host, session Session, opt ClientOptions, clk clock.Clock, log *slog.Logger) *Client {
	if opt.MinRate <= 0 {
		opt.MinRate = defaultRate
	}
	c := &Client{host: h, session: session, rate: opt.MinRate, answers: opt.Answers, clk: clk, log: log}
	c.floor.Store(int64(opt.MinRate))
	return c
}

// Headers fetches up to n tipsets from a key on toward the genesis, newest first; there may
// be fewer, but at least one. The preferred peers are asked first.
func (c *Client) Headers(ctx context.Context, from types.TipSetKey, n int, prefer ...peer.ID) ([]*types.TipSet, error) {
	req := &Request{Head: from.Cids(), Length: uint64(min(max(n, 1), MaxLength)), Options: Headers}
	var out []*types.TipSet
	err := c.ask(ctx, req, prefer, func(r *Response) (err error) {
		out, err = r.headers(req)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("headers from %s: %w", from, err)
	}
	return out, nil
}

// Messages fetches the messages of a chain of known tipsets, newest first and each the
// parent of the one before, at most MessageBatch of them. There may be fewer, but at least
// the first.
func (c *Client) Messages(ctx context.Context, chain []*types.TipSet, prefer ...peer.ID) ([]*types.FullTipSet, error) {
	if len(chain) == 0 {
		return nil, nil
	}
	chain = chain[:min(len(chain), MessageBatch)]
	req := &Request{Head: chain[0].Cids(), Length: uint64(len(chain)), Options: Messages}
	var out []*types.FullTipSet
	err := c.ask(ctx, req, prefer, func(r *Response) error {
		out = make([]*types.FullTipSet, 0, len(r.Chain))
		for i, t := range r.Chain {
			full, err := fill(ctx, chain[i], t.Messages)
			if err != nil {
				return fmt.Errorf("tipset %s: %w", chain[i], err)
			}
			out = append(out, full)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("messages from %s: %w", chain[0], err)
	}
	return out, nil
}

// Full fetches one tipset with its messages.
func (c *Client) Full(ctx context.Context, key types.TipSetKey, prefer ...peer.ID) (*types.FullTipSet, error) {
	req := &Request{Head: key.Cids(), Length: 1, Options: Headers | Messages}
	var out *types.FullTipSet
	err := c.ask(ctx, req, prefer, func(r *Response) error {
		chain, err := r.headers(req)
		if err != nil {
			return err
		}
		out, err = fill(ctx, chain[0], r.Chain[0].Messages)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("tipset %s: %w", key, err)
	}
	return out, nil
}

// ask puts a request to one peer after the other until an answer passes.
func (c *Client) ask(ctx context.Context, req *Request, prefer []peer.ID, take func(*Response) error) error {
	if len(req.Head) == 0 {
		return fmt.Errorf("%w: empty tipset key", ErrMalformed)
	}
	order := c.tracker.sorted(c.session.ReadyPeers(), prefer)
	var errs []error
	slow := false
	for i, p := range order {
		if i == maxAttempts {
			break
		}
		start := c.clk.Now()
		resp, err := c.request(ctx, p, req)
		if err == nil {
			if err = resp.check(req); err == nil {
				err = take(resp)
			}
		}
		if err == nil {
			c.tracker.done(p, start, c.clk.Now().Sub(start), true)
			c.session.Useful(p, usefulAnswer)
			c.floor.Store(min(int64(c.rate), 2*c.floor.Load()))
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err() // ours to give up, not the peer's fault
		}
		c.tracker.done(p, start, c.clk.Now().Sub(start), errors.Is(err, ErrUnknown))
		c.blame(p, err, i < len(prefer))
		slow = slow || errors.Is(err, errSlow)
		errs = append(errs, fmt.Errorf("peer %s: %w", p, err))
	}
	if len(errs) == 0 {
		return ErrNoPeers
	}
	if slow {
		c.floor.Store(max(min(leastRate, int64(c.rate)), c.floor.Load()/4))
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, errors.Join(errs...))
}

// blame tells the session layer what a peer did; promised says that it had announced what
// it was asked for.
func (c *Client) blame(p peer.ID, err error, promised bool) {
	switch {
	case errors.Is(err, ErrForged):
		c.session.Report(p, peers.Forged, err)
	case errors.Is(err, ErrMalformed):
		c.session.Report(p, peers.Malformed, err)
	case errors.Is(err, ErrUnknown):
		if promised {
			c.session.Report(p, peers.Missing, err)
		}
	case errors.Is(err, ErrRefused), errors.Is(err, errOpen):
	default:
		c.session.Report(p, peers.Slow, err)
	}
}

// errOpen: there was no stream, so the peer may simply have gone.
var errOpen = errors.New("open stream")

// errSlow: the answer came too slowly.
var errSlow = errors.New("answer is too slow")

// request puts a question to one peer and takes its answer, once there is a credit for it.
func (c *Client) request(ctx context.Context, p peer.ID, req *Request) (*Response, error) {
	q, err := c.answers.Ask(ctx, string(p))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errOpen, err)
	}
	defer q.Close()
	resp, n, err := c.stream(ctx, p, req)
	if err != nil {
		return nil, err
	}
	if !c.answers.Complete(q.ID(), dispatch.Envelope[*Response]{From: string(p), At: c.clk.Now(), Size: n, Msg: resp}) {
		return nil, fmt.Errorf("%w: %w", errOpen, dispatch.ErrClosed) // the node stops
	}
	e := <-q.Answer() // it is there
	return e.Msg, nil
}

// stream runs one stream with one peer: the question, and the answer with its size.
func (c *Client) stream(ctx context.Context, p peer.ID, req *Request) (_ *Response, size int, _ error) {
	var buf bytes.Buffer
	if err := req.MarshalCBOR(&buf); err != nil {
		return nil, 0, fmt.Errorf("encode request: %w", err)
	}
	openCtx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	st, err := c.host.NewStream(network.WithNoDial(openCtx, "the chain is asked of connected peers"), p, Protocol)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errOpen, err)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer host.Bound(ctx, st)()
	in := &meter{r: io.LimitReader(st, responseLimit(req))}
	watch := time.AfterFunc(firstByteTimeout, func() { stop(errSlow) })
	defer watch.Stop()
	in.first = func() { watch.Stop() }
	done := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		in.watch(done, c.floor.Load(), func() { stop(errSlow) })
	}()
	defer func() { close(done); <-watched }()
	var resp Response
	err = func() error {
		if _, err := st.Write(buf.Bytes()); err != nil {
			in.err = err // nothing was read that could be malformed
			return err
		}
		_ = st.CloseWrite() // fails when the peer is done with the stream; the answer tells how
		return resp.UnmarshalCBOR(bufio.NewReaderSize(in, readBuffer))
	}()
	if err != nil {
		_ = st.Reset()
		if cause := context.Cause(ctx); cause != nil {
			return nil, 0, cause
		}
		if in.err == nil { // the bytes came and make no sense
			return nil, 0, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		return nil, 0, fmt.Errorf("read answer: %w", in.err)
	}
	_ = st.Close()
	return &resp, int(in.n.Load()), nil
}

// responseLimit bounds an answer by what was asked for.
func responseLimit(req *Request) int64 {
	per := int64(0)
	if req.Options&Headers != 0 {
		per += headerBytes
	}
	if req.Options&Messages != 0 {
		per += messageBytes
	}
	return min(maxResponseBytes, int64(req.Length)*per)
}

// meter counts what is read and keeps the error of the stream apart from that of the
// decoder.
type meter struct {
	r     io.Reader
	first func() // at the first byte
	n     atomic.Int64
	err   error // of the stream; the reading goroutine's
}

// Read implements io.Reader.
func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if n > 0 && m.n.Add(int64(n)) == int64(n) {
		m.first()
	}
	if err != nil && err != io.EOF { // alone: a stream whose connection broke may wrap one
		m.err = err
	}
	return n, err
}

// watch calls slow when, after the first byte, too little came in a window.
func (m *meter) watch(done <-chan struct{}, rate int64, slow func()) {
	t := time.NewTicker(rateWindow)
	defer t.Stop()
	var last int64
	for {
		select {
		case <-done:
			return
		case <-t.C:
		}
		now := m.n.Load()
		if last > 0 && now-last < rate*int64(rateWindow/time.Second) {
			slow()
			return
		}
		last = now
	}
}
