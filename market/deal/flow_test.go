package deal_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
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

	"github.com/lodenet/lode/chain/outbox"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/market/deal"
	"github.com/lodenet/lode/market/deal/client"
	"github.com/lodenet/lode/market/deal/provider"
	"github.com/lodenet/lode/market/pieces"
	"github.com/lodenet/lode/market/retrieval"
	"github.com/lodenet/lode/market/transfer"
)

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

	db := openDB(filepath.Join(ps.dir, "lode.db"))
	defer closeDB(t, db)
	index, _ := pieces.Open(ctx, db)
	server := retrieval.New(retrieval.Config{}, ps.host, pieces.NewBlocks(index, w, nil), index, w, quiet)
	sr := run(ctx, server.Run, func() {})
	defer sr.stop(t)
	third := newHost(t)
	out := filepath.Join(t.TempDir(), "out")
	var why error
	defer func() {
		if why != nil {
			t.Logf("the last try to retrieve the file: %v", why)
		}
	}()
	eventually(t, "the file is retrieved", func() bool {
		_, why = retrieval.NewFetcher(third, quiet, retrieval.OnChain{Deals: w}).Fetch(ctx, retrieval.Request{Root: imp.Root, Out: out})
		return why == nil
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
	w.set(func() {
		state := *w.states[ds[1].DealID] // the old one may be looked at
		state.SlashEpoch = 5
		w.states[ds[1].DealID] = &state
	})
	eventually(t, "the deal is slashed", func() bool { d, _ := c.Deal(ctx, ds[1].UUID); return d.State == client.Slashed })
}

// turning is a world whose head moves, once, after its height was read.
type turning struct {
	*world
	turn atomic.Pointer[func()]
}

func (x *turning) Height(ctx context.Context) (abi.ChainEpoch, error) {
	h, err := x.world.Height(ctx)
	if turn := x.turn.Swap(nil); turn != nil {
		(*turn)()
	}
	return h, err
}

// TestExpiresBetweenTwoLooks: a deal whose last epoch comes between the client's look at the
// height and that at the deal has expired, and was not slashed.
func TestExpiresBetweenTwoLooks(t *testing.T) {
	w := newWorld(t)
	x := &turning{world: w}
	wallet := w.account(t, 100)
	ps, cs := newSeat(t), newSeat(t)
	ctx := context.Background()
	_, pr := startProvider(t, ctx, w, w, ps, nil)
	defer pr.stop(t)
	c, files, cr := startClient(t, ctx, x, cs)
	defer cr.stop(t)
	imp := importFile(t, files, content(1000, 9))
	makeDeals(t, c, client.Request{Root: imp.Root, Provider: w.miner, Client: wallet.address, Peer: at(ps)})
	allIn(t, c, client.Active)
	ds, err := c.Deals(ctx)
	if err != nil || len(ds) != 1 {
		t.Fatal(ds, err)
	}
	end := func() {
		w.set(func() {
			w.height = ds[0].End
			delete(w.deals, ds[0].DealID)
		})
	}
	x.turn.Store(&end)
	var state client.State
	eventually(t, "the deal has ended", func() bool {
		d, err := c.Deal(ctx, ds[0].UUID)
		if err != nil {
			return false
		}
		state = d.State
		return state != client.Active
	})
	if state != client.Expired {
		t.Errorf("the deal is %s", state)
	}
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

// offlinePair is a pair with a deal that waits for its data.
func offlinePair(t *testing.T) (*pair, uuid.UUID) {
	t.Helper()
	x := newPair(t, nil)
	x.w.set(func() { x.w.escrow[x.wallet.id] = types.FilecoinPrecision })
	id := uuid.New()
	if res := x.propose(t, func(m *deal.Params, _ *market.DealProposal) { m.DealUUID = id[:] }); !res.Accepted {
		t.Fatal(res.Message)
	}
	return x, id
}

func TestOfflineDeal(t *testing.T) {
	x, id := offlinePair(t)
	ctx := context.Background()
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

// The publish message cannot be sent, for want of gas say, until the start has passed: the
// chain would take it never from then on.
func TestPublishIsNeverSent(t *testing.T) {
	x := newPair(t, nil)
	noGas := errors.New("the wallet cannot pay for gas")
	x.w.set(func() {
		x.w.refuse = func(in *outbox.Intent) error {
			if in.Method == builtin.MethodsMarket.PublishStorageDeals {
				return noGas
			}
			return nil
		}
	})
	ds := makeDeals(t, x.c, x.req)
	ctx := context.Background()
	eventually(t, "the message is refused", func() bool {
		d, err := x.p.Deal(ctx, ds[0].UUID)
		return err == nil && d.State == deal.Published && strings.Contains(d.Error, noGas.Error())
	})
	x.w.set(func() { x.w.height += 3000 })
	eventually(t, "the provider gives it up", func() bool {
		d, _ := x.p.Deal(ctx, ds[0].UUID)
		return d.State == deal.Complete && strings.Contains(d.Error, "start epoch") && strings.Contains(d.Error, noGas.Error())
	})
}

// An escrow message that may be on its way is not made a second time.
func TestUncertainEscrow(t *testing.T) {
	w := newWorld(t)
	payer := w.account(t, 10)
	db := openDB(filepath.Join(t.TempDir(), "lode.db"))
	defer closeDB(t, db)
	ctx := context.Background()
	out := &uncertain{world: w, recorded: map[string]bool{}}
	f, err := deal.OpenFunds(ctx, db, w, out, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Ensure(ctx, payer.id, payer.address, big.NewInt(1000)); !errors.Is(err, outbox.ErrUncertain) {
		t.Fatal(err)
	}
	if err := f.Ensure(ctx, payer.id, payer.address, big.NewInt(1000)); err != nil {
		t.Error(err)
	}
	if len(out.recorded) != 1 {
		t.Errorf("%d messages", len(out.recorded))
	}
}

// uncertain is an outbox that records each intent at its first send and can tell no more.
type uncertain struct {
	*world
	recorded map[string]bool
}

func (u *uncertain) Send(ctx context.Context, in outbox.Intent) (outbox.ID, error) {
	if !u.recorded[in.Key] {
		u.recorded[in.Key] = true
		return 0, outbox.ErrUncertain
	}
	return u.world.Send(ctx, in)
}

// The client sleeps from the transfer until after the deal's start: the chain tells it that the
// deal is active.
func TestClientSleepsOverTheStart(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	wallet := w.account(t, 100)
	ps, cs := newSeat(t), newSeat(t)
	p, pr := startProvider(t, ctx, w, w, ps, nil)
	defer func() { pr.stop(t) }()
	w.set(func() {
		w.refuse = func(in *outbox.Intent) error {
			if in.Method == builtin.MethodsMarket.PublishStorageDeals {
				return errors.New("not yet")
			}
			return nil
		}
	})
	c, files, cr := startClient(t, ctx, w, cs)
	imp := importFile(t, files, content(5000, 2))
	ds := makeDeals(t, c, client.Request{Root: imp.Root, Provider: w.miner, Client: wallet.address, Peer: at(ps)})
	eventually(t, "the data is there", func() bool {
		d, err := p.Deal(ctx, ds[0].UUID)
		return err == nil && d.State == deal.Published
	})
	cr.stop(t)
	w.set(func() { w.refuse = nil })
	eventually(t, "the deal is active", func() bool {
		d, err := p.Deal(ctx, ds[0].UUID)
		return err == nil && d.State == deal.Complete && d.Error == ""
	})
	w.set(func() { w.height += 3000 })
	c, _, cr = startClient(t, ctx, w, cs)
	defer func() { cr.stop(t) }()
	allIn(t, c, client.Active)
	if d, err := c.Deal(ctx, ds[0].UUID); err != nil || !d.Found {
		t.Errorf("%+v, %v", d, err)
	}
}

// A kill between a deal's end and the removal of its data leaves a file; the next start does
// away with it, and with nothing else.
func TestStagingIsSwept(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	wallet := w.account(t, 100)
	ps, cs := newSeat(t), newSeat(t)
	p, pr := startProvider(t, ctx, w, w, ps, func(c *provider.Config) { c.PublishWait = time.Hour })
	c, files, cr := startClient(t, ctx, w, cs)
	defer func() { cr.stop(t) }()
	imp := importFile(t, files, content(5000, 2))
	req := client.Request{Root: imp.Root, Provider: w.miner, Client: wallet.address, Peer: at(ps)}
	ended := makeDeals(t, c, req)[0].UUID
	req.Start = 4000
	live := makeDeals(t, c, req)[0].UUID
	eventually(t, "the data is there", func() bool {
		d, err := p.Deal(ctx, live)
		e, eerr := p.Deal(ctx, ended)
		return err == nil && eerr == nil && d.State == deal.Transferred && e.State == deal.Transferred
	})
	if err := p.Cancel(ctx, ended); err != nil {
		t.Fatal(err)
	}
	pr.stop(t)
	staging := filepath.Join(ps.dir, "staging")
	left := []string{ended.String() + ".data", ended.String() + ".data.tmp", uuid.NewString() + ".data"}
	kept := []string{live.String() + ".data", live.String() + ".data.tmp", "notes.txt"}
	for _, name := range slices.Concat(left, kept[1:]) {
		if err := os.WriteFile(filepath.Join(staging, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, pr = startProvider(t, ctx, w, w, ps, func(c *provider.Config) { c.PublishWait = time.Hour })
	defer func() { pr.stop(t) }()
	for _, name := range left {
		eventually(t, name+" is gone", func() bool {
			_, err := os.Stat(filepath.Join(staging, name))
			return errors.Is(err, os.ErrNotExist)
		})
	}
	for _, name := range kept {
		if _, err := os.Stat(filepath.Join(staging, name)); err != nil {
			t.Error(err)
		}
	}
}

// What was in a sector that is gone is not offered any more.
func TestSectorThatIsGoneIsForgotten(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	wallet := w.account(t, 100)
	ps, cs := newSeat(t), newSeat(t)
	p, pr := startProvider(t, ctx, w, w, ps, nil)
	c, files, cr := startClient(t, ctx, w, cs)
	defer func() { cr.stop(t) }()
	imp := importFile(t, files, content(5000, 2))
	req := client.Request{Root: imp.Root, Provider: w.miner, Client: wallet.address, Peer: at(ps)}
	gone := makeDeals(t, c, req)[0].UUID
	allIn(t, c, client.Active)
	req.Start = 4000
	stays := makeDeals(t, c, req)[0].UUID
	allIn(t, c, client.Active)
	eventually(t, "the provider knows it", func() bool {
		a, aerr := p.Deal(ctx, gone)
		b, berr := p.Deal(ctx, stays)
		return aerr == nil && berr == nil && a.State == deal.Complete && b.State == deal.Complete
	})
	a, _ := p.Deal(ctx, gone)
	b, _ := p.Deal(ctx, stays)
	pr.stop(t)
	w.set(func() { w.gone = map[abi.SectorNumber]bool{a.Place.Sector: true} })
	p, pr = startProvider(t, ctx, w, w, ps, nil)
	defer func() { pr.stop(t) }()
	eventually(t, "the first sector is forgotten", func() bool {
		left, err := p.Index.Piece(ctx, a.Signed.Proposal.PieceCID)
		return err == nil && len(left) == 1 && left[0].Sector == b.Place.Sector
	})
}

// A reorg gives the deal another number, and its own to a deal of others that is active.
func TestReorgRenumbersTheDeal(t *testing.T) {
	ctx := context.Background()
	x := newPair(t, nil)
	x.w.set(func() { x.w.sealed = false })
	id := makeDeals(t, x.c, x.req)[0].UUID
	eventually(t, "it is sealing", func() bool {
		d, err := x.p.Deal(ctx, id)
		c, cerr := x.c.Deal(ctx, id)
		return err == nil && cerr == nil && d.State == deal.Indexed && c.State == client.Sealing
	})
	x.w.set(func() {
		other := *x.w.deals[0]
		x.w.deals[7], x.w.placed[7] = x.w.deals[0], x.w.placed[0]
		other.StartEpoch++
		x.w.deals[0] = &other
		delete(x.w.placed, 0)
		x.w.states[0] = &market.DealState{SectorStartEpoch: 1, LastUpdatedEpoch: -1, SlashEpoch: -1}
	})
	eventually(t, "both know the new number", func() bool {
		d, err := x.p.Deal(ctx, id)
		c, cerr := x.c.Deal(ctx, id)
		return err == nil && cerr == nil && d.DealID == 7 && c.DealID == 7
	})
	if d, err := x.p.Deal(ctx, id); err != nil || d.State != deal.Indexed {
		t.Errorf("the provider's deal is %s, %v", d.State, err)
	}
	x.w.set(func() { x.w.sealed = true })
	allIn(t, x.c, client.Active)
}

// The same wish again, since its answer was lost say, is the same deal; after it has ended it is
// a new one.
func TestSameDealIsNotMadeTwice(t *testing.T) {
	ctx := context.Background()
	x := newPair(t, func(c *provider.Config) { c.PublishWait = time.Hour })
	first := makeDeals(t, x.c, x.req)
	again, err := x.c.Make(ctx, x.req)
	if err != nil || len(again) != 1 || again[0].UUID != first[0].UUID {
		t.Fatalf("again: %v, %v", again, err)
	}
	other := x.req
	other.Duration = 600_000
	longer, err := x.c.Make(ctx, other)
	if err != nil || longer[0].UUID == first[0].UUID {
		t.Fatalf("for another term: %v, %v", longer, err)
	}
	eventually(t, "the data is there", func() bool {
		d, err := x.p.Deal(ctx, first[0].UUID)
		return err == nil && d.State == deal.Transferred
	})
	if err := x.p.Cancel(ctx, first[0].UUID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first has ended", func() bool {
		d, err := x.c.Deal(ctx, first[0].UUID)
		return err == nil && d.State.Ended()
	})
	if again, err = x.c.Make(ctx, x.req); err != nil || again[0].UUID == first[0].UUID {
		t.Fatalf("after its end: %v, %v", again, err)
	}
}
