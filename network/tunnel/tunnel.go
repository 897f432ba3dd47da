package tunnel

import (
	"context"
	"database/sql"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/lodenet/lode/clock"
)

// DefaultLinger is how long a half-closed stream may be silent.
const DefaultLinger = 60 * time.Second

// Tag and weight under which the connection manager keeps peers with open streams.
const (
	tag       = "tunnel"
	tagWeight = 20
)

// Options vary Tunnels. Zero values take the defaults of spec network.md T-04.
type Options struct {
	Limits
	DialTimeout time.Duration // to reach a target; default 10 s
	OpenTimeout time.Duration // to open a stream to a peer; default 30 s
	// Linger is how long a stream may be silent after one direction has ended; default 60 s,
	// negative for ever.
	Linger time.Duration
	// Idle is how long a stream may be silent at any time; zero for ever.
	Idle time.Duration
	// Offers and Forwards come from the settings: they are there at every start.
	Offers   []Offer
	Forwards []Forward
	// Dial reaches targets and Bind opens local ports; nil is the machine's TCP and UDP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Bind func(ctx context.Context, network, address string) (net.Listener, error)
}

func (o *Options) defaults() {
	o.Limits.defaults()
	if o.DialTimeout <= 0 {
		o.DialTimeout = 10 * time.Second
	}
	if o.OpenTimeout <= 0 {
		o.OpenTimeout = 30 * time.Second
	}
	if o.Linger == 0 {
		o.Linger = DefaultLinger
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	if o.Bind == nil {
		o.Bind = (&net.ListenConfig{}).Listen
	}
}

// Tunnels are the tunnels of a node. Methods are safe from many goroutines; before Run they
// wait for it, after it they return ErrStopped.
type Tunnels struct {
	host host.Host
	db   *sql.DB // nil: nothing survives
	opt  Options
	clk  clock.Clock
	log  *slog.Logger

	calls chan func(*registry) // to the owner
	turn  chan struct{}        // a token: one change of the listeners at a time
	ready chan struct{}
	done  chan struct{}
	// served are the names of the offers, for the host to ask at each stream.
	served atomic.Pointer[map[protocol.ID]struct{}]

	// Set by Run before anything else runs.
	root context.Context // of all links; each is cancelled by itself
	work sync.WaitGroup  // everything that the owner started
}

// New prepares the tunnels over a host and a database that Migrate has seen, or nil when
// nothing shall survive. Run starts them.
func New(h host.Host, db *sql.DB, opt Options, clk clock.Clock, log *slog.Logger) *Tunnels {
	opt.defaults()
	t := &Tunnels{
		host: h, db: db, opt: opt, clk: clk, log: log,
		calls: make(chan func(*registry)), turn: make(chan struct{}, 1),
		ready: make(chan struct{}), done: make(chan struct{}),
	}
	t.served.Store(&map[protocol.ID]struct{}{})
	t.turn <- struct{}{}
	return t
}

// Ready is closed when offers answer and ports listen, those of an earlier run included.
func (t *Tunnels) Ready() <-chan struct{} { return t.ready }

// Run keeps the tunnels until the context ends, then breaks all streams and waits for them.
// It can be called once.
func (t *Tunnels) Run(ctx context.Context) error {
	defer close(t.done)
	t.root = context.WithoutCancel(ctx)
	r := newRegistry(t.opt.Limits, t.tagPeer)
	err := t.restore(ctx, r)
	if err == nil {
		t.host.SetStreamHandlerMatch(Prefix, t.serves, t.inbound)
		t.work.Go(func() { t.revive(ctx) })
		t.followConns(ctx)
		close(t.ready)
		t.own(ctx, r)
		t.host.RemoveStreamHandler(Prefix)
	}
	t.wind(r)
	return err
}

// own lets the callers work on the registry, one at a time.
func (t *Tunnels) own(ctx context.Context, r *registry) {
	for {
		select {
		case f := <-t.calls:
			f(r)
		case <-ctx.Done():
			return
		}
	}
}

// wind closes everything and goes on answering until all that was started has ended.
func (t *Tunnels) wind(r *registry) {
	r.closing = true
	offers, forwards := t.matching(r, Match{All: true})
	t.removed(r, offers, forwards, false)
	for _, l := range r.streams {
		l.cancel(endError{ReasonStopped})
	}
	idle := make(chan struct{})
	go func() { t.work.Wait(); close(idle) }()
	for {
		select {
		case f := <-t.calls:
			f(r)
		case <-idle:
			return
		}
	}
}

// removed takes listeners off the books and closes their ports; it belongs to the owner.
func (t *Tunnels) removed(r *registry, offers []*offer, forwards []*forward, drop bool) {
	r.remove(offers, forwards, drop)
	t.publish(r)
	for _, f := range forwards {
		if f.port != nil {
			_ = f.port.Close() // it is closed either way
		}
	}
}

// publish makes the host serve the offers of the registry, and nothing else.
func (t *Tunnels) publish(r *registry) {
	names := make(map[protocol.ID]struct{}, len(r.offers))
	for name := range r.offers {
		names[name] = struct{}{}
	}
	t.served.Store(&names)
}

// serves tells the host whether a name is offered.
func (t *Tunnels) serves(name protocol.ID) bool {
	_, ok := (*t.served.Load())[name]
	return ok
}

func (t *Tunnels) tagPeer(p peer.ID, on bool) {
	if on {
		t.host.ConnManager().TagPeer(p, tag, tagWeight)
	} else {
		t.host.ConnManager().UntagPeer(p, tag)
	}
}

// do has the owner run f and waits for it.
func (t *Tunnels) do(ctx context.Context, f func(*registry)) error {
	ran := make(chan struct{})
	select {
	case t.calls <- func(r *registry) { f(r); close(ran) }:
		<-ran
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-t.done:
		return ErrStopped
	}
}

// try is do for what can fail.
func (t *Tunnels) try(ctx context.Context, f func(*registry) error) error {
	var err error
	if e := t.do(ctx, func(r *registry) { err = f(r) }); e != nil {
		return e
	}
	return err
}

// ask is do for the goroutines that the owner waits for: it always gets through, unless Run
// has ended.
func (t *Tunnels) ask(f func(*registry)) {
	ran := make(chan struct{})
	select {
	case t.calls <- func(r *registry) { f(r); close(ran) }:
		<-ran
	case <-t.done:
	}
}

// change makes changes to the listeners one at a time, since they write to the disk and open
// ports, which the owner must not wait for.
func (t *Tunnels) change(ctx context.Context, f func() error) error {
	select {
	case <-t.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { t.turn <- struct{}{} }()
	return f()
}
