package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// DefaultDeadline is how long a part may take to stop before it is called late.
const DefaultDeadline = 10 * time.Second

var (
	// ErrAlreadyStarted: Start was called before, whatever became of it.
	ErrAlreadyStarted = errors.New("already started")
	// ErrStopped: the group was stopped before it started, or while it was starting.
	ErrStopped = errors.New("stopped")
	// ErrEnded: a part came to its end although nobody had stopped it.
	ErrEnded = errors.New("ended by itself")
)

// State is where a group is in its life. It moves forward only.
type State int

// The states of a group (spec network.md A.3). Stopped and Failed are final: everything that
// could be released is released.
const (
	New State = iota
	Starting
	Running
	Stopping
	Stopped
	Failed
)

// String names the state.
func (s State) String() string {
	return [...]string{"new", "starting", "running", "stopping", "stopped", "failed"}[s]
}

// LateError says which parts had not stopped when their time was over. Their goroutines may
// still run.
type LateError struct {
	Parts []string
}

// Error implements error.
func (e *LateError) Error() string { return fmt.Sprintf("did not stop in time: %q", e.Parts) }

// part is one member of a group: a goroutine (run), a service (start and stop) or a resource
// taken before the group was made (stop only). Immutable once the group has started.
type part struct {
	name     string
	run      func(ctx context.Context) error
	start    func(ctx context.Context) error
	stop     func(ctx context.Context) error
	owned    bool // held from the beginning, so released even when Start never ran
	deadline time.Duration

	// Set by Start, read by the unwinding that follows it.
	up     bool
	cancel context.CancelFunc // of run
	ended  chan error         // receives run's result once; buffered
}

// Option sets how a part is treated.
type Option func(*part)

// Deadline sets how long the part may take to stop.
func Deadline(d time.Duration) Option { return func(p *part) { p.deadline = d } }

// Group holds parts and moves through the states once. Safe from many goroutines; the Add
// methods belong before Start.
type Group struct {
	name string
	log  *slog.Logger

	mu      sync.Mutex
	state   State
	started bool
	parts   []*part
	names   map[string]bool
	addErr  error
	// abort ends the context of the start that is going on; nil when none is.
	abort context.CancelFunc
	// waiting are the parts that the unwinding has not finished with, in order.
	waiting []string
	cause   error // why the group failed by itself
	err     error // what the unwinding found, set before done is closed
	// working counts the goroutines that run or stop parts.
	working int

	// begun is closed when Start touches the parts no more.
	begun chan struct{}
	// ending is closed when the group must come down.
	ending chan struct{}
	// hurry is closed when a caller of Stop ran out of patience.
	hurry chan struct{}
	// done is closed when the group is fully unwound.
	done chan struct{}
	// gone is closed when besides no goroutine of a part runs any more.
	gone chan struct{}
}

// NewGroup makes an empty group. The name appears in errors and logs.
func NewGroup(name string, log *slog.Logger) *Group {
	return &Group{
		name:   name,
		log:    log,
		names:  make(map[string]bool),
		begun:  make(chan struct{}),
		ending: make(chan struct{}),
		hurry:  make(chan struct{}),
		done:   make(chan struct{}),
		gone:   make(chan struct{}),
	}
}

// Add registers a part that runs in a goroutine of its own. run blocks until its context
// ends or the part fails; if it returns earlier, with or without an error, the group fails.
func (g *Group) Add(name string, run func(ctx context.Context) error, opts ...Option) {
	g.add(&part{name: name, run: run}, opts)
}

// AddService registers a part with its own start and stop; either may be nil. The context of
// start bounds the start alone. A start that fails must have released what it took; its stop
// is then not called.
func (g *Group) AddService(name string, start, stop func(ctx context.Context) error, opts ...Option) {
	g.add(&part{name: name, start: start, stop: stop}, opts)
}

// Own registers something that is open already. It is closed in its turn of the reverse
// order, also when the group never started.
func (g *Group) Own(name string, closeFn func(ctx context.Context) error, opts ...Option) {
	g.add(&part{name: name, stop: closeFn, owned: true, up: true}, opts)
}

func (g *Group) add(p *part, opts []Option) {
	p.deadline = DefaultDeadline
	for _, o := range opts {
		o(p)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.state != New:
		g.addErr = errors.Join(g.addErr, fmt.Errorf("part %s: added when the group was %s", p.name, g.state))
		return
	case g.names[p.name]:
		g.addErr = errors.Join(g.addErr, fmt.Errorf("part %s: added twice", p.name))
	}
	g.names[p.name] = true
	g.parts = append(g.parts, p)
}

