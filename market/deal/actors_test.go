package deal_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/types/sigs"
	"github.com/lodenet/lode/market/deal"
	"github.com/lodenet/lode/market/deal/client"
	"github.com/lodenet/lode/market/deal/provider"
	"github.com/lodenet/lode/proofs/insecure"
	"github.com/lodenet/lode/test/actorchain"
)

// engine is a chain of real actors.
type engine struct{ *actorchain.Chain }

func (e engine) Circulating(ctx context.Context, ts *types.TipSet) (abi.TokenAmount, error) {
	return e.CirculatingSupply(ctx, ts)
}

// Call takes everything: execution on a scratch state is consensus's subject.
func (engine) Call(context.Context, *types.TipSet, *types.Message) (exitcode.ExitCode, string, error) {
	return 0, "", nil
}

// both is what the two sides are given.
type both struct {
	deal.Chain
	deal.Outbox
	provider.Sealer
}

func (b both) Sign(_ context.Context, a address.Address, msg []byte) (*crypto.Signature, error) {
	for _, seed := range []string{"worker", "client"} {
		key := sigs.KeyFromSeed([]byte(seed))
		if have, err := sigs.Address(crypto.SigTypeBLS, key); err == nil && have == a {
			return sigs.Sign(crypto.SigTypeBLS, key, msg)
		}
	}
	return nil, errors.New("no such key")
}

// slow takes any piece and never gets on with it.
type slow struct{}

func (slow) AddPiece(_ context.Context, p provider.Piece, r io.Reader) (provider.Placement, error) {
	_, err := io.Copy(io.Discard, r)
	return provider.Placement{Size: p.Size}, err
}

func (slow) SectorStatus(context.Context, abi.SectorNumber) (provider.SectorStatus, error) {
	return provider.SectorStatus{State: "PreCommit1"}, nil
}

// TestOnRealActors publishes a deal in the real market actor: escrow on both sides,
// collateral by its formula, its return value, and the deal read back.
func TestOnRealActors(t *testing.T) {
	ctx := context.Background()
	chain := actorchain.New(t, actorchain.Network(), insecure.New())
	state := deal.NewState(engine{chain})
	w := newWorld(t)
	d := both{Chain: state, Outbox: chain, Sealer: slow{}}

	stop := make(chan struct{})
	ticked := make(chan struct{})
	go func() {
		defer close(ticked)
		pause := 20 * time.Millisecond
		for {
			select {
			case <-stop:
				return
			case <-time.After(pause):
				chain.Tick()
				if chain.Height() > 2000 { // the start epoch, 2880 ticks away, must not come on a busy machine
					pause = time.Second
				}
			}
		}
	}()
	defer func() { close(stop); <-ticked }()

	w.miner = chain.Miner
	ps, cs := newSeat(t), newSeat(t)
	p, pr := startProvider(t, ctx, w, d, ps, func(c *provider.Config) { c.SectorSize = 2 << 10 })
	defer pr.stop(t)
	c, files, cr := startClient(t, ctx, d, cs)
	defer cr.stop(t)
	imp := importFile(t, files, content(900, 8))

	if _, err := state.LookupID(ctx, newWorld(t).account(t, 0).address); !errors.Is(err, view.ErrNotFound) {
		t.Errorf("an unknown address: %v", err)
	}
	if _, _, err := state.Deal(ctx, 99); !errors.Is(err, view.ErrNotFound) {
		t.Errorf("an unknown deal: %v", err)
	}
	if v, err := state.DataCap(ctx, chain.Client); err != nil || !v.IsZero() {
		t.Errorf("data cap %s (%v)", v, err)
	}
	if escrow, locked, err := state.MarketBalance(ctx, chain.Client); err != nil || !escrow.IsZero() || !locked.IsZero() {
		t.Errorf("market balance before: %s, %s (%v)", escrow, locked, err)
	}

	ds := makeDeals(t, c, client.Request{Root: imp.Root, Provider: chain.Miner, Client: chain.Client, Peer: at(ps)})
	eventually(t, "the deal is published and sealing", func() bool {
		got, err := c.Deal(ctx, ds[0].UUID)
		if err != nil || got.State.Ended() {
			t.Fatalf("%+v %v", got, err)
		}
		return got.State == client.Sealing
	})
	got, err := p.Deal(ctx, ds[0].UUID)
	if err != nil {
		t.Fatal(err)
	}
	prop, st, err := state.Deal(ctx, got.DealID)
	if err != nil || st != nil || !prop.PieceCID.Equals(ds[0].PieceCID) {
		t.Fatalf("on chain: %+v %+v %v", prop, st, err)
	}
	escrow, locked, err := state.MarketBalance(ctx, chain.Client)
	if err != nil || !locked.Equals(prop.ClientBalanceRequirement()) || !escrow.Equals(locked) {
		t.Errorf("client: escrow %s, locked %s, required %s (%v)", escrow, locked, prop.ClientBalanceRequirement(), err)
	}
	escrow, locked, err = state.MarketBalance(ctx, chain.Miner)
	if err != nil || !locked.Equals(prop.ProviderCollateral) || escrow.LessThan(locked) {
		t.Errorf("provider: escrow %s, locked %s, required %s (%v)", escrow, locked, prop.ProviderCollateral, err)
	}
	least, _, err := state.CollateralBounds(ctx, prop.PieceSize, false)
	if err != nil || least.Sign() <= 0 || prop.ProviderCollateral.LessThan(least) || prop.ProviderCollateral.GreaterThan(big.Mul(least, big.NewInt(2))) {
		t.Errorf("collateral %s, least %s (%v)", prop.ProviderCollateral, least, err)
	}
	n := 0
	if err := state.ForEachDeal(ctx, func(abi.DealID, *market.DealProposal, *market.DealState) error { n++; return nil }); err != nil || n != 1 {
		t.Errorf("%d deals on chain (%v)", n, err)
	}
}
