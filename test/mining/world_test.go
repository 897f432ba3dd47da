package mining

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/lodenet/lode/chain/consensus"
	"github.com/lodenet/lode/chain/mining"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/repo"
	"github.com/lodenet/lode/test/livechain"
)

func TestMain(m *testing.M) {
	// A logger that a library of boxo starts when it is loaded.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/ipfs/go-log/writer.(*MirrorWriter).logRoutine"))
}

// world is a node's chain in virtual time, and everything that a miner needs, to be broken.
type world struct {
	*livechain.Chain
	t      *testing.T
	engine *consensus.Engine
	clk    clock.Clock
	db     *sql.DB

	mu        sync.Mutex
	pool      func(ts *types.TipSet) ([]*types.SignedMessage, error) // what is selected
	prove     func(round int) error                                  // before a proof is made
	publish   func(b *types.FullBlock) error                         // before a block is taken
	proofs    int
	published []published
}

type published struct {
	block *types.FullBlock
	at    time.Time
}

// in runs a test in a bubble of virtual time, at the genesis.
func in(t *testing.T, f func(t *testing.T, w *world), sectors ...int) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{Chain: livechain.New(t, sectors...), t: t}
		w.at(clock.System{})
		require.Equal(t, int64(w.Network.GenesisTime), time.Now().Unix())
		db := sql.OpenDB(repo.Connector(":memory:"))
		db.SetMaxOpenConns(1)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		w.db = db
		f(t, w)
	})
}

func (w *world) at(clk clock.Clock) {
	w.clk = clk
	w.engine = w.EngineAt(w.Store, clk)
}

func (w *world) miner(i int) *mining.Miner { return mining.New(w.deps(i)) }

func (w *world) deps(i int) mining.Deps {
	return mining.Deps{
		Miner: w.Miners[i].Address, Network: w.Network, DB: w.db, Chain: w.Store, Rules: w.engine,
		Messages: w, Prover: prover{w, i}, Signer: w.Miners[i], Publisher: w, Clock: w.clk, Log: slog.New(slog.DiscardHandler),
	}
}

// run runs miners until some epoch's middle, and stops them.
func (w *world) run(until abi.ChainEpoch, miners ...*mining.Miner) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	var wg sync.WaitGroup
	for _, m := range miners {
		wg.Go(func() {
			if err := m.Run(ctx); err != nil {
				w.t.Errorf("mining ended: %v", err)
			}
		})
	}
	end := time.Unix(int64(w.Network.GenesisTime), 0).Add(time.Duration(until)*4*time.Second + 500*time.Millisecond)
	require.NoError(w.t, w.clk.Until(ctx, end))
	cancel()
	wg.Wait()
}

// Select implements mining.Selector.
func (w *world) Select(_ context.Context, ts *types.TipSet, quality float64) ([]*types.SignedMessage, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if quality < 0 || quality > 1 {
		return nil, errors.New("quality")
	}
	if w.pool == nil {
		return nil, nil
	}
	return w.pool(ts)
}

type prover struct {
	w *world
	i int
}

// WinningPoSt implements mining.Prover.
func (p prover) WinningPoSt(ctx context.Context, miner address.Address, sectors []proof.SectorInfo, rand abi.PoStRandomness) ([]proof.PoStProof, error) {
	p.w.mu.Lock()
	p.w.proofs++
	n, prove := p.w.proofs, p.w.prove
	p.w.mu.Unlock()
	if prove != nil {
		if err := prove(n); err != nil {
			return nil, err
		}
	}
	return p.w.Miners[p.i].WinningPoSt(ctx, miner, sectors, rand)
}

// Publish implements mining.Publisher as a node does, without a network.
func (w *world) Publish(ctx context.Context, b *types.FullBlock) error {
	w.mu.Lock()
	broken := w.publish
	w.mu.Unlock()
	if broken != nil {
		if err := broken(b); err != nil {
			return err
		}
	}
	if err := w.engine.ValidateBlock(ctx, b); err != nil {
		return err
	}
	if err := w.Store.PutFullBlock(ctx, b); err != nil {
		return err
	}
	ts, err := types.NewTipSet([]*types.BlockHeader{b.Header})
	if err != nil {
		return err
	}
	if _, err := w.Store.Offer(ctx, ts, w.engine.Weight); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.published = append(w.published, published{b, w.clk.Now()})
	return nil
}

// heights of the chain, from the genesis to the head.
func (w *world) heights() (out []abi.ChainEpoch) {
	for _, ts := range w.chain() {
		out = append(out, ts.Height())
	}
	return out
}

func (w *world) chain() (out []*types.TipSet) {
	for ts := w.Store.Head(); ; {
		out = append([]*types.TipSet{ts}, out...)
		if ts.Height() == 0 {
			return out
		}
		var err error
		ts, err = w.Store.TipSet(w.t.Context(), ts.Parents())
		require.NoError(w.t, err)
	}
}

// wins are the rounds from one to another that a miner wins on the present chain's draws:
// they depend on the beacon and the power table alone.
func (w *world) wins(i int, from, to abi.ChainEpoch) (out []abi.ChainEpoch) {
	g := w.Store.Genesis()
	for round := from; round <= to; round++ {
		if w.Template(w.t, w.Miners[i], g, round) != nil {
			out = append(out, round)
		}
	}
	return out
}

func (w *world) noFaults() {
	type at struct {
		miner  address.Address
		height abi.ChainEpoch
	}
	type on struct {
		miner   address.Address
		parents types.TipSetKey
	}
	byHeight, byParents := map[at]string{}, map[on]string{}
	for _, p := range w.published {
		h := p.block.Header
		c := h.Cid().String()
		a, o := at{h.Miner, h.Height}, on{h.Miner, types.NewTipSetKey(h.Parents...)}
		for _, old := range []string{byHeight[a], byParents[o]} {
			require.True(w.t, old == "" || old == c, "%s is slashable with %s", c, old)
		}
		byHeight[a], byParents[o] = c, c
	}
}
