package devnet

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/lodenet/lode/api"
)

// testNetwork asks about peers, bans, the DHT and bitswap.
func testNetwork(t *testing.T, a *apiTest) {
	other := must[peer.ID](t)(a.miner.ID(a.ctx))
	sessions := must[[]api.PeerSession](t)(a.NetSessions(a.ctx))
	if len(sessions) != 1 || sessions[0].ID != other || sessions[0].State != "ready" || !sessions[0].Bootstrap || sessions[0].Latency <= 0 {
		t.Errorf("sessions %+v", sessions)
	}
	if rtt := must[time.Duration](t)(a.NetPing(a.ctx, other)); rtt <= 0 {
		t.Errorf("ping %s", rtt)
	}
	if info := must[peer.AddrInfo](t)(a.NetFindPeer(a.ctx, other)); info.ID != other || len(info.Addrs) == 0 {
		t.Errorf("found %+v", info)
	}
	if c := must[api.Connectedness](t)(a.NetConnectedness(a.ctx, other)); c != api.IsConnected {
		t.Errorf("connectedness %d", c)
	}
	info := must[*api.ExtendedPeerInfo](t)(a.NetPeerInfo(a.ctx, other))
	if info.ID != other || info.Agent == "" || len(info.Addrs) == 0 || len(info.Protocols) == 0 || info.ConnMgrMeta == nil || info.ConnMgrMeta.Tags["hello"] == 0 {
		t.Errorf("peer %+v", info)
	}
	if s := must[metrics.Stats](t)(a.NetBandwidthStats(a.ctx)); s.TotalIn == 0 || s.TotalOut == 0 {
		t.Errorf("bandwidth %+v", s)
	}
	if by := must[map[string]metrics.Stats](t)(a.NetBandwidthStatsByPeer(a.ctx)); by[other.String()].TotalIn == 0 {
		t.Errorf("bandwidth by peer %+v", by)
	}
	if nat := must[api.NatInfo](t)(a.NetAutoNatStatus(a.ctx)); nat.Reachability != api.ReachUnknown || len(nat.PublicAddrs) != 0 {
		t.Errorf("reachability %+v", nat)
	}
	if err := a.NetProtectAdd(a.ctx, []peer.ID{other}); err != nil {
		t.Error(err)
	}
	if l := must[[]peer.ID](t)(a.NetProtectList(a.ctx)); len(l) != 1 || l[0] != other {
		t.Errorf("protected %v", l)
	}
	if err := a.NetProtectRemove(a.ctx, []peer.ID{other}); err != nil {
		t.Error(err)
	}
	if l := must[[]peer.ID](t)(a.NetProtectList(a.ctx)); len(l) != 0 {
		t.Errorf("protected %v", l)
	}
	testBans(t, a)
	testContent(t, a, other)
}

func testBans(t *testing.T, a *apiTest) {
	list := api.NetBlockList{IPAddrs: []string{"192.0.2.1"}, IPSubnets: []string{"198.51.100.0/24", "2001:db8::/48"}}
	if err := a.NetBlockAdd(a.ctx, list); err != nil {
		t.Error(err)
	}
	got := must[api.NetBlockList](t)(a.NetBlockList(a.ctx))
	if len(got.Peers) != 0 || len(got.IPAddrs) != 1 || len(got.IPSubnets) != 2 || got.IPSubnets[0] != "198.51.100.0/24" {
		t.Errorf("blocked %+v", got)
	}
	if err := a.NetBlockRemove(a.ctx, list); err != nil {
		t.Error(err)
	}
	if l := must[[]api.NetBan](t)(a.NetBans(a.ctx)); len(l) != 0 {
		t.Errorf("bans %+v", l)
	}
	later := time.Now().Add(time.Hour)
	self := must[peer.ID](t)(a.ID(a.ctx))
	for _, bad := range []api.NetBan{
		{Until: later}, {Net: "here", Until: later}, {Net: "192.0.2.1"}, {Peer: &self, Until: later}, {Peer: &self, Net: "192.0.2.1", Until: later},
	} {
		if err := a.NetBan(a.ctx, bad); err == nil {
			t.Errorf("banned %+v", bad)
		}
	}
	if err := a.NetUnban(a.ctx, api.NetBan{Net: "192.0.2.1"}); err == nil {
		t.Error("let in who was not banned")
	}
}

// testContent imports a file at the miner, which announces it; the other node finds it and
// fetches it.
func testContent(t *testing.T, a *apiTest, other peer.ID) {
	dir := t.TempDir()
	data := []byte("content for whoever asks")
	if err := os.WriteFile(filepath.Join(dir, "in"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	root := must[*api.DataRoot](t)(a.miner.DataImport(a.ctx, filepath.Join(dir, "in")))
	if err := a.miner.DhtProvide(a.ctx, root.Root); err != nil {
		t.Error(err)
	}
	if err := a.DhtProvide(a.ctx, root.Root); err == nil {
		t.Error("announced what is not there")
	}
	who := must[[]peer.AddrInfo](t)(a.DhtFindProviders(a.ctx, root.Root, 1))
	if len(who) != 1 || who[0].ID != other {
		t.Errorf("providers %+v", who)
	}
	if near := must[[]peer.ID](t)(a.DhtQuery(a.ctx, other)); len(near) == 0 || near[0] != other {
		t.Errorf("nearest %v", near)
	}
	events := must[<-chan *api.RetrieveEvent](t)(a.Retrieve(a.ctx, &api.RetrieveOrder{Root: root.Root, Output: filepath.Join(dir, "out"), Bitswap: true}))
	var last *api.RetrieveEvent
	for e := range events {
		last = e
	}
	if last == nil || !last.Done || last.Source != "bitswap" {
		t.Fatalf("the fetch ended with %+v", last)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "out")); err != nil || string(got) != string(data) {
		t.Errorf("fetched %q, %v", got, err)
	}
	stats := must[[]api.BitswapStat](t)(a.BitswapStat(a.ctx))
	if len(stats) != 2 || stats[0].Protocol != "/chain/ipfs/bitswap/1.2.0" || stats[1].BlocksReceived == 0 {
		t.Errorf("bitswap %+v", stats)
	}
	if boot := must[[]peer.AddrInfo](t)(a.NetBootstrapList(a.ctx)); len(boot) != 1 || boot[0].ID != other {
		t.Errorf("bootstrap %+v", boot)
	}
}
