package retrieval

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/ipfs/go-cid"
)

// Media types of the trustless gateway.
const (
	typeCAR = "application/vnd.ipld.car"
	typeRaw = "application/vnd.ipld.raw"
)

// Scopes of a CAR.
const (
	scopeBlock  = "block"
	scopeEntity = "entity"
	scopeAll    = "all"
)

// request is what a gateway URL and its headers ask for (spec markets.md B.3).
type request struct {
	root  cid.Cid
	path  []string
	raw   bool
	scope string
	span  *span // bytes of the file; nil: all
	order string
	dups  bool
	// negotiated: the format came from the Accept header alone.
	negotiated bool
	filename   string
}

// span is an entity-bytes range: both ends inclusive, negative counts from the end.
type span struct {
	from, to int64
	open     bool // to is *
}

// badRequest is an error that the asker has to mend.
type badRequest string

func (e badRequest) Error() string { return string(e) }

func badf(format string, args ...any) error { return badRequest(fmt.Sprintf(format, args...)) }

// parseRequest reads a request whose path, after any base, is /ipfs/{cid}[/path].
func parseRequest(r *http.Request, path string) (*request, error) {
	q := &request{scope: scopeAll, order: "dfs", dups: true}
	parts := strings.Split(strings.TrimPrefix(path, "/ipfs/"), "/")
	var err error
	if q.root, err = cid.Decode(parts[0]); err != nil {
		return nil, badf("%q is not a CID: %v", parts[0], err)
	}
	for _, p := range parts[1:] {
		if p != "" {
			q.path = append(q.path, p)
		}
	}
	v := r.URL.Query()
	if err := q.format(v, r.Header.Values("Accept")); err != nil {
		return nil, err
	}
	if err := q.car(v); err != nil {
		return nil, err
	}
	if q.raw && len(q.path) > 0 {
		return nil, badf("a raw block is asked for by its CID alone, without a path")
	}
	if name := v.Get("filename"); name != "" {
		ext := ".car"
		if q.raw {
			ext = ".bin"
		}
		if !strings.HasSuffix(name, ext) || strings.ContainsAny(name, "/\\\"\r\n") {
			return nil, badf("filename must end in %s and hold no path", ext)
		}
		q.filename = name
	}
	return q, nil
}

// format chooses raw or CAR: ?format= before Accept.
func (q *request) format(v url.Values, accept []string) error {
	switch f := v.Get("format"); f {
	case "":
	case "car", "raw":
		q.raw = f == "raw"
		return nil
	default:
		return badf("format %q is not car or raw", f)
	}
	type offer struct {
		mime   string
		params map[string]string
		q      float64
	}
	var offers []offer
	for _, a := range strings.Split(strings.Join(accept, ","), ",") {
		t, params, err := mime.ParseMediaType(strings.TrimSpace(a))
		if err != nil {
			continue
		}
		weight := 1.0
		if s, ok := params["q"]; ok {
			if weight, err = strconv.ParseFloat(s, 64); err != nil || weight <= 0 {
				continue
			}
		}
		switch t {
		case typeCAR, typeRaw, "*/*", "application/*":
			offers = append(offers, offer{t, params, weight})
		}
	}
	if len(offers) == 0 {
		return badf("ask for %s or %s by the Accept header, or by ?format=car or raw", typeCAR, typeRaw)
	}
	slices.SortStableFunc(offers, func(a, b offer) int {
		switch {
		case a.q > b.q:
			return -1
		case a.q < b.q:
			return 1
		}
		return 0
	})
	best := offers[0]
	q.negotiated = true
	q.raw = best.mime == typeRaw
	if best.mime == typeCAR {
		return q.carOptions(best.params["version"], best.params["order"], best.params["dups"])
	}
	return nil
}

// car reads the query parameters of a CAR; they beat those of Accept.
func (q *request) car(v url.Values) error {
	if err := q.carOptions(v.Get("car-version"), v.Get("car-order"), v.Get("car-dups")); err != nil {
		return err
	}
	switch s := v.Get("dag-scope"); s {
	case "":
	case scopeBlock, scopeEntity, scopeAll:
		q.scope = s
	default:
		return badf("dag-scope %q is not block, entity or all", s)
	}
	if s := v.Get("entity-bytes"); s != "" {
		sp, err := parseSpan(s)
		if err != nil {
			return err
		}
		q.span, q.scope = sp, scopeEntity
	}
	return nil
}

func (q *request) carOptions(version, order, dups string) error {
	switch version {
	case "", "1":
	default:
		return badf("CAR version %q is not supported, only 1", version)
	}
	switch order {
	case "":
	case "dfs", "unk":
		q.order = order
	default:
		return badf("CAR order %q is not dfs or unk", order)
	}
	switch dups {
	case "":
	case "y", "n":
		q.dups = dups == "y"
	default:
		return badf("CAR dups %q is not y or n", dups)
	}
	return nil
}

func parseSpan(s string) (*span, error) {
	from, to, ok := strings.Cut(s, ":")
	if !ok {
		return nil, badf("entity-bytes %q is not from:to", s)
	}
	var sp span
	var err error
	if sp.from, err = strconv.ParseInt(from, 10, 64); err != nil {
		return nil, badf("entity-bytes %q: %q is not a number", s, from)
	}
	if to == "*" {
		sp.open = true
		return &sp, nil
	}
	if sp.to, err = strconv.ParseInt(to, 10, 64); err != nil {
		return nil, badf("entity-bytes %q: %q is not a number or *", s, to)
	}
	if sp.from >= 0 && sp.to >= 0 && sp.from > sp.to {
		return nil, badf("entity-bytes %q ends before it begins", s)
	}
	return &sp, nil
}

// within gives the range [from, to) of a file of a size; ok is false when it is outside.
func (s *span) within(size uint64) (from, to uint64, ok bool) {
	if s == nil {
		return 0, size, true
	}
	at := func(v int64) int64 {
		if v < 0 {
			v += int64(size)
		}
		return v
	}
	f := max(at(s.from), 0)
	t := int64(size)
	if !s.open {
		if end := at(s.to); end < t-1 {
			t = end + 1
		}
	}
	if f >= t {
		return 0, 0, false
	}
	return uint64(f), uint64(t), true
}