// State is the state at this moment.
func (g *Group) State() State {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state
}

// Done is closed when the group is stopped or failed and fully unwound.
func (g *Group) Done() <-chan struct{} { return g.done }

// Gone is closed when the group is down and no goroutine of its parts runs any more, those of
// parts that were late to stop included.
func (g *Group) Gone() <-chan struct{} { return g.gone }

// Err is why the group is down: nil while it is up and after a clean Stop.
func (g *Group) Err() error {
	select {
	case <-g.done:
		return g.err
	default:
		return nil
	}
}

// Parts lists the names in order.
func (g *Group) Parts() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]string, len(g.parts))
	for i, p := range g.parts {
		out[i] = p.name
	}
	return out
}

// Start starts the parts in order and returns when all are up. ctx bounds the start only:
// the parts' own contexts carry its values, not its end. When a part fails or ctx ends, the
// parts already up are stopped in reverse and all errors are returned together.
func (g *Group) Start(ctx context.Context) error {
	g.mu.Lock()
	switch {
	case g.started:
		g.mu.Unlock()
		return fmt.Errorf("%s: %w", g.name, ErrAlreadyStarted)
	case g.state != New:
		g.mu.Unlock()
		return fmt.Errorf("%s: %w", g.name, ErrStopped)
	}
	startCtx, abort := context.WithCancel(ctx)
	defer abort()
	root := context.WithoutCancel(ctx)
	g.started, g.state, g.abort = true, Starting, abort
	addErr := g.addErr
	g.mu.Unlock()

	go g.unwindWhenEnding(root)

	err := addErr
	for i := 0; err == nil && i < len(g.parts); i++ {
		err = g.startPart(startCtx, root, g.parts[i])
	}
	g.mu.Lock()
	if err == nil && g.state == Starting {
		g.state = Running
		close(g.begun)
		g.mu.Unlock()
		return nil
	}
	if g.state == Starting {
		g.cause, err = err, nil
	} else if errors.Is(err, context.Canceled) {
		err = nil // the echo of Stop, or of a part that failed
	}
	g.end()
	close(g.begun)
	g.mu.Unlock()

	<-g.done
	if g.State() == Stopped { // Stop came in between
		err = errors.Join(fmt.Errorf("%s: %w while starting", g.name, ErrStopped), err)
	}
	return errors.Join(g.err, err)
}

func (g *Group) startPart(ctx, root context.Context, p *part) error {
	if p.owned {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: not started: %w", p.name, err)
	}
	switch {
	case p.run != nil:
		runCtx, cancel := context.WithCancel(root)
		p.cancel, p.ended, p.up = cancel, make(chan error, 1), true
		g.work(1)
		go g.runPart(runCtx, p)
	case p.start != nil:
		if err := guard(func() error { return p.start(ctx) }); err != nil {
			return fmt.Errorf("start %s: %w", p.name, err)
		}
		p.up = true
	default:
		p.up = true
	}
	g.log.Debug("part started", "group", g.name, "part", p.name)
	return nil
}

// runPart is the goroutine of a part.
func (g *Group) runPart(ctx context.Context, p *part) {
	err := g.runToEnd(ctx, p)
	g.work(-1)
	p.ended <- err
}

// runToEnd runs a part to its end and takes the group down when nobody asked for that end.
func (g *Group) runToEnd(ctx context.Context, p *part) error {
	err := guard(func() error { return p.run(ctx) })
	if ctx.Err() == nil {
		if err == nil {
			err = ErrEnded
		}
		err = fmt.Errorf("%s: %w", p.name, err)
		g.fail(err)
		return nil // reported as the cause already
	}
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("stop %s: %w", p.name, err)
	}
	return err
}

// work counts a goroutine of a part that begins or ends. None begins once the group is down.
func (g *Group) work(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.working += n
	select {
	case <-g.done:
		if g.working == 0 {
			close(g.gone)
		}
	default:
	}
}

func (g *Group) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state != Starting && g.state != Running {
		g.log.Warn("part failed while stopping", "group", g.name, "err", err)
		return
	}
	if g.cause == nil {
		g.cause = err
		g.log.Error("part failed, stopping the group", "group", g.name, "err", err)
	}
	g.end()
}
