package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// journal records events of parts in order.
type journal struct {
	mu  sync.Mutex
	got []string
}

func (j *journal) note(s string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.got = append(j.got, s)
}

func (j *journal) events() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.got)
}

func (j *journal) service(g *Group, name string, startErr, stopErr error) {
	g.AddService(name, func(context.Context) error {
		if startErr == nil {
			j.note("+" + name)
		}
		return startErr
	}, func(context.Context) error {
		j.note("-" + name)
		return stopErr
	})
}

func untilDone(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func TestL03OrderMirrors(t *testing.T) {
	var j journal
	g := NewGroup("node", quiet())
	for i := range 5 {
		j.service(g, fmt.Sprint(i), nil, nil)
	}
	require.NoError(t, g.Start(t.Context()))
	require.Equal(t, Running, g.State())
	require.NoError(t, g.Stop(t.Context()))
	require.Equal(t, []string{"+0", "+1", "+2", "+3", "+4", "-4", "-3", "-2", "-1", "-0"}, j.events())
	require.Equal(t, Stopped, g.State())
}

func TestL01OneStartWins(t *testing.T) {
	g := NewGroup("node", quiet())
	g.Add("loop", untilDone)
	var wins, refused atomic.Int32
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			switch err := g.Start(t.Context()); {
			case err == nil:
				wins.Add(1)
			case errors.Is(err, ErrAlreadyStarted):
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, wins.Load())
	require.EqualValues(t, 99, refused.Load())
	require.NoError(t, g.Stop(t.Context()))
	require.ErrorIs(t, g.Start(t.Context()), ErrAlreadyStarted)
}

func TestL02StopAtAnyMoment(t *testing.T) {
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var up atomic.Int32
		g := NewGroup("node", quiet())
		g.Own("store", func(context.Context) error { up.Add(-1); return nil })
		up.Add(1)
		for i := range 4 {
			g.AddService(fmt.Sprint("s", i), func(ctx context.Context) error {
				runtime.Gosched()
				if err := ctx.Err(); err != nil {
					return err
				}
				up.Add(1)
				return nil
			}, func(context.Context) error { up.Add(-1); return nil })
			g.Add(fmt.Sprint("r", i), func(ctx context.Context) error {
				up.Add(1)
				defer up.Add(-1)
				return untilDone(ctx)
			})
		}
		yields := rng.IntN(40)
		var wg sync.WaitGroup
		var startErr error
		wg.Go(func() { startErr = g.Start(t.Context()) })
		for range 3 {
			wg.Go(func() {
				for range yields {
					runtime.Gosched()
				}
				if err := g.Stop(t.Context()); err != nil {
					t.Errorf("seed %d: stop: %v", seed, err)
				}
				if n := up.Load(); n != 0 {
					t.Errorf("seed %d: %d parts up after stop", seed, n)
				}
			})
		}
		wg.Wait()
		if startErr != nil && !errors.Is(startErr, ErrStopped) {
			t.Fatalf("seed %d: start: %v", seed, startErr)
		}
		if g.State() != Stopped {
			t.Fatalf("seed %d: state %s", seed, g.State())
		}
	}
}

func TestL02StopReleasesWhatWasNeverStarted(t *testing.T) {
	var j journal
	g := NewGroup("node", quiet())
	g.Own("lock", func(context.Context) error { j.note("-lock"); return nil })
	g.Own("store", func(context.Context) error { j.note("-store"); return nil })
	j.service(g, "rpc", nil, nil)
	require.NoError(t, g.Stop(t.Context()))
	require.NoError(t, g.Stop(t.Context()))
	require.Equal(t, []string{"-store", "-lock"}, j.events())
	require.ErrorIs(t, g.Start(t.Context()), ErrStopped)
}

// Whatever the order of registration is, it is the order of the start, every time.
func TestL03OrderIsThatOfRegistration(t *testing.T) {
	for seed := range uint64(50) {
		names := []string{"repo", "store", "host", "gossip", "sync", "mining", "rpc"}
		rng := rand.New(rand.NewPCG(seed, 2))
		rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		var j journal
		var want []string
		g := NewGroup("node", quiet())
		for _, n := range names {
			j.service(g, n, nil, nil)
			want = append(want, "+"+n)
		}
		for _, n := range slices.Backward(names) {
			want = append(want, "-"+n)
		}
		require.NoError(t, g.Start(t.Context()))
		require.Equal(t, names, g.Parts())
		require.NoError(t, g.Stop(t.Context()))
		require.Equal(t, want, j.events())
	}
}

