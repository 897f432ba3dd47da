package dht

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Bounds of a look-up for somebody else.
const (
	delegatedTime    = 20 * time.Second
	delegatedRecords = 20
	delegatedAtOnce  = 32
)

// record is a peer in the Delegated Routing V1 HTTP API.
type record struct {
	Schema    string
	ID        peer.ID
	Addrs     []string
	Protocols []string `json:",omitempty"`
}

// Delegated lets programs that are not in this network look up what its DHT knows: it serves
// GET /routing/v1/providers/{cid} and /routing/v1/peers/{id} of the Delegated Routing V1 HTTP
// API. So a Kubo node finds content here though its own DHT is another.
func Delegated(r Router) http.Handler {
	slots := make(chan struct{}, delegatedAtOnce)
	limited := func(list string, look func(ctx context.Context, key string) ([]record, error)) http.HandlerFunc {
		return func(w http.ResponseWriter, q *http.Request) {
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
			default:
				http.Error(w, "too many look-ups at once; ask again later", http.StatusTooManyRequests)
				return
			}
			ctx, cancel := context.WithTimeout(q.Context(), delegatedTime)
			defer cancel()
			found, err := look(ctx, q.PathValue("key"))
			answer(w, list, found, err)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /routing/v1/providers/{key}", limited("Providers", func(ctx context.Context, key string) ([]record, error) {
		c, err := cid.Decode(key)
		if err != nil {
			return nil, fmt.Errorf("%w: %q is not a CID", errKey, key)
		}
		infos, err := r.FindProviders(ctx, c, delegatedRecords)
		return records(infos, "transport-bitswap"), err
	}))
	mux.HandleFunc("GET /routing/v1/peers/{key}", limited("Peers", func(ctx context.Context, key string) ([]record, error) {
		id, err := peer.Decode(key)
		if err != nil {
			return nil, fmt.Errorf("%w: %q is not a peer id", errKey, key)
		}
		info, err := r.FindPeer(ctx, id)
		if err != nil {
			return nil, err
		}
		return records([]peer.AddrInfo{info}), nil
	}))
	return mux
}

var errKey = errors.New("bad key")

// records of peers without addresses are of no use to anybody.
func records(infos []peer.AddrInfo, protocols ...string) []record {
	out := []record{}
	for _, i := range infos {
		if len(i.Addrs) == 0 {
			continue
		}
		x := record{Schema: "peer", ID: i.ID, Protocols: protocols}
		for _, a := range i.Addrs {
			x.Addrs = append(x.Addrs, a.String())
		}
		out = append(out, x)
	}
	return out
}

// answer writes a list; nothing found is an empty one.
func answer(w http.ResponseWriter, list string, found []record, err error) {
	if errors.Is(err, errKey) {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if found == nil { // whatever went wrong on the way, nothing was found
		found = []record{}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=15")
	_ = json.NewEncoder(w).Encode(map[string][]record{list: found}) // who asked may be gone
}
