package netfault_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// What a tunnel carries: the digest of size bytes of noise comes back, nothing else.
const (
	tunnelProto = "/x/netfault"
	tunnelSize  = 1 << 20
	tunnelTime  = 30 * time.Second // of one transfer
)

// load sends transfers through a tunnel, one after the other.
type load struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	server net.Listener

	mu     sync.Mutex
	whole  int       // came through
	broken int       // ended with an error
	wrong  []error   // looked whole and were not
	last   time.Time // when the last whole one began
}

// tunnel opens a service in node to's namespace, offers it, forwards a port of node from to
// it, both with the program itself, and begins to send.
func (w *netnsWorld) tunnel(from, to int) error {
	l := &load{}
	err := w.spaces[to].inside(func() (err error) {
		l.server, err = net.Listen("tcp", "127.0.0.1:0")
		return err
	})
	if err != nil {
		return err
	}
	var ctx context.Context
	ctx, l.cancel = context.WithCancel(context.Background())
	l.wg.Go(func() { l.serve() })
	w.load = l
	target := fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", l.server.Addr().(*net.TCPAddr).Port)
	if _, err := w.lode(to, "p2p", "listen", tunnelProto, target, "--allow-peer", w.ids[from].String()); err != nil {
		return err
	}
	const port = "7070"
	if _, err := w.lode(from, "p2p", "forward", tunnelProto, "/ip4/127.0.0.1/tcp/"+port, "/p2p/"+w.ids[to].String()); err != nil {
		return err
	}
	l.wg.Go(func() {
		for n := uint64(0); ctx.Err() == nil; n++ {
			begin := time.Now()
			whole, err := carry(ctx, w.spaces[from], net.JoinHostPort("127.0.0.1", port), n)
			l.note(begin, whole, err)
			if err != nil {
				pause(ctx, 500*time.Millisecond)
			}
		}
	})
	return nil
}

// lode runs a command of the program on a node's repo.
func (w *netnsWorld) lode(i int, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), tunnelTime)
	defer cancel()
	c := w.spaces[i].command(append([]string{w.bin, "--repo", w.repo(i)}, args...)...)
	cmd := exec.CommandContext(ctx, c.Path, c.Args[1:]...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("lode %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// serve answers each connection with the digest of what came, once all of it has.
func (l *load) serve() {
	for {
		c, err := l.server.Accept()
		if err != nil {
			return
		}
		l.wg.Go(func() {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(tunnelTime)) // a socket takes a deadline
			h := sha256.New()
			if _, err := io.Copy(h, c); err == nil {
				_, _ = c.Write(h.Sum(nil)) // the other side sees whether it came
			}
		})
	}
}

// carry sends noise, closes its half, and reads the digest of what arrived. whole tells
// that an end of file came where one was due; with a wrong digest that is a lie.
func carry(ctx context.Context, ns *namespace, addr string, seed uint64) (whole bool, err error) {
	c, err := ns.dial(ctx, addr)
	if err != nil {
		return false, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if err := c.SetDeadline(time.Now().Add(tunnelTime)); err != nil {
		return false, err
	}
	noise := make([]byte, tunnelSize)
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = rng.Read(noise) // it never fails
	if _, err := c.Write(noise); err != nil {
		return false, err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return false, err
	}
	got, err := io.ReadAll(c)
	if err != nil {
		return false, err
	}
	want := sha256.Sum256(noise)
	if !bytes.Equal(got, want[:]) {
		return true, fmt.Errorf("a connection ended well after %d bytes of an answer of %d, which are right: %v", len(got), len(want), bytes.HasPrefix(want[:], got))
	}
	return true, nil
}

func (l *load) note(begin time.Time, whole bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.whole++
		l.last = begin
	case whole:
		l.wrong = append(l.wrong, err)
	default:
		l.broken++
	}
}

// carries is nil when a transfer that began after a moment has come through whole.
func (l *load) carries(since time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last.Before(since) {
		return fmt.Errorf("of the transfers since then none came through; %d did before, %d broke", l.whole, l.broken)
	}
	return nil
}

// end stops the load and gives its figures. A connection that was cut and did not look so is
// an error.
func (l *load) end() (map[string]float64, error) {
	l.cancel()
	err := l.server.Close()
	l.wg.Wait()
	return map[string]float64{
		"MiB carried": float64(l.whole) * tunnelSize / (1 << 20), "broken": float64(l.broken), "lies": float64(len(l.wrong)),
	}, errors.Join(append(l.wrong, err)...)
}
