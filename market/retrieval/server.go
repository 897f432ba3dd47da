package retrieval

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	libp2phost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/market/pieces"
	"github.com/lodenet/lode/market/transfer"
	"github.com/lodenet/lode/network/host"
	"github.com/multiformats/go-multiaddr"
)

// ProtocolHTTP is HTTP over a libp2p stream, as the libp2p specification names it.
const ProtocolHTTP protocol.ID = "/http/1.1"

// Config is what an operator sets; each zero value is a sensible default.
type Config struct {
	// Base is a path prefix of all routes, such as /gw.
	Base string
	// Requests served at a time; more get 429. 0: 64.
	Requests int
	// HTTP lists where the gateway is reachable over plain HTTP, as multiaddrs that end in
	// /http or /https; it is told to those who ask by libp2p. Nil: nowhere.
	HTTP func() []multiaddr.Multiaddr
	// Bitswap tells that the node serves the same blocks by bitswap.
	Bitswap bool
	// Version is shown under /info.
	Version string
}

// Server serves content. Safe from many goroutines.
type Server struct {
	cfg    Config
	host   libp2phost.Host
	blocks types.Blocks
	index  *pieces.Index // nil: no pieces
	read   pieces.Reader
	log    *slog.Logger
	mux    http.Handler
	sent   atomic.Uint64
}

// New makes a server over a block store (see pieces.NewBlocks) and the pieces in sectors;
// index and read are nil where nothing is sealed, host is nil where only HTTP is served.
func New(cfg Config, h libp2phost.Host, blocks types.Blocks, index *pieces.Index, read pieces.Reader, log *slog.Logger) *Server {
	if cfg.Requests == 0 {
		cfg.Requests = 64
	}
	if read == nil {
		index = nil
	}
	cfg.Base = strings.TrimSuffix(cfg.Base, "/")
	s := &Server{cfg: cfg, host: h, blocks: blocks, index: index, read: read, log: log}
	mux := http.NewServeMux()
	mux.HandleFunc("/ipfs/", s.gateway)
	mux.HandleFunc("/piece/", s.piece)
	mux.HandleFunc("/info", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, "{\"Version\":%q}\n", cfg.Version)
	})
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!doctype html><title>lode gateway</title><p>Content of a lode node: <code>/ipfs/{cid}?format=car</code>, <code>/ipfs/{cid}?format=raw</code>, <code>/piece/{piece cid}</code>.\n")
	})
	s.mux = http.StripPrefix(cfg.Base, mux)
	return s
}

// Sent is how many bytes of content have been served.
func (s *Server) Sent() uint64 { return s.sent.Load() }

// Handler serves the routes, with their limits and headers for browsers.
func (s *Server) Handler() http.Handler {
	slots := make(chan struct{}, s.cfg.Requests)
	return transfer.Bounded(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Allow-Methods", "GET, HEAD")
		h.Set("Access-Control-Allow-Headers", "*")
		h.Set("Access-Control-Expose-Headers", "*")
		switch r.Method {
		case http.MethodGet, http.MethodHead:
		case http.MethodOptions:
			w.WriteHeader(http.StatusNoContent)
			return
		default:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			h.Set("Retry-After", "2")
			http.Error(w, "too many requests at a time", http.StatusTooManyRequests)
			return
		}
		s.mux.ServeHTTP(w, r)
	}))
}

// Run serves the libp2p protocols until the context ends. Plain HTTP is served by whoever
// mounts Handler.
func (s *Server) Run(ctx context.Context) error {
	if s.host == nil {
		<-ctx.Done()
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := host.Serve(s.host, transportsAtOnce, map[protocol.ID]network.StreamHandler{
		ProtocolTransports: func(st network.Stream) { s.answerTransports(ctx, st) },
	})
	defer stop()
	defer cancel()
	return transfer.ServeStreams(ctx, s.host, ProtocolHTTP, s.Handler(), s.log)
}

// piece serves /piece/{cid}: the unpadded bytes of a whole piece, with ranges (B.4).
func (s *Server) piece(w http.ResponseWriter, r *http.Request) {
	c, err := cid.Decode(strings.TrimPrefix(r.URL.Path, "/piece/"))
	if err != nil {
		http.Error(w, fmt.Sprintf("not a piece CID: %v", err), http.StatusBadRequest)
		return
	}
	if s.index == nil {
		http.Error(w, "this node keeps no pieces", http.StatusNotFound)
		return
	}
	places, err := s.index.Piece(r.Context(), c)
	if err != nil {
		s.log.Warn("piece", "piece", c, "error", err)
		http.Error(w, "the index cannot be read now", http.StatusInternalServerError)
		return
	}
	var errs []error
	for _, l := range places {
		st := pieces.OpenPiece(r.Context(), s.read, l)
		if _, err := st.Read(make([]byte, 1)); err != nil {
			errs = append(errs, err, st.Close())
			continue
		}
		defer st.Close()
		if _, err := st.Seek(0, 0); err != nil {
			errs = append(errs, err)
			continue
		}
		h := w.Header()
		h.Set("Content-Type", "application/piece")
		h.Set("Etag", `"`+c.String()+`"`)
		h.Set("Cache-Control", cacheForever)
		h.Set("Vary", "Accept-Encoding")
		http.ServeContent(&counting{w, s}, r, "", time.Unix(0, 0).AddDate(30, 0, 0), st)
		return
	}
	if err := errors.Join(errs...); err != nil {
		s.log.Warn("piece has no readable copy", "piece", c, "error", err)
	}
	http.Error(w, "this node has no unsealed copy of the piece", http.StatusNotFound)
}

// counting counts what is sent.
type counting struct {
	http.ResponseWriter
	s *Server
}

func (c *counting) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	return n, c.s.served(n, err)
}
