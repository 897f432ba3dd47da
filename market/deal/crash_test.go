package deal_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"
	"github.com/lodenet/lode/chain/outbox"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/market/deal"
	"github.com/lodenet/lode/market/deal/client"
	"github.com/lodenet/lode/market/deal/provider"
)

// dying is the world as seen by a process that is killed at its nth call: before the call
// has its effect, or after it but before the process hears of it. From then on nothing that
// it does reaches the world.
type dying struct {
	*world
	mu    sync.Mutex
	left  int
	after bool
	dead  chan struct{}
}

func dyingAt(w *world, n int, after bool) *dying {
	return &dying{world: w, left: n, after: after, dead: make(chan struct{})}
}

// call runs an effect unless the process is dead.
func (d *dying) call(effect func()) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.dead:
		return context.Canceled
	default:
	}
	d.left--
	if d.left == 0 && !d.after {
		close(d.dead)
		return context.Canceled
	}
	effect()
	if d.left == 0 {
		close(d.dead)
		return context.Canceled
	}
	return nil
}

func (d *dying) Height(ctx context.Context) (v abi.ChainEpoch, err error) {
	if kerr := d.call(func() { v, err = d.world.Height(ctx) }); kerr != nil {
		return 0, kerr
	}
	return v, err
}

func (d *dying) MarketBalance(ctx context.Context, a address.Address) (e, l abi.TokenAmount, err error) {
	if kerr := d.call(func() { e, l, err = d.world.MarketBalance(ctx, a) }); kerr != nil {
		return e, l, kerr
	}
	return e, l, err
}

func (d *dying) KeyAddress(ctx context.Context, a address.Address) (v address.Address, err error) {
	if kerr := d.call(func() { v, err = d.world.KeyAddress(ctx, a) }); kerr != nil {
		return v, kerr
	}
	return v, err
}

func (d *dying) Deal(ctx context.Context, id abi.DealID) (p *market.DealProposal, s *market.DealState, err error) {
	if kerr := d.call(func() { p, s, err = d.world.Deal(ctx, id) }); kerr != nil {
		return nil, nil, kerr
	}
	return p, s, err
}

func (d *dying) MinerInfo(ctx context.Context, a address.Address) (i *miner.MinerInfo, err error) {
	if kerr := d.call(func() { i, err = d.world.MinerInfo(ctx, a) }); kerr != nil {
		return nil, kerr
	}
	return i, err
}

func (d *dying) Call(ctx context.Context, m *types.Message) (c exitcode.ExitCode, why string, err error) {
	if kerr := d.call(func() { c, why, err = d.world.Call(ctx, m) }); kerr != nil {
		return 0, "", kerr
	}
	return c, why, err
}

func (d *dying) Send(ctx context.Context, in outbox.Intent) (id outbox.ID, err error) {
	if kerr := d.call(func() { id, err = d.world.Send(ctx, in) }); kerr != nil {
		return 0, kerr
	}
	return id, err
}

func (d *dying) Wait(ctx context.Context, id outbox.ID, conf abi.ChainEpoch) (r *outbox.Result, err error) {
	if kerr := d.call(func() { r, err = d.world.Wait(ctx, id, conf) }); kerr != nil {
		return nil, kerr
	}
	return r, err
}

func (d *dying) Sign(ctx context.Context, a address.Address, msg []byte) (s *crypto.Signature, err error) {
	if kerr := d.call(func() { s, err = d.world.Sign(ctx, a, msg) }); kerr != nil {
		return nil, kerr
	}
	return s, err
}

func (d *dying) AddPiece(ctx context.Context, p provider.Piece, r io.Reader) (at provider.Placement, err error) {
	if kerr := d.call(func() { at, err = d.world.AddPiece(ctx, p, r) }); kerr != nil {
		return at, kerr
	}
	return at, err
}

func (d *dying) SectorStatus(ctx context.Context, n abi.SectorNumber) (s provider.SectorStatus, err error) {
	if kerr := d.call(func() { s, err = d.world.SectorStatus(ctx, n) }); kerr != nil {
		return s, kerr
	}
	return s, err
}

// died tells whether the death came.
func (d *dying) died() bool {
	select {
	case <-d.dead:
		return true
	default:
		return false
	}
}

// untilDeath gives a context that ends at the death.
func (d *dying) untilDeath() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-d.dead
		cancel()
	}()
	return ctx
}

