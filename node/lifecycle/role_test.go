package lifecycle

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func counting(loops *atomic.Int32) func(context.Context) (*Group, error) {
	return func(context.Context) (*Group, error) {
		g := NewGroup("mining", quiet())
		for _, n := range []string{"seal", "submit"} {
			g.Add(n, func(ctx context.Context) error {
				loops.Add(1)
				defer loops.Add(-1)
				return untilDone(ctx)
			})
		}
		return g, nil
	}
}

func TestL13RoleTwice(t *testing.T) {
	var loops atomic.Int32
	r := NewRole("mining", counting(&loops))
	require.NoError(t, r.Disable(t.Context()))
	require.NoError(t, r.Enable(t.Context()))
	require.ErrorIs(t, r.Enable(t.Context()), ErrEnabled)
	require.NoError(t, r.Disable(t.Context()))
	require.Zero(t, loops.Load())
	require.NoError(t, r.Enable(t.Context()))
	require.NoError(t, r.Close(t.Context()))
	require.ErrorIs(t, r.Enable(t.Context()), ErrClosed)
	require.Zero(t, loops.Load())
}

func TestL13RoleRandomSequences(t *testing.T) {
	for seed := range uint64(500) {
		var loops atomic.Int32
		r := NewRole("mining", counting(&loops))
		var wg sync.WaitGroup
		for w := range uint64(3) {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(seed, w))
				for range 6 {
					if rng.IntN(2) == 0 {
						if err := r.Enable(t.Context()); err != nil && !errors.Is(err, ErrEnabled) {
							t.Errorf("seed %d: enable: %v", seed, err)
						}
					} else if err := r.Disable(t.Context()); err != nil {
						t.Errorf("seed %d: disable: %v", seed, err)
					}
					if n := loops.Load(); n > 2 {
						t.Errorf("seed %d: %d loops of two", seed, n)
					}
				}
			})
		}
		wg.Wait()
		require.NoError(t, r.Close(t.Context()))
		require.Zero(t, loops.Load(), "seed %d", seed)
	}
}

func TestRoleThatGoesDownCanComeBack(t *testing.T) {
	boom := errors.New("boom")
	fail := make(chan struct{})
	var groups []*Group
	r := NewRole("mining", func(context.Context) (*Group, error) {
		g := NewGroup("mining", quiet())
		g.Add("loop", func(ctx context.Context) error {
			select {
			case <-fail:
				return boom
			case <-ctx.Done():
				return nil
			}
		})
		groups = append(groups, g)
		return g, nil
	})
	require.NoError(t, r.Enable(t.Context()))
	close(fail)
	<-groups[0].Done()
	on, why := r.Status(t.Context())
	require.False(t, on)
	require.ErrorIs(t, why, boom)
	fail = make(chan struct{})
	require.NoError(t, r.Enable(t.Context()))
	on, why = r.Status(t.Context())
	require.True(t, on)
	require.NoError(t, why)
	require.NoError(t, r.Close(t.Context()))
}

// A part that was late to stop still runs: its role is not switched on until it has ended, and
// the node's stop waits for it.
func TestRoleWaitsForLateParts(t *testing.T) {
	var loops atomic.Int32
	var free chan struct{}
	r := NewRole("mining", func(context.Context) (*Group, error) {
		g := NewGroup("mining", quiet())
		hold := free
		g.Add("proof", func(ctx context.Context) error {
			if loops.Add(1) > 1 {
				t.Error("the part runs twice at a time")
			}
			defer loops.Add(-1)
			<-ctx.Done()
			<-hold // nothing stops a proof that was begun
			return nil
		})
		return g, nil
	})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var late *LateError
	stopLate := func() {
		t.Helper()
		free = make(chan struct{})
		require.NoError(t, r.Enable(t.Context()))
		// An ended context may be heard before the turn is taken: then nothing has happened.
		err := r.Disable(ended)
		for errors.Is(err, context.Canceled) && !errors.As(err, &late) {
			err = r.Disable(ended)
		}
		require.ErrorAs(t, err, &late)
	}
	stopLate()
	require.ErrorIs(t, r.Enable(t.Context()), ErrLinger)
	before := r.before
	close(free)
	<-before.Gone()

	stopLate()
	require.ErrorIs(t, r.Close(ended), context.Canceled)
	before = r.before
	closed := make(chan error, 1)
	go func() { closed <- r.Close(t.Context()) }()
	close(free)
	require.NoError(t, <-closed)
	select {
	case <-before.Gone():
	default:
		t.Error("closed while a part runs")
	}
}

func TestRoleThatDoesNotBuild(t *testing.T) {
	boom := errors.New("no key")
	r := NewRole("mining", func(context.Context) (*Group, error) { return nil, boom })
	require.ErrorIs(t, r.Enable(t.Context()), boom)
	require.NoError(t, r.Disable(t.Context()))
}

func TestRoleHonoursTheContext(t *testing.T) {
	building, free := make(chan struct{}), make(chan struct{})
	r := NewRole("mining", func(context.Context) (*Group, error) {
		close(building)
		<-free
		return nil, errors.New("no")
	})
	done := make(chan error)
	go func() { done <- r.Enable(t.Context()) }()
	<-building
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, r.Disable(ctx), context.Canceled)
	close(free)
	require.Error(t, <-done)
}
