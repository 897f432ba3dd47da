package mpool

import (
	"context"
	"database/sql"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/lodenet/lode/chain/store"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/vm"
	"github.com/lodenet/lode/repo"
	"github.com/lodenet/lode/test/minichain"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) // a logging library starts one before main
}

// engine answers calls as a test says.
type engine struct {
	*minichain.Chain
	call func(prior []types.ChainMsg, msg types.ChainMsg) *vm.Result
}

func (e engine) CallAfter(_ context.Context, _ *types.TipSet, prior []types.ChainMsg, msg types.ChainMsg) (*vm.Result, error) {
	return e.call(prior, msg), nil
}

// manualClock stands still until a test moves it.
type manualClock struct {
	mu      sync.Mutex
	now     time.Time
	waiting map[chan struct{}]time.Time // guarded by mu
	arrived chan struct{}               // one for each Until that began to wait
}

func newClock() *manualClock {
	return &manualClock{now: time.Unix(1_700_000_000, 0), waiting: map[chan struct{}]time.Time{}, arrived: make(chan struct{}, 100)}
}

func (c *manualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *manualClock) Until(ctx context.Context, t time.Time) error {
	c.mu.Lock()
	done := make(chan struct{})
	if !t.After(c.now) {
		c.mu.Unlock()
		return ctx.Err()
	}
	c.waiting[done] = t
	c.mu.Unlock()
	c.arrived <- struct{}{}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *manualClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	for ch, t := range c.waiting {
		if !t.After(c.now) {
			close(ch)
			delete(c.waiting, ch)
		}
	}
}

// rig is a pool on a chain.
type rig struct {
	t         testing.TB
	chain     *minichain.Chain
	db        *sql.DB
	clk       *manualClock
	pool      *Pool
	published chan *types.SignedMessage
	opt       Options
	call      func(prior []types.ChainMsg, msg types.ChainMsg) *vm.Result
}

func newRig(t testing.TB, accounts int, opt Options) *rig {
	t.Helper()
	db := sql.OpenDB(repo.Connector(filepath.Join(t.TempDir(), "lode.db") + "?_pragma=journal_mode(wal)&_pragma=synchronous(off)"))
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, Migrate(t.Context(), db))
	r := &rig{t: t, chain: minichain.New(t, accounts), db: db, clk: newClock(), published: make(chan *types.SignedMessage, 1000), opt: opt}
	if r.opt.Noise == nil {
		r.opt.Noise = func() float64 { return 0 }
	}
	r.restart()
	return r
}

// restart makes a new pool over the same database, as after a crash.
func (r *rig) restart() {
	eng := engine{r.chain, func(prior []types.ChainMsg, msg types.ChainMsg) *vm.Result { return r.call(prior, msg) }}
	publish := func(_ context.Context, m *types.SignedMessage) error {
		r.published <- m
		return nil
	}
	r.pool = New(r.db, r.chain, eng, publish, r.clk, slog.New(slog.DiscardHandler), r.opt)
}

// follow makes the pool catch up with the head, as Run would.
func (r *rig) follow() {
	r.t.Helper()
	ctx := r.t.Context()
	require.NoError(r.t, r.pool.load(ctx))
	f, err := r.chain.Follow(ctx, "", store.From(r.pool.head().Key()))
	require.NoError(r.t, err)
	for !r.pool.head().Equals(r.chain.Head()) {
		c, err := f.Next(ctx)
		require.NoError(r.t, err)
		require.NoError(r.t, r.pool.change(ctx, c))
		require.NoError(r.t, f.Done(ctx, c))
	}
}

func (r *rig) add(m *types.SignedMessage) error { return r.pool.Add(r.t.Context(), m, false) }

func (r *rig) push(m *types.SignedMessage) error { return r.pool.Add(r.t.Context(), m, true) }

// edit signs a transfer with some changes.
func (r *rig) edit(from, to int, nonce uint64, change func(*types.Message)) *types.SignedMessage {
	m := r.chain.Plain(from, to, nonce)
	change(&m)
	return r.chain.Sign(m)
}

func withPremium(p int64) func(*types.Message) {
	return func(m *types.Message) { m.GasPremium, m.GasFeeCap = big.NewInt(p), big.NewInt(p+1000) }
}

func fil(n int64) abi.TokenAmount { return big.Mul(big.NewInt(n), types.FilecoinPrecision) }
