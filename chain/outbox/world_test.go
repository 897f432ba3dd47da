package outbox

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/chain/index"
	"github.com/lodenet/lode/chain/mpool"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/types/sigs"
	"github.com/lodenet/lode/chain/vm"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/repo"
	"github.com/lodenet/lode/test/minichain"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"modernc.org/sqlite"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) // a logging library starts one before main
}

var errDead = errors.New("the process is dead")

// fuse kills a process at its n-th moment: before or after something that leaves a mark. From
// then on nothing it does has an effect.
type fuse struct {
	mu   sync.Mutex
	left int // guarded by mu, as dead
	dead bool
}

func (f *fuse) blown() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

func (f *fuse) moment() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left--; f.left < 0 {
		f.dead = true
	}
	if f.dead {
		return errDead
	}
	return nil
}

// around does something between two moments.
func (f *fuse) around(do func() error) error {
	if f == nil {
		return do()
	}
	if err := f.moment(); err != nil {
		return err
	}
	err := do()
	if derr := f.moment(); derr != nil {
		return derr
	}
	return err
}

// fusedDB opens SQLite connections whose writes are moments of a fuse.
type fusedDB struct {
	dsn string
	f   *fuse
}

func (d fusedDB) Driver() driver.Driver { return &sqlite.Driver{} }

func (d fusedDB) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := repo.Connector(d.dsn).Connect(ctx)
	if err != nil {
		return nil, err
	}
	return fusedConn{c, d.f}, nil
}

type fusedConn struct {
	driver.Conn
	f *fuse
}

func (c fusedConn) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (res driver.Result, err error) {
	err = c.f.around(func() error {
		res, err = c.Conn.(driver.ExecerContext).ExecContext(ctx, q, args)
		return err
	})
	return res, err
}

func (c fusedConn) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	if c.f != nil && c.f.blown() {
		return nil, errDead
	}
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, q, args)
}

func (c fusedConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
	return fusedTx{tx, c.f}, err
}

type fusedTx struct {
	driver.Tx // Rollback is what the file system does for a dead process
	f         *fuse
}

func (t fusedTx) Commit() error { return t.f.around(t.Tx.Commit) }

// world lives in a bubble of virtual time, and is what outlives a process: the chain, the disk, and what others have heard.
type world struct {
	t     testing.TB
	chain *minichain.Chain
	dsn   string

	// eager nodes publish their messages again a second after they start, the others never.
	eager bool

	mu    sync.Mutex
	heard []*types.SignedMessage // guarded by mu; in order
	deaf  map[cid.Cid]bool       // guarded by mu; what miners do not take
}

func newWorld(t testing.TB, accounts int) *world {
	w := &world{
		t: t, chain: minichain.New(t, accounts), deaf: map[cid.Cid]bool{},
		dsn: filepath.Join(t.TempDir(), "lode.db") + "?_pragma=journal_mode(wal)&_pragma=synchronous(off)",
	}
	return w
}

// process is one life of a node.
type process struct {
	*Outbox
	t        testing.TB
	w        *world
	pool     *mpool.Pool
	wallet   *wallet
	estimate func(*types.Message) exitcode.ExitCode
	stop     func()
}

type wallet struct {
	w      *world
	f      *fuse
	before func(context.Context) error
}

func (k *wallet) Sign(ctx context.Context, a address.Address, msg []byte) (sig *crypto.Signature, err error) {
	if k.before != nil {
		if err := k.before(ctx); err != nil {
			return nil, err
		}
	}
	acc, ok := k.w.chain.KeyOf(a)
	if !ok {
		return nil, fmt.Errorf("no key of %s", a)
	}
	err = k.f.around(func() error {
		sig, err = sigs.Sign(acc.Type, acc.Private, msg)
		return err
	})
	return sig, err
}

// engine lets the toy execution answer.
type engine struct {
	*minichain.Chain
	p *process
}

func (e engine) CallAfter(_ context.Context, _ *types.TipSet, _ []types.ChainMsg, msg types.ChainMsg) (*vm.Result, error) {
	code := exitcode.Ok
	if e.p.estimate != nil {
		code = e.p.estimate(msg.VMMessage())
	}
	return &vm.Result{Receipt: types.MessageReceipt{ExitCode: int64(code), GasUsed: 1_000_000}, Err: "as the test says"}, nil
}

