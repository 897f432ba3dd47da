package dht_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/network/dht"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/host/hosttest"
	ma "github.com/multiformats/go-multiaddr"
)

// knows is a router that knows one provider of one CID.
type knows struct {
	dht.Offline
	c   cid.Cid
	who peer.AddrInfo
}

func (k knows) FindProviders(_ context.Context, c cid.Cid, _ int) ([]peer.AddrInfo, error) {
	if c != k.c {
		return nil, nil
	}
	return []peer.AddrInfo{k.who, {ID: k.who.ID}}, nil
}

func (k knows) FindPeer(_ context.Context, id peer.ID) (peer.AddrInfo, error) {
	if id != k.who.ID {
		return peer.AddrInfo{}, dht.ErrAlone
	}
	return k.who, nil
}

func TestDelegated(t *testing.T) {
	who := peer.AddrInfo{ID: hosttest.New(t, 5, host.Options{}).ID(), Addrs: []ma.Multiaddr{ma.StringCast("/ip4/1.2.3.4/tcp/5")}}
	k := knows{c: content(t, "x"), who: who}
	h := dht.Delegated(k)
	for path, want := range map[string]struct {
		code, providers, peers int
	}{
		"/routing/v1/providers/" + k.c.String():             {200, 1, 0},
		"/routing/v1/providers/" + content(t, "y").String(): {200, 0, 0},
		"/routing/v1/providers/nonsense":                    {400, 0, 0},
		"/routing/v1/peers/" + who.ID.String():              {200, 0, 1},
		"/routing/v1/peers/" + peer.ToCid(who.ID).String():  {200, 0, 1},
		"/routing/v1/peers/" + k.c.String():                 {400, 0, 0},
		"/routing/v1/ipns/" + who.ID.String():               {404, 0, 0},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		var got struct {
			Providers, Peers []struct {
				Schema    string
				ID        string
				Addrs     []string
				Protocols []string
			}
		}
		if w.Code == 200 {
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Errorf("%s: %v in %s", path, err, w.Body)
			}
		}
		if w.Code != want.code || len(got.Providers) != want.providers || len(got.Peers) != want.peers {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		for _, p := range append(got.Providers, got.Peers...) {
			if p.Schema != "peer" || p.ID != who.ID.String() || len(p.Addrs) != 1 || p.Addrs[0] != "/ip4/1.2.3.4/tcp/5" {
				t.Errorf("%s: record %+v", path, p)
			}
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/routing/v1/providers/"+k.c.String(), nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}
