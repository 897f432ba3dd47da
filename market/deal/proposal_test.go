package deal_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/google/uuid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/market/dag"
	"github.com/lodenet/lode/market/deal"
	"github.com/lodenet/lode/market/deal/client"
	"github.com/lodenet/lode/market/deal/provider"
)

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
	x := newPair(t, func(c *provider.Config) {
		c.SealDuration, c.StagingBytes = 100, 10_000
		c.TransferTries = math.MaxInt // what holds the staging space is not given up meanwhile
	})
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
		{"more than the piece", func(m *deal.Params, _ *market.DealProposal) { online(m, "http://x/", 1<<40) }, []string{"transfer size", "1 to "}},
		{"offline and more than the piece", func(m *deal.Params, _ *market.DealProposal) { m.Transfer.Size = math.MaxUint64 - 10 }, []string{"transfer size", "0 to "}},
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