func TestL03DuplicateNameIsRefused(t *testing.T) {
	var j journal
	g := NewGroup("node", quiet())
	j.service(g, "a", nil, nil)
	j.service(g, "a", nil, nil)
	require.ErrorContains(t, g.Start(t.Context()), "part a: added twice")
	require.Empty(t, j.events())
	require.Equal(t, Failed, g.State())
}

func TestL04ReverseUnwinding(t *testing.T) {
	const n = 6
	boom, stuck := errors.New("boom"), errors.New("stuck")
	for k := range n {
		t.Run(fmt.Sprint(k), func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			var j journal
			var want []string
			g := NewGroup("node", quiet())
			g.Own("store", func(context.Context) error { j.note("-store"); return nil })
			for i := range n {
				var startErr, stopErr error
				if i == k {
					startErr = boom
				}
				if i == 0 {
					stopErr = stuck
				}
				j.service(g, fmt.Sprint(i), startErr, stopErr)
				g.Add(fmt.Sprint("loop", i), untilDone)
				if i < k {
					want = append(want, fmt.Sprint("+", i))
				}
			}
			for i := k - 1; i >= 0; i-- {
				want = append(want, fmt.Sprint("-", i))
			}
			want = append(want, "-store")
			err := g.Start(t.Context())
			require.ErrorIs(t, err, boom)
			if k > 0 {
				require.ErrorIs(t, err, stuck)
			}
			require.Equal(t, want, j.events())
			require.Equal(t, Failed, g.State())
			require.ErrorIs(t, g.Stop(t.Context()), boom)
			require.Equal(t, want, j.events(), "stop again changed something")
			goleak.VerifyNone(t, before)
		})
	}
}

// What the started parts hold of the machine is given back when a later one fails: the
// socket, the lock of the folder, the descriptors.
func TestL04SocketsAndLocksComeBack(t *testing.T) {
	const n = 4
	boom := errors.New("boom")
	dir := t.TempDir()
	for k := range n {
		before := descriptors(t)
		g := NewGroup("node", quiet())
		for i := range n {
			var l net.Listener
			var lock *os.File
			path := filepath.Join(dir, fmt.Sprint("lock", i))
			g.AddService(fmt.Sprint(i), func(ctx context.Context) (err error) {
				if i == k {
					return boom
				}
				if l, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
					return err
				}
				if lock, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
					return errors.Join(err, l.Close())
				}
				return syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
			}, func(context.Context) error { return errors.Join(l.Close(), lock.Close()) })
		}
		require.ErrorIs(t, g.Start(t.Context()), boom)
		require.Equal(t, before, descriptors(t), "descriptors after a failure of part %d", k)
		for i := range k {
			f, err := os.Open(filepath.Join(dir, fmt.Sprint("lock", i)))
			require.NoError(t, err)
			require.NoError(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), "lock %d is held", i)
			require.NoError(t, f.Close())
		}
	}
}

// descriptors are the open files of this process, or 0 where the system does not tell.
func descriptors(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	require.NoError(t, err)
	return len(files)
}

func TestL05StartContextBoundsTheStartAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "kept"))
		var value any
		g := NewGroup("node", quiet())
		ended := false
		g.Add("loop", func(ctx context.Context) error {
			value = ctx.Value(key{})
			defer func() { ended = true }()
			return untilDone(ctx)
		})
		require.NoError(t, g.Start(ctx))
		cancel()
		synctest.Wait()
		require.Equal(t, Running, g.State())
		require.False(t, ended, "the part ended with the context of the start")
		require.Equal(t, "kept", value)
		require.NoError(t, g.Stop(t.Context()))
	})
	t.Run("ends before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var j journal
		g := NewGroup("node", quiet())
		j.service(g, "a", nil, nil)
		g.AddService("b", func(context.Context) error { cancel(); return nil }, nil)
		j.service(g, "c", nil, nil)
		require.ErrorIs(t, g.Start(ctx), context.Canceled)
		require.Equal(t, []string{"+a", "-a"}, j.events())
	})
}

