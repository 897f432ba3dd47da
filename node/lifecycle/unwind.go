package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
)

// Stop stops the parts in reverse order and waits for them. ctx bounds the waiting: past it
// the remaining parts are told to stop without being waited for, what is owned is closed, and
// the error names who is late. Stop may be called in every state, any number of times and
// from many goroutines; all callers get the same result. That includes the error of a group
// that had failed by itself.
func (g *Group) Stop(ctx context.Context) error {
	g.mu.Lock()
	if g.state == New {
		close(g.begun)
		go g.unwindWhenEnding(context.WithoutCancel(ctx))
	}
	g.end()
	g.mu.Unlock()
	select {
	case <-g.done:
		return g.err
	case <-ctx.Done():
	}
	g.mu.Lock()
	select {
	case <-g.hurry:
	default:
		close(g.hurry)
	}
	late := slices.Clone(g.waiting)
	g.mu.Unlock()

	// What remains is bounded: a start that ignores its context is not waited for, and the
	// unwinding waits for owned resources alone, each with its deadline.
	select {
	case <-g.begun:
		<-g.done
		return g.err
	default:
		return fmt.Errorf("%s: start goes on, %w: %w", g.name, &LateError{Parts: late}, ctx.Err())
	}
}

// end asks for the unwinding; g.mu is held.
func (g *Group) end() {
	switch g.state {
	case New, Starting, Running:
		g.state = Stopping
		if g.abort != nil {
			g.abort()
		}
		close(g.ending)
	}
}

// unwindWhenEnding waits until the group must come down and no start is going on, then stops
// all parts in reverse. It runs once in the life of a group.
func (g *Group) unwindWhenEnding(root context.Context) {
	<-g.ending
	<-g.begun

	g.mu.Lock()
	parts := slices.Clone(g.parts)
	for _, p := range parts {
		if p.up {
			g.waiting = append(g.waiting, p.name)
		}
	}
	g.mu.Unlock()

	var errs []error
	var late []string
	for _, p := range slices.Backward(parts) {
		if !p.up {
			continue
		}
		err := g.stopPart(root, p)
		var l *LateError
		if errors.As(err, &l) {
			late = append(late, p.name)
			g.log.Warn("part is late to stop", "group", g.name, "part", p.name)
		} else if err != nil {
			errs = append(errs, err)
		}
		g.mu.Lock()
		g.waiting = slices.DeleteFunc(g.waiting, func(n string) bool { return n == p.name })
		g.mu.Unlock()
	}
	if len(late) > 0 {
		errs = append(errs, &LateError{Parts: late})
	}

	g.mu.Lock()
	defer g.mu.Unlock()
	g.state = Stopped
	if g.cause != nil {
		g.state = Failed
		errs = slices.Insert(errs, 0, g.cause)
	}
	if err := errors.Join(errs...); err != nil {
		g.err = fmt.Errorf("%s: %w", g.name, err)
	}
	if g.working == 0 {
		close(g.gone)
	}
	close(g.done)
}

// stopPart stops one part and waits for it. A part that takes longer than its deadline, or
// than the callers of Stop wait, is late; an owned resource always gets its deadline.
func (g *Group) stopPart(root context.Context, p *part) error {
	ctx, cancel := context.WithTimeout(root, p.deadline)
	defer cancel()
	hurry := g.hurry
	if p.owned {
		hurry = nil
	}
	ended := p.ended
	switch {
	case p.run != nil:
		p.cancel()
	case p.stop != nil:
		ended = make(chan error, 1)
		g.work(1)
		go func() {
			err := guard(func() error { return p.stop(ctx) })
			if err != nil {
				err = fmt.Errorf("stop %s: %w", p.name, err)
			}
			g.work(-1)
			ended <- err
		}()
	default:
		return nil
	}
	select {
	case err := <-ended:
		g.log.Debug("part stopped", "group", g.name, "part", p.name)
		return err
	case <-hurry:
		cancel()
		select { // it may have been ready all along
		case err := <-ended:
			return err
		default:
		}
	case <-ctx.Done():
		select {
		case err := <-ended:
			return err
		default:
		}
	}
	return &LateError{Parts: []string{p.name}}
}

// guard turns a panic of a part into an error with its story, so that it takes the group
// down in order and not the process.
func guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &panicError{value: r, stack: debug.Stack()}
		}
	}()
	return f()
}
