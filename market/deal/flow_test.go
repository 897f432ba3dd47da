package deal_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/google/uuid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/lodenet/lode/chain/outbox"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/market/dag"
	"github.com/lodenet/lode/market/deal"
	"github.com/lodenet/lode/market/deal/client"
	"github.com/lodenet/lode/market/deal/provider"
	"github.com/lodenet/lode/market/pieces"
	"github.com/lodenet/lode/market/retrieval"
	"github.com/lodenet/lode/market/transfer"
	"github.com/lodenet/lode/repo"
)

// seat is one side's host and folder, which outlive its process.
type seat struct {
	host   host.Host
	dir    string
	blocks *types.MemBlocks
}

func newSeat(t testing.TB) seat { return seat{newHost(t), t.TempDir(), &types.MemBlocks{}} }

// deps is what a process sees of the world; a crash puts itself in between.
type deps interface {
	deal.Chain
	deal.Outbox
	deal.Signer
	provider.Sealer
}

// running is a part that runs until stop, which waits for it.
type running struct {
	cancel context.CancelFunc
	done   chan error
	close  func()
}

func run(ctx context.Context, f func(context.Context) error, closeAll func()) *running {
	ctx, cancel := context.WithCancel(ctx)
	r := &running{cancel: cancel, done: make(chan error, 1), close: closeAll}
	go func() { r.done <- f(ctx) }()
	return r
}

func (r *running) stop(t testing.TB) {
	t.Helper()
	r.cancel()
	if err := <-r.done; err != nil {
		t.Errorf("run: %v", err)
	}
	r.close()
}

func providerConfig(w *world, dir string) provider.Config {
	return provider.Config{
		Miner: w.miner, SectorSize: sectorSize, Staging: filepath.Join(dir, "staging"),
		Retry: 5 * time.Millisecond, Poll: 2 * time.Millisecond,
	}
}