// finish makes sure that the goroutine of untilDeath ends.
func (d *dying) finish() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.died() {
		close(d.dead)
	}
}

// stride leaves out kills in the quick tests.
func stride() int {
	if os.Getenv("LODE_LONG") != "" {
		return 1
	}
	return 4
}

// checkOnce tells whether each deal is on chain exactly once and each message was sent once.
func checkOnce(t *testing.T, w *world, deals int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.published != deals {
		t.Errorf("%d deals are published, %d were made", w.published, deals)
	}
	adds := map[address.Address]int{}
	for _, in := range w.sent {
		if in.Method == builtin.MethodsMarket.AddBalance {
			adds[in.From]++
		}
	}
	for a, n := range adds {
		if n > 1 {
			t.Errorf("%s filled its escrow %d times", a, n)
		}
	}
}

// TestProviderDies kills the provider at every call it makes, in turn, and starts it again
// on the same rows: the deal gets active, published once.
func TestProviderDies(t *testing.T) {
	ps, cs := newSeat(t), newSeat(t)
	for n := 1; ; n += stride() {
		reached := false
		for _, after := range []bool{false, true} {
			w := newWorld(t)
			wallet := w.account(t, 100)
			ps.dir, cs.dir = t.TempDir(), t.TempDir()
			k := dyingAt(w, n, after)
			p, pr := startProvider(t, k.untilDeath(), w, k, ps, nil)
			c, files, cr := startClient(t, context.Background(), w, cs)
			imp := importFile(t, files, content(5000, 3))
			ask := func() bool {
				_, err := c.Make(context.Background(), client.Request{Root: imp.Root, Provider: w.miner, Client: wallet.address, Peer: at(ps)})
				return err == nil
			}
			asked := false
			eventually(t, "the deal is active, or the provider dead", func() bool {
				if k.died() {
					return true
				}
				if !asked {
					asked = ask()
				}
				ds, err := p.Deals(context.Background())
				return err == nil && len(ds) == 1 && ds[0].State == deal.Complete
			})
			reached = reached || k.died()
			k.finish()
			pr.stop(t)
			p, pr = startProvider(t, context.Background(), w, w, ps, nil)
			eventually(t, "the deal is made", func() bool { asked = asked || ask(); return asked })
			allIn(t, c, client.Active)
			eventually(t, fmt.Sprintf("killed at call %d (after: %v), the provider's deal is complete", n, after), func() bool {
				ds, err := p.Deals(context.Background())
				return err == nil && len(ds) == 1 && ds[0].State == deal.Complete && ds[0].Error == ""
			})
			cr.stop(t)
			pr.stop(t)
			checkOnce(t, w, 1)
		}
		if !reached {
			if n < 10 {
				t.Fatalf("only %d calls", n)
			}
			return
		}
	}
}

// TestClientDies does the same to the client.
func TestClientDies(t *testing.T) {
	ps, cs := newSeat(t), newSeat(t)
	for n := 1; ; n += stride() {
		reached := false
		for _, after := range []bool{false, true} {
			w := newWorld(t)
			wallet := w.account(t, 100)
			ps.dir, cs.dir = t.TempDir(), t.TempDir()
			_, pr := startProvider(t, context.Background(), w, w, ps, nil)
			// The deal is made by a client that lives, and never runs.
			c, files, cr := startClient(t, context.Background(), w, cs)
			cr.cancel()
			<-cr.done
			imp := importFile(t, files, content(5000, 4))
			makeDeals(t, c, client.Request{Root: imp.Root, Provider: w.miner, Client: wallet.address, Peer: at(ps)})
			cr.close()

			k := dyingAt(w, n, after)
			c, _, cr = startClient(t, k.untilDeath(), k, cs)
			eventually(t, "the deal is active, or the client dead", func() bool {
				ds, err := c.Deals(context.Background())
				return k.died() || (err == nil && ds[0].State == client.Active)
			})
			reached = reached || k.died()
			k.finish()
			cr.stop(t)
			c, _, cr = startClient(t, context.Background(), w, cs)
			allIn(t, c, client.Active)
			cr.stop(t)
			pr.stop(t)
			checkOnce(t, w, 1)
		}
		if !reached {
			if n < 8 {
				t.Fatalf("only %d calls", n)
			}
			return
		}
	}
}