func TestL06LatePartsAreNamed(t *testing.T) {
	release := func() (chan struct{}, func(ctx context.Context) error) {
		c := make(chan struct{})
		return c, func(context.Context) error { <-c; return nil }
	}
	t.Run("own deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			free, stuck := release()
			var j journal
			g := NewGroup("node", quiet())
			g.Own("store", func(context.Context) error { j.note("-store"); return nil })
			g.Add("deaf", stuck)
			g.AddService("slow", nil, stuck, Deadline(3*time.Second))
			j.service(g, "fine", nil, nil)
			require.NoError(t, g.Start(t.Context()))
			begin := time.Now()
			err := g.Stop(t.Context())
			var late *LateError
			require.ErrorAs(t, err, &late)
			require.Equal(t, []string{"slow", "deaf"}, late.Parts)
			require.Equal(t, 3*time.Second+DefaultDeadline, time.Since(begin))
			require.Equal(t, []string{"+fine", "-fine", "-store"}, j.events())
			close(free)
		})
	})
	t.Run("caller's context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			free, stuck := release()
			var j journal
			g := NewGroup("node", quiet())
			g.Own("store", func(context.Context) error { j.note("-store"); return nil })
			g.Add("deaf", stuck)
			g.Add("deaf too", stuck)
			require.NoError(t, g.Start(t.Context()))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begin := time.Now()
			var late *LateError
			require.ErrorAs(t, g.Stop(ctx), &late)
			require.Equal(t, []string{"deaf too", "deaf"}, late.Parts)
			require.Equal(t, time.Second, time.Since(begin))
			require.Equal(t, []string{"-store"}, j.events())
			close(free)
		})
	})
	t.Run("start that does not listen", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			free, stuck := release()
			g := NewGroup("node", quiet())
			g.AddService("deaf", stuck, nil)
			var startErr error
			go func() { startErr = g.Start(t.Context()) }()
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorIs(t, g.Stop(ctx), context.DeadlineExceeded)
			close(free)
			<-g.Done()
			synctest.Wait()
			require.ErrorIs(t, startErr, ErrStopped)
		})
	})
}

func TestL10PartThatEndsTakesTheGroupDown(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		run  func(context.Context) error
		want error
		text string
	}{
		"with an error":    {func(context.Context) error { return boom }, boom, "node: loop: boom"},
		"without an error": {func(context.Context) error { return nil }, ErrEnded, "loop: ended by itself"},
		"with a panic":     {func(context.Context) error { panic("oh") }, nil, "loop: panic: oh"},
	} {
		t.Run(name, func(t *testing.T) {
			var j journal
			g := NewGroup("node", quiet())
			j.service(g, "store", nil, nil)
			proceed := make(chan struct{})
			g.Add("loop", func(ctx context.Context) error { <-proceed; return c.run(ctx) })
			g.Add("other", untilDone)
			require.NoError(t, g.Start(t.Context()))
			close(proceed)
			<-g.Done()
			require.Equal(t, Failed, g.State())
			if c.want != nil {
				require.ErrorIs(t, g.Err(), c.want)
			}
			require.ErrorContains(t, g.Err(), c.text)
			require.Equal(t, []string{"+store", "-store"}, j.events())
			require.Equal(t, g.Err(), g.Stop(t.Context()))
		})
	}
}

func TestPartThatFailsWhileStarting(t *testing.T) {
	boom := errors.New("boom")
	var j journal
	g := NewGroup("node", quiet())
	g.Add("loop", func(context.Context) error { return boom })
	g.AddService("waits", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, nil)
	j.service(g, "never", nil, nil)
	require.ErrorIs(t, g.Start(t.Context()), boom)
	require.Empty(t, j.events())
}

func TestPanicInStartIsAnError(t *testing.T) {
	var j journal
	g := NewGroup("node", quiet())
	j.service(g, "a", nil, nil)
	g.AddService("b", func(context.Context) error { panic("oh") }, nil)
	require.ErrorContains(t, g.Start(t.Context()), "start b: panic: oh")
	require.Equal(t, []string{"+a", "-a"}, j.events())
}