// start begins a life; a nil fuse never blows.
func (w *world) start(f *fuse) *process {
	w.t.Helper()
	db := sql.OpenDB(fusedDB{w.dsn, f})
	db.SetMaxOpenConns(1)
	if f == nil {
		require.NoError(w.t, Migrate(w.t.Context(), db))
		require.NoError(w.t, mpool.Migrate(w.t.Context(), db))
		require.NoError(w.t, index.Migrate(w.t.Context(), db))
	}
	p := &process{t: w.t, w: w, wallet: &wallet{w: w, f: f}}
	publish := func(_ context.Context, m *types.SignedMessage) error {
		return f.around(func() error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.heard = append(w.heard, m)
			return nil
		})
	}
	opt := mpool.Options{Noise: func() float64 { return 0 }, RepublishFirst: time.Hour, RepublishEvery: time.Hour}
	if w.eager {
		opt.RepublishFirst = time.Second
	}
	log := slog.New(slog.DiscardHandler)
	p.pool = mpool.New(db, w.chain, engine{w.chain, p}, publish, clock.System{}, log, opt)
	p.Outbox = New(db, p.pool, w.chain, index.New(db, w.chain, log), p.wallet, log, Options{})
	p.stop = sync.OnceFunc(func() { require.NoError(w.t, db.Close()) })
	w.t.Cleanup(p.stop)
	return p
}

// run starts the loops, until stop.
func (p *process) run() *process {
	p.t.Helper()
	return p.loop(p.pool.Run, p.Run)
}

// runPool starts the pool's loop alone: the test says when the outbox looks at the chain.
func (p *process) runPool() *process {
	p.t.Helper()
	return p.loop(p.pool.Run)
}

func (p *process) loop(parts ...func(context.Context) error) *process {
	ctx, cancel := context.WithCancel(p.t.Context())
	done := make(chan error, len(parts))
	for _, run := range parts {
		go func() { done <- run(ctx) }()
	}
	closeDB := p.stop
	p.stop = sync.OnceFunc(func() {
		cancel()
		for range parts {
			require.NoError(p.t, <-done)
		}
		closeDB()
	})
	p.t.Cleanup(p.stop)
	return p
}

// settle waits until pool, index and outbox have nothing left to do: then the rows are true at
// the head.
func (p *process) settle() {
	p.t.Helper()
	synctest.Wait()
	head, _ := p.now()
	require.True(p.t, head.Equals(p.w.chain.Head()), "outbox stands at %s, the head is %s", head, p.w.chain.Head())
}

// mine makes a block of what miners have heard, on the head.
func (w *world) mine() *types.TipSet {
	w.t.Helper()
	ts := w.mineOn(w.chain.Head(), 0)
	w.chain.Go(ts)
	return ts
}

// mineOn makes a block on a tipset. Of messages with one nonce the latest is taken.
func (w *world) mineOn(parent *types.TipSet, nulls int) *types.TipSet {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	v, err := w.chain.View(w.t.Context(), parent)
	require.NoError(w.t, err)
	var block []*types.SignedMessage
	for _, a := range w.chain.Accounts {
		act, err := v.Actor(w.t.Context(), a.Key)
		require.NoError(w.t, err)
		for nonce := act.Nonce; ; nonce++ {
			var take *types.SignedMessage
			for _, m := range w.heard {
				if m.Message.From == a.Key && m.Message.Nonce == nonce && !w.deaf[m.Cid()] {
					take = m
				}
			}
			if take == nil {
				break
			}
			block = append(block, take)
		}
	}
	return w.chain.On(parent, nulls, block)
}

// calls counts how often the chain of the head makes a call with a value.
func (w *world) calls(value int64) (n int) {
	w.t.Helper()
	for ts := w.chain.Head(); ts.Height() > 0; {
		msgs, err := index.Executed(w.t.Context(), w.chain, ts)
		require.NoError(w.t, err)
		for _, m := range msgs {
			if m.VMMessage().Value.Equals(big.NewInt(value)) {
				n++
			}
		}
		ts, err = w.chain.TipSet(w.t.Context(), ts.Parents())
		require.NoError(w.t, err)
	}
	return n
}

// intent is a transfer that is known by its value.
func (w *world) intent(from int, value int64) Intent {
	return Intent{
		Key: fmt.Sprint("pay ", value), From: w.chain.Accounts[from].Key, To: w.chain.Accounts[(from+1)%len(w.chain.Accounts)].Key,
		Value: big.NewInt(value),
	}
}

// hears makes miners hear a message of someone else.
func (w *world) hears(m *types.SignedMessage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = append(w.heard, m)
}

// ignores makes miners not take a message; or all that they have heard.
func (w *world) ignores(ms ...*types.SignedMessage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(ms) == 0 {
		ms = w.heard
	}
	for _, m := range ms {
		w.deaf[m.Cid()] = true
	}
}
