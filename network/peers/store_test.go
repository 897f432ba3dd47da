package peers

import (
	"cmp"
	"database/sql"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/host/hosttest"
	ma "github.com/multiformats/go-multiaddr"
	_ "modernc.org/sqlite"
)

func TestStoreRoundTripAndDamage(t *testing.T) {
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "lode.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	s, err := OpenStore(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Load(t.Context()); err != nil || len(got.Bans)+len(got.Peers)+len(got.Edits) != 0 {
		t.Errorf("a new store has %+v, %v", got, err)
	}
	a, b := hosttest.New(t, 1, host.Options{}).ID(), hosttest.New(t, 2, host.Options{}).ID()
	addrs := []ma.Multiaddr{ma.StringCast("/ip4/1.2.3.4/tcp/5"), ma.StringCast("/ip4/1.2.3.4/udp/5/quic-v1")}
	now := time.Unix(1_800_000_000, 0)
	want := Saved{
		Bans: []Ban{
			{Peer: a, Until: now, Reason: ReasonGenesis, Strikes: 2},
			{Net: netip.MustParsePrefix("192.0.2.0/24"), Until: now, Reason: ReasonScore},
		},
		Peers: []SavedPeer{
			{Info: peer.AddrInfo{ID: a, Addrs: addrs}, Fails: 3, Next: now, Good: now, Score: -12.5, Scored: now},
			{Info: peer.AddrInfo{ID: b}, Score: 7},
		},
		Edits: []SavedEdit{{Info: peer.AddrInfo{ID: b, Addrs: addrs[:1]}, Removed: true}},
	}
	for range 2 { // saving again replaces
		if err := s.Save(t.Context(), want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got.Bans, func(x, y Ban) int { return -cmp.Compare(x.Peer, y.Peer) })
	slices.SortFunc(got.Peers, func(x, y SavedPeer) int { return -cmp.Compare(len(x.Info.Addrs), len(y.Info.Addrs)) })
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, damage := range []string{
		`UPDATE peer_seen SET peer = 'x' WHERE score = 7`, `UPDATE peer_seen SET addrs = '{' WHERE fails = 3`,
		`UPDATE peer_ban SET net = 'here' WHERE net <> ''`, `UPDATE peer_bootstrap SET peer = ''`,
	} {
		if _, err := db.ExecContext(t.Context(), damage); err != nil {
			t.Fatal(err)
		}
	}
	got, err = s.Load(t.Context())
	if err != nil || len(got.Peers) != 0 || len(got.Bans) != 1 || len(got.Edits) != 0 {
		t.Errorf("after damage %+v, %v", got, err)
	}
}
