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
)

// Role is a set of parts that can be switched on and off again while the node runs (spec
// network.md L-13). Each time it is switched on a new group is built. Switching is done one
// at a time; safe from many goroutines.
type Role struct {
	name  string
	build func(ctx context.Context) (*Group, error)

	// turn holds one token; who has it owns the fields below.
	turn   chan struct{}
	group  *Group
	last   error // why the role went down by itself
	closed bool
}

// NewRole makes a role that is off. build makes a fresh group and starts nothing.
func NewRole(name string, build func(ctx context.Context) (*Group, error)) *Role {
	r := &Role{name: name, build: build, turn: make(chan struct{}, 1)}
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
	g, err := r.build(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	if err := g.Start(ctx); err != nil {
		return err
	}
	r.group, r.last = g, nil
	return nil
}

// Disable stops the parts and waits for them. Disabling a role that is off does nothing.
func (r *Role) Disable(ctx context.Context) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.give()
	if !r.on() {
		return nil
	}
	g := r.group
	r.group = nil
	return g.Stop(ctx)
}

// Close disables the role for good: the stop of a node's group.
func (r *Role) Close(ctx context.Context) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.give()
	r.closed = true
	if !r.on() {
		return nil
	}
	g := r.group
	r.group = nil
	return g.Stop(ctx)
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
		r.group = nil
		return false
	default:
		return true
	}
}
