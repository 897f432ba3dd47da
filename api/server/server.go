package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/lodenet/lode/api"
)

// Defaults and limits (spec api.md A.2, A.4).
const (
	defaultMaxRequest = 100 << 20        // bytes of one request
	headerTimeout     = 30 * time.Second // to send the headers of a request
	maxBatch          = 1000             // calls in one batch
	defaultCalls      = 256              // calls under way on one WebSocket
	defaultBacklog    = 1000             // values that a subscriber may lag behind
	grace             = 500 * time.Millisecond
	drain             = 5 * time.Second
)

// Verifier tells what a token allows; auth.Tokens is one.
type Verifier interface {
	AuthVerify(ctx context.Context, token string) ([]api.Permission, error)
}

// Options may vary; the zero value means the defaults.
type Options struct {
	// MaxRequest bounds a request, and a frame of a WebSocket, in bytes.
	MaxRequest int64
	// Origins may call from a browser; "*" is everyone.
	Origins []string
	// Backlog is how many values a subscriber may lag behind before it is cut off.
	Backlog int
	// Calls is how many calls may be under way on one WebSocket.
	Calls int
}

// Server serves a node's methods.
type Server struct {
	node     api.Node
	tokens   Verifier
	log      *slog.Logger
	opt      Options
	methods  map[string]*method
	discover json.RawMessage
	mux      *http.ServeMux
	upgrader websocket.Upgrader

	// Guarded by mu: handlers under way, none of which may begin once closing.
	mu      sync.Mutex
	closing bool
	busy    sync.WaitGroup
	// sockets ends the connections that http.Server does not know of.
	sockets    context.Context // the lifetime of Serve
	endSockets context.CancelFunc
}

// New makes a server; Serve runs it.
func New(node api.Node, tokens Verifier, log *slog.Logger, opt Options) (*Server, error) {
	if opt.MaxRequest == 0 {
		opt.MaxRequest = defaultMaxRequest
	}
	if opt.Backlog == 0 {
		opt.Backlog = defaultBacklog
	}
	if opt.Calls == 0 {
		opt.Calls = defaultCalls
	}
	methods, err := methodsOf(node)
	if err != nil {
		return nil, err
	}
	doc, err := describe(methods)
	if err != nil {
		return nil, err
	}
	s := &Server{node: node, tokens: tokens, log: log, opt: opt, methods: methods, discover: doc, mux: http.NewServeMux()}
	s.upgrader = websocket.Upgrader{HandshakeTimeout: headerTimeout, CheckOrigin: s.originAllowed}
	s.mux.HandleFunc("/rpc/v1", s.rpc)
	s.mux.HandleFunc("GET /health/livez", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	s.mux.HandleFunc("GET /health/readyz", s.ready)
	return s, nil
}

// Handle adds a handler beside the methods, before Serve.
func (s *Server) Handle(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// Serve answers on a listener, which it closes, until ctx ends. Then calls under way get a
// moment to end before their contexts do. It returns when all goroutines have ended, or names
// how long it waited for a call that does not listen to its context. It runs once.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	calls, endCalls := context.WithCancel(context.WithoutCancel(ctx))
	defer endCalls()
	s.mu.Lock()
	s.sockets, s.endSockets = context.WithCancel(calls)
	s.mu.Unlock()
	defer s.endSockets()
	srv := &http.Server{
		Handler:           http.HandlerFunc(s.track),
		ReadHeaderTimeout: headerTimeout,
		BaseContext:       func(net.Listener) context.Context { return calls },
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return errors.Join(fmt.Errorf("rpc on %s: %w", ln.Addr(), err), s.finish(srv, endCalls))
	case <-ctx.Done():
	}
	err := s.finish(srv, endCalls)
	if e := <-failed; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}

// finish lets nothing new begin, ends what goes on, and waits for it.
func (s *Server) finish(srv *http.Server, endCalls context.CancelFunc) error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.endSockets()

	wait, cancel := context.WithTimeout(context.WithoutCancel(s.sockets), drain)
	defer cancel()
	timer := time.AfterFunc(grace, endCalls)
	defer timer.Stop()
	err := srv.Shutdown(wait)
	endCalls()

	idle := make(chan struct{})
	go func() { s.busy.Wait(); close(idle) }()
	select {
	case <-idle:
		return nil
	case <-wait.Done():
	}
	return errors.Join(fmt.Errorf("rpc: calls still run after %s", drain), err, srv.Close())
}

// track counts a handler while it runs.
func (s *Server) track(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	s.busy.Add(1)
	s.mu.Unlock()
	defer s.busy.Done()
	s.mux.ServeHTTP(w, r)
}

// ready answers 200 while the node follows its network.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	st, err := s.node.NodeStatus(r.Context(), false)
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	case !st.Healthy:
		http.Error(w, st.Reason, http.StatusServiceUnavailable)
	default:
		w.WriteHeader(http.StatusOK)
	}
}
