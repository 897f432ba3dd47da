package retrieval

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/lodenet/lode/market/car"
	"github.com/multiformats/go-multihash"
)

const (
	cacheForever = "public, max-age=29030400, immutable"
	// maxSeen bounds what a CAR without duplicates remembers; a larger DAG is cut off.
	maxSeen = 1 << 20
)

// gateway serves /ipfs/.
func (s *Server) gateway(w http.ResponseWriter, r *http.Request) {
	q, err := parseRequest(r, r.URL.Path)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	wk := &walk{ctx: r.Context(), get: s.get}
	way, last, err := wk.resolve(q.root, q.path)
	if err != nil {
		s.refuse(w, r, q, err)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", cacheForever)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Ipfs-Path", strings.TrimSuffix("/ipfs/"+strings.Join(append([]string{q.root.String()}, q.path...), "/"), "/"))
	if len(q.path) == 0 {
		h.Set("X-Ipfs-Roots", q.root.String())
	}
	h.Set("Vary", "Accept, Accept-Encoding")
	etag := q.etag()
	h.Set("Etag", etag)
	if match(r.Header.Values("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if q.negotiated {
		h.Set("Content-Location", q.location(r))
	}
	name, ext := q.filename, ".car"
	if q.raw {
		ext = ".bin"
	}
	if name == "" {
		name = q.root.String() + ext
	}
	h.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
	if q.raw {
		h.Set("Content-Type", typeRaw)
		h.Set("Content-Length", fmt.Sprint(len(last.RawData())))
		if r.Method != http.MethodHead {
			s.served(w.Write(last.RawData()))
		}
		return
	}
	h.Set("Content-Type", fmt.Sprintf("%s;version=1;order=%s;dups=%s", typeCAR, q.order, yn(q.dups)))
	h.Set("Accept-Ranges", "none")
	if r.Method == http.MethodHead {
		return
	}
	if err := s.sendCAR(w, wk, q, way, last); err != nil {
		if r.Context().Err() == nil {
			s.log.Info("a CAR broke off", "root", q.root, "error", err)
		}
		// The status is sent; only a broken connection tells the reader that it is not whole.
		panic(http.ErrAbortHandler)
	}
}

// sendCAR writes the header and the blocks as the walk meets them.
func (s *Server) sendCAR(w io.Writer, wk *walk, q *request, way []blocks.Block, last blocks.Block) error {
	if err := s.served(w.Write(car.Header(q.root))); err != nil {
		return err
	}
	seen := make(map[string]struct{})
	wk.emit = func(b blocks.Block) error {
		if isIdentity(b.Cid()) {
			return nil
		}
		if !q.dups {
			key := b.Cid().KeyString()
			if _, ok := seen[key]; ok {
				return nil
			}
			if len(seen) >= maxSeen {
				return fmt.Errorf("more than %d different blocks: ask with dups=y", maxSeen)
			}
			seen[key] = struct{}{}
		}
		if err := s.served(w.Write(car.SectionHead(b.Cid(), uint64(len(b.RawData()))))); err != nil {
			return err
		}
		return s.served(w.Write(b.RawData()))
	}
	for _, b := range way {
		if err := wk.emit(b); err != nil {
			return err
		}
	}
	return wk.deliver(last, q.scope, q.span)
}

// get reads a block; an identity CID is its own.
func (s *Server) get(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	if isIdentity(c) {
		d, err := multihash.Decode(c.Hash())
		if err != nil {
			return nil, err
		}
		return blocks.NewBlockWithCid(d.Digest, c)
	}
	return s.blocks.Get(ctx, c)
}

// served counts bytes.
func (s *Server) served(n int, err error) error {
	s.sent.Add(uint64(n))
	return err
}

// refuse answers what cannot be resolved.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, q *request, err error) {
	switch {
	case r.Context().Err() != nil:
	case ipld.IsNotFound(err):
		code := http.StatusNotFound
		if strings.Contains(r.Header.Get("Cache-Control"), "only-if-cached") {
			code = http.StatusPreconditionFailed
		}
		http.Error(w, fmt.Sprintf("%s: this provider does not have it: %v", q.root, err), code)
	case errors.Is(err, errNoPath):
		http.Error(w, err.Error(), http.StatusNotFound)
	default:
		s.log.Warn("block cannot be read", "root", q.root, "error", err)
		http.Error(w, fmt.Sprintf("%s: the data cannot be read now", q.root), http.StatusInternalServerError)
	}
}

func yn(b bool) string {
	if b {
		return "y"
	}
	return "n"
}

func (q *request) etag() string {
	if q.raw {
		return `"` + q.root.String() + `.raw"`
	}
	var sp string
	if q.span != nil {
		sp = fmt.Sprintf("%d:%d:%v", q.span.from, q.span.to, q.span.open)
	}
	sum := sha256.Sum256([]byte(strings.Join(append([]string{q.scope, sp, q.order, yn(q.dups)}, q.path...), "/")))
	return `W/"` + q.root.String() + ".car." + base64.RawURLEncoding.EncodeToString(sum[:9]) + `"`
}

// match tells whether If-None-Match has the tag; the comparison is the weak one.
func match(values []string, etag string) bool {
	weak := strings.TrimPrefix(etag, "W/")
	for _, v := range values {
		for _, t := range strings.Split(v, ",") {
			t = strings.TrimSpace(t)
			if t == "*" || strings.TrimPrefix(t, "W/") == weak {
				return true
			}
		}
	}
	return false
}

// location is the URL that names the negotiated format.
func (q *request) location(r *http.Request) string {
	v := r.URL.Query()
	if q.raw {
		v.Set("format", "raw")
	} else {
		v.Set("format", "car")
		v.Set("car-version", "1")
		v.Set("car-order", q.order)
		v.Set("car-dups", yn(q.dups))
	}
	return r.URL.EscapedPath() + "?" + v.Encode()
}