func startProvider(t testing.TB, ctx context.Context, w *world, d deps, s seat, change func(*provider.Config)) (*provider.Provider, *running) {
	t.Helper()
	db := openDB(t, filepath.Join(s.dir, "lode.db"))
	index, err := pieces.Open(context.Background(), db)
	if err != nil {
		t.Fatal(err)
	}
	cfg := providerConfig(w, s.dir)
	if change != nil {
		change(&cfg)
	}
	p, err := provider.Open(context.Background(), cfg, provider.Deps{
		DB: db, Host: s.host, Chain: d, Outbox: d, Keys: d, Sealer: d, Index: index, Clock: clock.System{}, Log: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, run(ctx, p.Run, func() { closeDB(t, db) })
}

func startClient(t testing.TB, ctx context.Context, d deps, s seat, change ...func(*client.Config)) (*client.Client, *dag.Store, *running) {
	t.Helper()
	db := openDB(t, filepath.Join(s.dir, "lode.db"))
	files, err := dag.Open(context.Background(), db, s.blocks, clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := client.Config{Poll: 3 * time.Millisecond, MaxPoll: 20 * time.Millisecond, Sweep: 5 * time.Millisecond}
	for _, f := range change {
		f(&cfg)
	}
	c, err := client.Open(context.Background(), cfg, client.Deps{
		DB: db, Host: s.host, Chain: d, Outbox: d, Keys: d, Files: files, Clock: clock.System{}, Log: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c, files, run(ctx, c.Run, func() { closeDB(t, db) })
}

func closeDB(t testing.TB, db *sql.DB) {
	t.Helper()
	if err := repo.CloseDB(context.Background(), db); err != nil {
		t.Error(err)
	}
}

func content(n int, seed byte) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func importFile(t testing.TB, files *dag.Store, data []byte) *dag.Import {
	t.Helper()
	imp, err := files.Import(context.Background(), "file", bytes.NewReader(data), 0, dag.Options{SectorSize: sectorSize})
	if err != nil {
		t.Fatal(err)
	}
	return imp
}

func at(s seat) peer.AddrInfo { return peer.AddrInfo{ID: s.host.ID(), Addrs: s.host.Addrs()} }

// makeDeals retries while the provider's protocols are not registered yet: Run has no event for it.
func makeDeals(t testing.TB, c *client.Client, r client.Request) []*client.Deal {
	t.Helper()
	var ds []*client.Deal
	var err error
	eventually(t, "deals are made", func() bool {
		ds, err = c.Make(context.Background(), r)
		var down deal.Unreachable
		return !errors.As(err, &down)
	})
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

func allIn(t testing.TB, c *client.Client, want client.State) {
	t.Helper()
	eventually(t, "all deals are "+string(want), func() bool {
		ds, err := c.Deals(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range ds {
			if d.State != want {
				if d.State.Ended() {
					t.Fatalf("deal of piece %d is %s: %s", d.Piece, d.State, d.Error)
				}
				return false
			}
		}
		return len(ds) > 0
	})
}

// TestFileThereAndBack is the whole flow: a file of several pieces is stored and retrieved.
func TestFileThereAndBack(t *testing.T) {
	w := newWorld(t)
	wallet := w.account(t, 100)
	ps, cs := newSeat(t), newSeat(t)
	ctx := context.Background()
	p, pr := startProvider(t, ctx, w, w, ps, nil)
	c, files, cr := startClient(t, ctx, w, cs)
	defer cr.stop(t)
	defer pr.stop(t)
	want := content(100_000, 1)
	imp := importFile(t, files, want)
	if len(imp.Pieces) < 3 {
		t.Fatalf("%d pieces", len(imp.Pieces))
	}
	w.set(func() {
		w.info.PeerId = abi.PeerID(ps.host.ID())
		w.info.Multiaddrs = []abi.Multiaddrs{ps.host.Addrs()[0].Bytes()}
	})
	makeDeals(t, c, client.Request{Root: imp.Root, Provider: w.miner, Client: wallet.address})
	allIn(t, c, client.Active)
	got, err := p.Deals(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range got {
		eventually(t, "the provider's deal is complete", func() bool {
			d, err := p.Deal(ctx, d.UUID)
			return err == nil && d.State == deal.Complete && d.Error == ""
		})
	}
	if left, _ := os.ReadDir(filepath.Join(ps.dir, "staging")); len(left) > 0 {
		t.Errorf("staging still has %s", left[0].Name())
	}
	if w.published != len(imp.Pieces) {
		t.Errorf("%d deals were published for %d pieces", w.published, len(imp.Pieces))
	}

	db := openDB(t, filepath.Join(ps.dir, "lode.db"))
	defer closeDB(t, db)
	index, _ := pieces.Open(ctx, db)
	server := retrieval.New(retrieval.Config{}, ps.host, pieces.NewBlocks(index, w, nil), index, w, quiet)
	sr := run(ctx, server.Run, func() {})
	defer sr.stop(t)
	third := newHost(t)
	out := filepath.Join(t.TempDir(), "out")
	eventually(t, "the file is retrieved", func() bool {
		_, err := retrieval.NewFetcher(third, quiet, retrieval.OnChain{Deals: w}).Fetch(ctx, retrieval.Request{Root: imp.Root, Out: out})
		return err == nil
	})
	if got, _ := os.ReadFile(out); !bytes.Equal(got, want) {
		t.Fatal("the file came back different")
	}

	// The deals end on the chain one day, as agreed or before.
	ds, _ := c.Deals(ctx)
	w.set(func() {
		w.height = ds[0].End
		delete(w.deals, ds[0].DealID)
	})
	eventually(t, "the deal has expired", func() bool { d, _ := c.Deal(ctx, ds[0].UUID); return d.State == client.Expired })
	w.set(func() { w.states[ds[1].DealID].SlashEpoch = 5 })
	eventually(t, "the deal is slashed", func() bool { d, _ := c.Deal(ctx, ds[1].UUID); return d.State == client.Slashed })
}

// TestPlainHTTP has the data fetched from the client's HTTP port.
func TestPlainHTTP(t *testing.T) {
	w := newWorld(t)
	wallet := w.account(t, 100)
	ps, cs := newSeat(t), newSeat(t)
	var c *client.Client
	var served atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		served.Add(1)
		c.TransferHandler().ServeHTTP(rw, r)
	}))
	defer srv.Close()
	_, pr := startProvider(t, context.Background(), w, w, ps, nil)
	defer pr.stop(t)
	c0, files, cr := startClient(t, context.Background(), w, cs, func(cfg *client.Config) { cfg.HTTPURL = srv.URL })
	c = c0
	defer cr.stop(t)
	imp := importFile(t, files, content(5000, 6))
	makeDeals(t, c, client.Request{Root: imp.Root, Provider: w.miner, Client: wallet.address, Peer: at(ps), HTTP: true})
	allIn(t, c, client.Active)
	if n := served.Load(); n != 1 {
		t.Errorf("the data was fetched %d times over HTTP", n)
	}
	ds, _ := c.Deals(context.Background())
	if _, err := c.OpenPayload(context.Background(), ds[0].Token); !errors.Is(err, transfer.ErrNoPayload) {
		t.Errorf("the data of a deal that is on chain: %v", err)
	}
}

// pair is a running provider and client with a small imported file.
type pair struct {
	w      *world
	wallet *account
	ps     seat
	p      *provider.Provider
	c      *client.Client
	imp    *dag.Import
	req    client.Request
}

func newPair(t *testing.T, change func(*provider.Config)) *pair {
	w := newWorld(t)
	x := &pair{w: w, wallet: w.account(t, 100), ps: newSeat(t)}
	cs := newSeat(t)
	var pr, cr *running
	var files *dag.Store
	x.p, pr = startProvider(t, context.Background(), w, w, x.ps, change)
	x.c, files, cr = startClient(t, context.Background(), w, cs)
	t.Cleanup(func() { cr.stop(t); pr.stop(t) })
	x.imp = importFile(t, files, content(5000, 2))
	x.req = client.Request{Root: x.imp.Root, Provider: w.miner, Client: x.wallet.address, Peer: at(x.ps)}
	// Until the provider answers, nothing can be checked.
	eventually(t, "the provider answers", func() bool { _, err := x.c.Check(context.Background(), x.req); return err == nil })
	return x
}

func TestCheckIsADryRun(t *testing.T) {
	x := newPair(t, nil)
	ctx := context.Background()
	q, err := x.c.Check(ctx, x.req)
	if err != nil || q.Err() != nil {
		t.Fatal(err, q.Err())
	}
	fee := deal.PieceFee(big.NewInt(50_000_000), x.imp.Pieces[0].PieceSize)
	total := big.Mul(fee, big.NewInt(518_400))
	if !q.Total.Equals(total) || !q.Shortfall.Equals(total) || q.Pieces[0].ProviderCollateral.Int64() != 1320 {
		t.Errorf("total %s and shortfall %s, want %s; collateral %s", q.Total, q.Shortfall, total, q.Pieces[0].ProviderCollateral)
	}
	staked := x.req
	stake := big.NewInt(1700)
	staked.Collateral = &stake
	if q, err := x.c.Check(ctx, staked); err != nil || q.Err() != nil || q.Pieces[0].ProviderCollateral.Int64() != 1700 {
		t.Errorf("a collateral of 1700: %v, %v", q, err)
	}
	var broken client.Broken
	stake = big.NewInt(20_000)
	if _, err := x.c.Make(ctx, staked); !errors.As(err, &broken) {
		t.Errorf("a collateral that is too high: %v", err)
	}
	if ds, _ := x.c.Deals(ctx); len(ds) != 0 || len(x.w.keys) != 0 {
		t.Errorf("a check made %d deals and sent %v", len(ds), x.w.keys)
	}

	poor := x.w.account(t, 0)
	r := x.req
	r.Client = poor.address
	var unfunded deal.Unfunded
	if _, err := x.c.Make(ctx, r); !errors.As(err, &unfunded) || !strings.Contains(err.Error(), poor.address.String()) || unfunded.Need.Sign() <= 0 {
		t.Errorf("unfunded wallet: %v", err)
	}
	r = x.req
	r.MaxPrice = big.NewInt(1)
	if _, err := x.c.Make(ctx, r); !errors.Is(err, client.ErrAsk) {
		t.Errorf("ask too high: %v", err)
	}
	r = x.req
	r.Price = big.NewInt(1)
	var rule deal.Rejection
	if _, err := x.c.Make(ctx, r); !errors.As(err, &rule) || !strings.Contains(rule.Rule, "price") || !strings.Contains(rule.Required, "per GiB and month") {
		t.Errorf("price too low: %v", err)
	}
	r = x.req
	r.Duration = 1000
	if _, err := x.c.Make(ctx, r); !errors.As(err, &rule) || rule.Rule != "duration" || rule.Offered != "1000 epochs" || rule.Required != "518400 to 1555200 epochs" {
		t.Errorf("too short: %v", err)
	}
	r = x.req
	r.Peer = at(newSeat(t))
	if _, err := x.c.Check(ctx, r); !errors.As(err, &deal.Unreachable{}) {
		t.Errorf("provider down: %v", err)
	}
	r.Peer = peer.AddrInfo{}
	if _, err := x.c.Check(ctx, r); !errors.Is(err, deal.ErrNoPeer) {
		t.Errorf("no peer on chain: %v", err)
	}
	r = x.req
	r.Root = x.imp.Pieces[0].CID
	if _, err := x.c.Check(ctx, r); !errors.Is(err, dag.ErrNotFound) {
		t.Errorf("not imported: %v", err)
	}
	if _, err := x.p.SetAsk(ctx, provider.Offer{Price: big.Zero(), VerifiedPrice: big.Zero(), MinPiece: 256, MaxPiece: 1024, Duration: 100}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.c.Make(ctx, x.req); !errors.As(err, &client.PieceTooLarge{}) {
		t.Errorf("piece too large: %v", err)
	}
}

func TestAsk(t *testing.T) {
	x := newPair(t, nil)
	ctx := context.Background()
	a, err := x.p.Ask(ctx)
	if err != nil || a.Ask.Price.Int64() != 50_000_000 || a.Ask.MaxPieceSize != sectorSize {
		t.Fatalf("%+v %v", a, err)
	}
	o := provider.Offer{Price: big.NewInt(5), VerifiedPrice: big.Zero(), MinPiece: 8192, MaxPiece: sectorSize, Duration: 100}
	b, err := x.p.SetAsk(ctx, o)
	if err != nil || b.Ask.SeqNo != a.Ask.SeqNo+1 {
		t.Fatalf("%+v %v", b, err)
	}
	x.w.set(func() { x.w.height += 100 })
	c, err := x.p.Ask(ctx)
	if err != nil || c.Ask.SeqNo != b.Ask.SeqNo+1 || c.Ask.Price.Int64() != 5 {
		t.Errorf("after expiry: %+v %v", c, err)
	}
	q, err := x.c.Check(ctx, x.req)
	if err != nil || q.Pieces[0].PieceSize != 8192 {
		t.Errorf("a piece is raised to the ask's smallest: %+v %v", q, err)
	}
	for _, bad := range []provider.Offer{
		{}, {Price: big.NewInt(-1), VerifiedPrice: big.Zero(), MinPiece: 256, MaxPiece: 512, Duration: 1},
		{Price: big.Zero(), VerifiedPrice: big.Zero(), MinPiece: 300, MaxPiece: 512, Duration: 1},
		{Price: big.Zero(), VerifiedPrice: big.Zero(), MinPiece: 1024, MaxPiece: 512, Duration: 1},
		{Price: big.Zero(), VerifiedPrice: big.Zero(), MinPiece: 256, MaxPiece: 2 * sectorSize, Duration: 1},
	} {
		if _, err := x.p.SetAsk(ctx, bad); err == nil {
			t.Errorf("taken: %+v", bad)
		}
	}
}

// propose sends a proposal made by hand.
func (x *pair) propose(t *testing.T, change func(*deal.Params, *market.DealProposal)) *deal.Response {
	t.Helper()
	ctx := context.Background()
	h := newHost(t)
	h.Peerstore().AddAddrs(x.ps.host.ID(), x.ps.host.Addrs(), time.Hour)
	id := uuid.New()
	prop := market.DealProposal{
		PieceCID: x.imp.Pieces[0].CID, PieceSize: x.imp.Pieces[0].PieceSize, Client: x.wallet.address, Provider: x.w.miner,
		StartEpoch: 3000, EndEpoch: 3000 + 518_400, StoragePricePerEpoch: deal.PieceFee(big.NewInt(50_000_000), x.imp.Pieces[0].PieceSize),
		ProviderCollateral: big.NewInt(1000), ClientCollateral: big.Zero(),
	}
	m := &deal.Params{DealUUID: id[:], DealDataRoot: x.imp.Root, IsOffline: true}
	if change != nil {
		change(m, &prop)
	}
	signed, err := deal.Sign(ctx, x.w, x.wallet.address, prop)
	if err != nil {
		t.Fatal(err)
	}
	if m.ClientDealProposal.ClientSignature.Data == nil {
		m.ClientDealProposal = *signed
	} else {
		m.ClientDealProposal.Proposal = prop
	}
	res, err := deal.Propose(ctx, h, x.ps.host.ID(), m)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestRejections(t *testing.T) {
	x := newPair(t, func(c *provider.Config) { c.SealDuration = 100; c.StagingBytes = 10_000 })
	x.w.set(func() { x.w.escrow[x.wallet.id] = types.FilecoinPrecision })
	stranger := newWorld(t).account(t, 1)
	online := func(m *deal.Params, url string, size uint64) {
		m.IsOffline = false
		m.Transfer = deal.Transfer{Size: size, Type: "http", Params: []byte(`{"URL":"` + url + `"}`)}
	}
	for _, c := range []struct {
		name   string
		change func(*deal.Params, *market.DealProposal)
		want   []string // in the message
	}{
		{"signature", func(m *deal.Params, _ *market.DealProposal) {
			m.ClientDealProposal.ClientSignature.Type = 1
			m.ClientDealProposal.ClientSignature.Data = make([]byte, 65)
		}, []string{"client signature"}},
		{"client", func(_ *deal.Params, p *market.DealProposal) { p.Client = stranger.address }, []string{"client", "exists on chain"}},
		{"provider", func(_ *deal.Params, p *market.DealProposal) { p.Provider = x.wallet.address }, []string{"provider", x.w.miner.String()}},
		{"piece size", func(_ *deal.Params, p *market.DealProposal) { p.PieceSize = 1000 }, []string{"piece size", "1000 bytes", "power of two"}},
		{"piece cid", func(_ *deal.Params, p *market.DealProposal) { p.PieceCID = x.imp.Root }, []string{"piece CID", "fil-commitment-unsealed"}},
		{"end", func(_ *deal.Params, p *market.DealProposal) { p.EndEpoch = p.StartEpoch }, []string{"end epoch", "after the start epoch 3000"}},
		{"start", func(_ *deal.Params, p *market.DealProposal) { p.StartEpoch, p.EndEpoch = 10, 10+518_400 }, []string{"start epoch", "offered 10", "current epoch 1000"}},
		{"too soon", func(_ *deal.Params, p *market.DealProposal) { p.StartEpoch, p.EndEpoch = 1050, 1050+518_400 }, []string{"start epoch", "at least 1100"}},
		{"duration", func(_ *deal.Params, p *market.DealProposal) { p.EndEpoch = p.StartEpoch + 5 }, []string{"duration", "offered 5 epochs", "518400"}},
		{"far end", func(_ *deal.Params, p *market.DealProposal) {
			p.StartEpoch, p.EndEpoch = 100_000, 100_000+1_555_200
		}, []string{"end epoch", "1556200"}},
		{"collateral low", func(_ *deal.Params, p *market.DealProposal) { p.ProviderCollateral = big.NewInt(999) }, []string{"provider collateral", "offered 999 attoFIL", "1000 attoFIL to 2000 attoFIL"}},
		{"collateral high", func(_ *deal.Params, p *market.DealProposal) { p.ProviderCollateral = big.NewInt(2001) }, []string{"provider collateral"}},
		{"price", func(_ *deal.Params, p *market.DealProposal) { p.StoragePricePerEpoch = big.NewInt(1) }, []string{"price per epoch", "offered 1 attoFIL", "381 attoFIL"}},
		{"negative", func(_ *deal.Params, p *market.DealProposal) { p.ClientCollateral = big.NewInt(-1) }, []string{"amounts"}},
		{"piece too small", func(_ *deal.Params, p *market.DealProposal) { p.PieceSize = 128 }, []string{"piece size", "256 to 32768"}},
		{"escrow", func(_ *deal.Params, p *market.DealProposal) { p.ClientCollateral = types.TotalFilecoin }, []string{"client's market balance", "1 FIL available"}},
		{"data cap", func(_ *deal.Params, p *market.DealProposal) { p.VerifiedDeal = true }, []string{"data cap"}},
		{"far start", func(m *deal.Params, p *market.DealProposal) {
			p.StartEpoch, p.EndEpoch = 50_000, 50_000+518_400
			online(m, "http://x/", 1)
		}, []string{"start epoch", "at most 41420"}},
		{"no size", func(m *deal.Params, _ *market.DealProposal) { online(m, "http://x/", 0) }, []string{"transfer size"}},
		{"no url", func(m *deal.Params, _ *market.DealProposal) { online(m, "", 10) }, []string{"transfer", "no URL"}},
		{"uuid", func(m *deal.Params, _ *market.DealProposal) { m.DealUUID = []byte{1} }, []string{"deal UUID", "16 bytes"}},
	} {
		res := x.propose(t, c.change)
		if res.Accepted {
			t.Errorf("%s: accepted", c.name)
		}
		for _, w := range append(c.want, "failed validation: ") {
			if !strings.Contains(res.Message, w) {
				t.Errorf("%s: %q lacks %q", c.name, res.Message, w)
			}
		}
	}
	if ds, _ := x.p.Deals(context.Background()); len(ds) != 0 {
		t.Errorf("%d rejected deals are kept", len(ds))
	}
	if res := x.propose(t, func(m *deal.Params, _ *market.DealProposal) { online(m, "http://127.0.0.1:1/", 8000) }); !res.Accepted {
		t.Errorf("refused: %s", res.Message)
	}
	if res := x.propose(t, func(m *deal.Params, p *market.DealProposal) {
		p.StartEpoch++
		p.EndEpoch++
		online(m, "http://127.0.0.1:1/", 8000)
	}); res.Accepted || !strings.Contains(res.Message, "no space left") {
		t.Errorf("beyond the staging space: %+v", res)
	}
	x.w.set(func() { x.w.balance[x.w.accounts[0].id] = big.Zero() })
	if res := x.propose(t, func(_ *deal.Params, p *market.DealProposal) { p.EndEpoch++ }); res.Accepted || !strings.Contains(res.Message, "insufficient funds") {
		t.Errorf("without a provider's funds: %+v", res)
	}
}

func TestProposalAgain(t *testing.T) {
	x := newPair(t, nil)
	x.w.set(func() { x.w.escrow[x.wallet.id] = types.FilecoinPrecision })
	id := uuid.New()
	same := func(m *deal.Params, _ *market.DealProposal) { m.DealUUID = id[:] }
	for range 2 { // the answer may have been lost
		if res := x.propose(t, same); !res.Accepted {
			t.Fatal(res.Message)
		}
	}
	if res := x.propose(t, nil); res.Accepted || !strings.Contains(res.Message, "duplicate") {
		t.Errorf("the same proposal under another id: %+v", res)
	}
	if res := x.propose(t, func(m *deal.Params, p *market.DealProposal) { m.DealUUID = id[:]; p.StartEpoch++ }); res.Accepted || !strings.Contains(res.Message, "another proposal") {
		t.Errorf("another proposal under the same id: %+v", res)
	}
	if err := x.p.Cancel(context.Background(), id); err != nil {
		t.Fatal(err)
	}
	if res := x.propose(t, nil); !res.Accepted {
		t.Errorf("after it failed it may be made again: %s", res.Message)
	}
}

func TestOfflineDeal(t *testing.T) {
	x := newPair(t, nil)
	ctx := context.Background()
	x.w.set(func() { x.w.escrow[x.wallet.id] = types.FilecoinPrecision })
	id := uuid.New()
	if res := x.propose(t, func(m *deal.Params, _ *market.DealProposal) { m.DealUUID = id[:] }); !res.Accepted {
		t.Fatal(res.Message)
	}
	path := filepath.Join(t.TempDir(), "data")
	os.WriteFile(path, []byte("the wrong file"), 0o600)
	if err := x.p.Import(ctx, id, path); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the wrong file is noticed", func() bool { d, _ := x.p.Deal(ctx, id); return d.Held && strings.Contains(d.Error, "not the piece") })
	files := carOf(t, x)
	os.WriteFile(path, files, 0o600)
	if err := x.p.Import(ctx, id, path); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the deal is complete", func() bool { d, _ := x.p.Deal(ctx, id); return d.State == deal.Complete })
	d, _ := x.p.Deal(ctx, id)
	if d.Error != "" || d.Blocks == 0 {
		t.Errorf("%+v", d.Life)
	}
	if h, err := x.p.History(ctx, id); err != nil || len(h) < 7 {
		t.Errorf("history %v (%v)", h, err)
	}
	if err := x.p.Import(ctx, id, path); err == nil {
		t.Error("data was imported into a complete deal")
	}
}

func carOf(t *testing.T, x *pair) []byte {
	cs := newSeat(t)
	_, files, r := startClient(t, context.Background(), x.w, cs)
	defer r.stop(t)
	imp := importFile(t, files, content(5000, 2))
	s, err := files.Open(context.Background(), imp.Root, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(s); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestStatusNeedsTheClientsKey(t *testing.T) {
	x := newPair(t, nil)
	x.w.set(func() { x.w.sealed = false })
	ds := makeDeals(t, x.c, x.req)
	ctx := context.Background()
	eventually(t, "it is sealing", func() bool {
		d, _ := x.c.Deal(ctx, ds[0].UUID)
		return d.State == client.Sealing && d.Sector == "PreCommit1"
	})
	h := newHost(t)
	h.Peerstore().AddAddrs(x.ps.host.ID(), x.ps.host.Addrs(), time.Hour)
	ask := func(id uuid.UUID, a *account) *deal.StatusResponse {
		sig, err := x.w.Sign(ctx, a.address, id[:])
		if err != nil {
			t.Fatal(err)
		}
		res, err := deal.QueryStatus(ctx, h, x.ps.host.ID(), &deal.StatusRequest{DealUUID: id[:], Signature: *sig})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	other := x.w.account(t, 1)
	if res := ask(ds[0].UUID, other); res.Error != "signature verification failed" || res.DealStatus != nil {
		t.Errorf("a stranger is told %+v", res)
	}
	if res := ask(uuid.New(), other); !strings.HasPrefix(res.Error, "no storage deal found with deal UUID ") {
		t.Errorf("an unknown deal: %+v", res)
	}
	res := ask(ds[0].UUID, x.wallet)
	if s := res.DealStatus; s == nil || s.Status != string(deal.Indexed) || s.SealingStatus != "PreCommit1" || s.PublishCid == nil || res.NBytesReceived != res.TransferSize {
		t.Errorf("its client is told %+v", res)
	}
	x.w.set(func() { x.w.sealed = true })
	allIn(t, x.c, client.Active)
}

func TestBatching(t *testing.T) {
	x := newPair(t, func(c *provider.Config) { c.PublishWait = time.Hour; c.PublishMax = 2 })
	r := x.req
	for i := range 2 {
		r.Start = abi.ChainEpoch(4000 + i) // else they would be the same proposal
		makeDeals(t, x.c, r)
	}
	allIn(t, x.c, client.Active)
	n := 0
	for _, in := range x.w.sent {
		if in.Method == builtin.MethodsMarket.PublishStorageDeals {
			n++
		}
	}
	if n != 1 {
		t.Errorf("two deals took %d messages", n)
	}
}

func TestPublishFailsOnceThenWorks(t *testing.T) {
	x := newPair(t, nil)
	failed := false
	x.w.set(func() {
		x.w.spoil = func(in *outbox.Intent) exitcode.ExitCode {
			if in.Method == builtin.MethodsMarket.PublishStorageDeals && !failed {
				failed = true
				return exitcode.SysErrOutOfGas
			}
			return 0
		}
	})
	makeDeals(t, x.c, x.req)
	allIn(t, x.c, client.Active)
	ds, _ := x.p.Deals(context.Background())
	if ds[0].Batches != 2 || x.w.published != 1 {
		t.Errorf("%d messages, %d deals published", ds[0].Batches, x.w.published)
	}
}

func TestChainRefuses(t *testing.T) {
	x := newPair(t, func(c *provider.Config) { c.PublishWait = time.Hour })
	ds := makeDeals(t, x.c, x.req)
	ctx := context.Background()
	eventually(t, "the data is there", func() bool {
		d, err := x.p.Deal(ctx, ds[0].UUID)
		return err == nil && d.State == deal.Transferred
	})
	if err := x.p.Cancel(ctx, ds[0].UUID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the client hears of it", func() bool {
		d, _ := x.c.Deal(ctx, ds[0].UUID)
		return d.State == client.Failed && strings.Contains(d.Error, "cancelled by the provider")
	})
	if err := x.p.Cancel(ctx, ds[0].UUID); err != nil {
		t.Errorf("again: %v", err)
	}
}

func TestStartPasses(t *testing.T) {
	x := newPair(t, func(c *provider.Config) { c.PublishWait = time.Hour })
	ds := makeDeals(t, x.c, x.req)
	ctx := context.Background()
	eventually(t, "the data is there", func() bool {
		d, err := x.p.Deal(ctx, ds[0].UUID)
		return err == nil && d.State == deal.Transferred
	})
	x.w.set(func() { x.w.height += 3000 })
	eventually(t, "the client gives it up", func() bool {
		d, _ := x.c.Deal(ctx, ds[0].UUID)
		return d.State == client.Failed && strings.Contains(d.Error, "start epoch")
	})
	if err := x.p.Resume(ctx, ds[0].UUID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the provider gives it up", func() bool {
		d, _ := x.p.Deal(ctx, ds[0].UUID)
		return d.State == deal.Complete && strings.Contains(d.Error, "start epoch")
	})
}
