package tunnel

import (
	"context"
	"fmt"
)

// Close closes all listeners that fit, for good, and tells how many. Streams that run go on,
// or are broken when drop is set; those still being set up end in any case.
func (t *Tunnels) Close(ctx context.Context, m Match, drop bool) (closed int, err error) {
	if err := m.Check(); err != nil {
		return 0, err
	}
	err = t.change(ctx, func() error {
		var offers []*offer
		var forwards []*forward
		if err := t.do(ctx, func(r *registry) { offers, forwards = t.matching(r, m) }); err != nil {
			return err
		}
		// The rows go first: what was reported closed never comes back.
		for _, o := range offers {
			if err := t.dropRow(ctx, KindListen, string(o.spec.Protocol)); err != nil {
				return err
			}
		}
		for _, f := range forwards {
			if err := t.dropRow(ctx, KindForward, f.listen); err != nil {
				return err
			}
		}
		closed = len(offers) + len(forwards)
		return t.try(ctx, func(r *registry) error {
			if r.closing {
				return ErrStopped // the listeners are gone, and so are their rows
			}
			t.removed(r, offers, forwards, drop)
			return nil
		})
	})
	if err != nil {
		return 0, err
	}
	return closed, nil
}

// CloseStream breaks one stream.
func (t *Tunnels) CloseStream(ctx context.Context, id uint64) error {
	return t.try(ctx, func(r *registry) error {
		l := r.streams[id]
		if l == nil {
			return fmt.Errorf("%w: %d", ErrNoStream, id)
		}
		l.cancel(endError{ReasonClosed})
		return nil
	})
}

// CloseStreams breaks all streams and tells how many.
func (t *Tunnels) CloseStreams(ctx context.Context) (n int, err error) {
	err = t.do(ctx, func(r *registry) {
		for _, l := range r.streams {
			l.cancel(endError{ReasonClosed})
		}
		n = len(r.streams)
	})
	return n, err
}

// Gone is closed when a listener is closed; ErrGone if there is none. An offer is named by
// its protocol, a forward by the address that it listens on.
func (t *Tunnels) Gone(ctx context.Context, kind Kind, name string) (gone <-chan struct{}, err error) {
	err = t.try(ctx, func(r *registry) error {
		for _, o := range r.offers {
			if kind == KindListen && string(o.spec.Protocol) == name {
				gone = o.gone
				return nil
			}
		}
		if f := r.forwards[name]; f != nil && kind == KindForward {
			gone = f.gone
			return nil
		}
		return fmt.Errorf("%w: %s %s", ErrGone, kind, name)
	})
	return gone, err
}
