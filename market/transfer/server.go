package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/gostream"
)

// Protocol is HTTP/1.1 on a libp2p stream.
const Protocol protocol.ID = "/fil/storage/transfer/1.0.0"

// ErrNoPayload: no payload has this token, or no longer.
var ErrNoPayload = errors.New("no payload has this token")

// Payloads gives the bytes that a token stands for; ErrNoPayload when there are none.
type Payloads interface {
	OpenPayload(ctx context.Context, token string) (io.ReadSeekCloser, error)
}

// Handler serves payloads: GET of any path with HTTP basic authorization, the token as the
// password. Ranges work. At most limit transfers run at a time, others get 503; one whose
// reader takes nothing for a while ends.
func Handler(p Payloads, limit int, log *slog.Logger) http.Handler {
	slots := make(chan struct{}, limit)
	return Bounded(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		_, token, ok := r.BasicAuth()
		if !ok || token == "" {
			http.Error(w, "a transfer needs its token as the password of basic authorization", http.StatusUnauthorized)
			return
		}
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			w.Header().Set("Retry-After", "5")
			http.Error(w, "too many transfers at a time", http.StatusServiceUnavailable)
			return
		}
		body, err := p.OpenPayload(r.Context(), token)
		if errors.Is(err, ErrNoPayload) {
			http.Error(w, ErrNoPayload.Error(), http.StatusUnauthorized)
			return
		}
		if err != nil {
			log.Warn("open payload", "error", err)
			http.Error(w, "the payload cannot be read", http.StatusInternalServerError)
			return
		}
		defer body.Close()
		w.Header().Set("Content-Type", "application/vnd.ipld.car")
		http.ServeContent(w, r, "", time.Time{}, body)
	}))
}

// ServeStreams serves HTTP on streams of one protocol until the context ends. It waits for
// the requests it serves.
func ServeStreams(ctx context.Context, h host.Host, id protocol.ID, handler http.Handler, log *slog.Logger) error {
	l, err := gostream.Listen(h, id, gostream.IgnoreEOF())
	if err != nil {
		return fmt.Errorf("serve %s: %w", id, err)
	}
	return ServeListener(ctx, l, handler, log)
}

// ServeListener serves HTTP on a listener until the context ends, and closes it.
func ServeListener(ctx context.Context, l net.Listener, handler http.Handler, log *slog.Logger) error {
	var requests gate
	defer requests.close()
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !requests.enter() {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			defer requests.running.Done()
			handler.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	ended := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-ctx.Done():
		case <-ended:
		}
		srv.Close()
	}()
	err := srv.Serve(l)
	close(ended)
	<-stopped
	if ctx.Err() != nil || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve HTTP on %s: %w", l.Addr(), err)
}

// gate counts the requests under way. One that an HTTP server was about to hand on when it was
// closed may still come, while or after the others are waited for: it finds the gate closed.
type gate struct {
	mu      sync.Mutex
	closed  bool           // guarded by mu
	running sync.WaitGroup // Add under mu and before closed
}

// enter counts one more, unless the gate is closed; running.Done ends it.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.running.Add(1)
	}
	return !g.closed
}

// close waits for those under way.
func (g *gate) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.running.Wait()
}
