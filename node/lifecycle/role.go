package lifecycle

import (
	"context"
	"errors"
	"fmt"
)

var (
	// ErrEnabled: the role is on already.
	ErrEnabled = errors.New("already on")
	// ErrClosed: the node is stopping; the role stays off.
	ErrClosed = errors.New("node is stopping")
	// ErrLinger: parts of the role that were told to stop have not ended. Try again later.
	ErrLinger = errors.New("its parts have not ended since it was last switched off; try again in a moment")
)

// Role is a set of parts that can be switched on and off again while the node runs (spec
// network.md L-13). Each time it is switched on a new group is built, once every part of the
// one before has ended. Switching is done one at a time; safe from many goroutines.
type Role struct {
	name  string
	build func(ctx context.Context) (*Group, error)

	// changed holds a token when Keep must look again.
	changed chan struct{}

	// turn holds one token; who has it owns the fields below.
	turn   chan struct{}
	group  *Group
	before *Group // the last one that was stopped or went down; nil when there was none
	wanted bool   // it was switched on, and not off since
	last   error  // why the role went down by itself
	closed bool
}

// NewRole makes a role that is off. build makes a fresh group and starts nothing.
func NewRole(name string, build func(ctx context.Context) (*Group, error)) *Role {
	r := &Role{name: name, build: build, changed: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
	r.turn <- struct{}{}
	return r
}

func (r *Role) take(ctx context.Context) error {
	select {
	case <-r.turn:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", r.name, ctx.Err())
	}
}

func (r *Role) give() { r.turn <- struct{}{} }

// Enable builds and starts the parts. A role that is on gives ErrEnabled; one that went down
// by itself can be enabled again.
func (r *Role) Enable(ctx context.Context) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.give()
	if r.closed {
		return fmt.Errorf("%s: %w", r.name, ErrClosed)
	}
	if r.on() {
		return fmt.Errorf("%s: %w", r.name, ErrEnabled)
	}
	return r.enable(ctx)
}

// enable needs the turn. A role that cannot start is off, and not wanted: whoever asked for
// it hears why.
func (r *Role) enable(ctx context.Context) error {
	if r.before != nil {
		// A part is not made to be run twice at a time.
		select {
		case <-r.before.Gone():
		default:
			return fmt.Errorf("%s: %w", r.name, ErrLinger)
		}
	}
	g, err := r.build(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	if err := g.Start(ctx); err != nil {
		r.before = g
		return err
	}
	r.group, r.last, r.wanted = g, nil, true
	r.poke()
	return nil
}

// poke makes Keep look again.
func (r *Role) poke() {
	select {
	case r.changed <- struct{}{}:
	default: // it is going to look anyway
	}
}

// Disable stops the parts and waits for them, as long as ctx allows. Disabling a role that is
// off does nothing.
func (r *Role) Disable(ctx context.Context) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.give()
	r.wanted = false
	if !r.on() {
		return nil
	}
	return r.disable(ctx)
}

// disable needs the turn and a role that is on.
func (r *Role) disable(ctx context.Context) error {
	g := r.group
	r.group, r.before = nil, g
	return g.Stop(ctx)
}

// Close disables the role for good: the stop of a node's group.
func (r *Role) Close(ctx context.Context) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.give()
	r.closed, r.wanted = true, false
	if r.on() {
		return r.disable(ctx)
	}
	if r.before == nil {
		return nil
	}
	// What the role's parts use is closed after this.
	select {
	case <-r.before.Gone():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w: %w", r.name, ErrLinger, ctx.Err())
	}
}

// Status tells whether the role is on, and if it went down by itself, why.
func (r *Role) Status(ctx context.Context) (on bool, why error) {
	if err := r.take(ctx); err != nil {
		return false, err
	}
	defer r.give()
	return r.on(), r.last
}

// on also notices a group that came down by itself; the caller has the turn.
func (r *Role) on() bool {
	if r.group == nil {
		return false
	}
	select {
	case <-r.group.Done():
		r.last = r.group.Err()
		r.group, r.before = nil, r.group
		return false
	default:
		return true
	}
}

// Keep switches the role on again, after a pause, each time it went down by itself, until the
// context ends (spec network.md L-10). Restarts are counted by the restarter.
func (r *Role) Keep(ctx context.Context, rs *Restarter) error {
	back := rs.backoff(r.name)
	for {
		down, err := r.down(ctx)
		if err != nil {
			return nil // the context ended
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.changed:
			continue
		case <-down:
		}
		if err := r.revive(ctx, back); err != nil {
			return nil
		}
	}
}

// down is closed when the role, being wanted, is down; nil when it is not wanted.
func (r *Role) down(ctx context.Context) (<-chan struct{}, error) {
	if err := r.take(ctx); err != nil {
		return nil, err
	}
	defer r.give()
	switch {
	case !r.wanted:
		return nil, nil
	case r.group == nil: // noticed by somebody who asked for the status
		c := make(chan struct{})
		close(c)
		return c, nil
	}
	return r.group.Done(), nil
}

// revive waits and switches the role on again, until that works or nobody wants it.
func (r *Role) revive(ctx context.Context, back *backoff) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	r.on() // notes why it is down
	wanted, why := r.wanted, r.last
	r.give()
	if !wanted {
		return nil
	}
	for {
		if err := back.pause(ctx, why); err != nil {
			return err
		}
		if err := r.take(ctx); err != nil {
			return err
		}
		if !r.wanted || r.on() {
			r.give()
			return nil
		}
		err := r.enable(ctx)
		if err == nil {
			r.give()
			return nil
		}
		r.last, why = err, err
		r.give()
	}
}
