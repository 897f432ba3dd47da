package deal_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"golang.org/x/sys/unix"

	"github.com/lodenet/lode/chain/outbox"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/market/deal"
	"github.com/lodenet/lode/market/deal/client"
	"github.com/lodenet/lode/market/deal/provider"
)

// moving is a world that changes, once, right after something of it was read.
type moving struct {
	*world
	afterDeal, afterWait, beforeCall atomic.Pointer[func()]
}

func (x *moving) Wait(ctx context.Context, id outbox.ID, c abi.ChainEpoch) (*outbox.Result, error) {
	res, err := x.world.Wait(ctx, id, c)
	if res != nil && res.Receipt.ExitCode != 0 {
		once(&x.afterWait)
	}
	return res, err
}

func (x *moving) Call(ctx context.Context, m *types.Message) (exitcode.ExitCode, string, error) {
	once(&x.beforeCall)
	return x.world.Call(ctx, m)
}

func (x *moving) Deal(ctx context.Context, id abi.DealID) (*market.DealProposal, *market.DealState, error) {
	p, s, err := x.world.Deal(ctx, id)
	once(&x.afterDeal)
	return p, s, err
}

func once(f *atomic.Pointer[func()]) {
	if f := f.Swap(nil); f != nil {
		(*f)()
	}
}

// movingPair is a pair whose provider sees the world move.
func movingPair(t *testing.T, change func(*provider.Config)) (*pair, *moving) {
	w := newWorld(t)
	m := &moving{world: w}
	x := &pair{w: w, wallet: w.account(t, 100), ps: newSeat(t)}
	ctx := context.Background()
	p, pr := startProvider(t, ctx, w, m, x.ps, change)
	c, files, cr := startClient(t, ctx, w, newSeat(t))
	t.Cleanup(func() { cr.stop(t); pr.stop(t) })
	x.p, x.c, x.imp = p, c, importFile(t, files, content(5000, 2))
	x.req = client.Request{Root: x.imp.Root, Provider: w.miner, Client: x.wallet.address, Peer: at(x.ps)}
	return x, m
}

// ended waits for the provider's end of the only deal.
func (x *pair) ended(t *testing.T) (d *provider.Deal) {
	t.Helper()
	eventually(t, "the provider's deal has ended", func() bool {
		ds, err := x.p.Deals(context.Background())
		if err != nil || len(ds) != 1 {
			return false
		}
		d = ds[0]
		return d.State == deal.Complete
	})
	return d
}

// TestActivatedBetweenTwoLooks: a node catches up many epochs at once, between its provider's
// looks at the deal and at the height. The deal, which was activated in time, has not failed.
func TestActivatedBetweenTwoLooks(t *testing.T) {
	x, m := movingPair(t, nil)
	x.w.set(func() { x.w.sealed = false })
	makeDeals(t, x.c, x.req)
	eventually(t, "the deal waits for its sector", func() bool {
		ds, err := x.p.Deals(context.Background())
		return err == nil && len(ds) == 1 && ds[0].State == deal.Indexed
	})
	catchUp := func() {
		x.w.set(func() {
			for id, p := range x.w.deals {
				x.w.states[id] = &market.DealState{SectorStartEpoch: p.StartEpoch - 10, LastUpdatedEpoch: -1, SlashEpoch: -1}
				x.w.height = p.StartEpoch + 100
			}
		})
	}
	m.afterDeal.Store(&catchUp)
	if d := x.ended(t); d.Error != "" {
		t.Errorf("the deal failed: %s", d.Error)
	}
}

// TestPublishedBetweenTwoLooks: the publish message fails, and a reorg makes it work before the
// provider has asked why. The deal is on chain and has not failed.
func TestPublishedBetweenTwoLooks(t *testing.T) {
	x, m := movingPair(t, nil)
	var failed outbox.Intent
	x.w.set(func() {
		x.w.spoil = func(in *outbox.Intent) exitcode.ExitCode {
			if in.Method != builtin.MethodsMarket.PublishStorageDeals || failed.Key != "" {
				return 0
			}
			failed = *in
			return exitcode.SysErrOutOfGas
		}
	})
	reorg := func() { x.w.set(func() { x.w.results[failed.Key] = x.w.execute(failed) }) }
	m.afterWait.Store(&reorg)
	makeDeals(t, x.c, x.req)
	if d := x.ended(t); d.Error != "" || x.w.published != 1 {
		t.Errorf("the deal failed: %s; %d were published", d.Error, x.w.published)
	}
}

// TestCollateralGoesBetweenTwoLooks: a reorg takes the provider's collateral off the chain
// between the look at it and the deal's trial run. It is added again, and the deal published.
func TestCollateralGoesBetweenTwoLooks(t *testing.T) {
	x, m := movingPair(t, nil)
	reorg := func() { x.w.set(func() { x.w.escrow[x.w.miner] = big.Zero() }) }
	m.beforeCall.Store(&reorg)
	makeDeals(t, x.c, x.req)
	if d := x.ended(t); d.Error != "" {
		t.Errorf("the deal failed: %s", d.Error)
	}
}

// TestDealEndsWhileItsDataIsImported: the file is large, and while it is copied the deal is
// cancelled. Nothing of it stays, and the operator hears of it.
func TestDealEndsWhileItsDataIsImported(t *testing.T) {
	x, id := offlinePair(t)
	ctx := context.Background()
	pipe := filepath.Join(t.TempDir(), "data")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	imported := make(chan error, 1)
	go func() { imported <- x.p.Import(ctx, id, pipe) }()
	in, err := os.OpenFile(pipe, os.O_WRONLY, 0) // waits for the import to open it
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.WriteString("the first part"); err != nil {
		t.Fatal(err)
	}
	if err := x.p.Import(ctx, id, pipe+".other"); err == nil || !strings.Contains(err.Error(), "being imported") {
		t.Errorf("a second import beside the first: %v", err)
	}
	if err := x.p.Cancel(ctx, id); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-imported; err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("the import of an ended deal: %v", err)
	}
	left, err := os.ReadDir(filepath.Join(x.ps.dir, "staging"))
	if err != nil || len(left) != 0 {
		t.Errorf("left in the staging folder: %v (%v)", left, err)
	}
}
