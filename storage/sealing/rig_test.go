package sealing

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"go.uber.org/goleak"

	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/proofs/insecure"
	"github.com/lodenet/lode/repo"
	"github.com/lodenet/lode/storage/sector"
	"github.com/lodenet/lode/test/actorchain"
)

func TestMain(m *testing.M) {
	// An old logging library of the actors' keeps a goroutine from its init on.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/ipfs/go-log/writer.(*MirrorWriter).logRoutine"))
}

// rig is a miner's sealing on a chain, in virtual time: the chain's epochs, river's polls and
// the timers all move only when everything waits.
type rig struct {
	t     *testing.T
	chain *actorchain.Chain
	dir   string
	db    *sql.DB
	s     *Sealing
	opt   Options
	log   *slog.Logger
	fault func(op, path string) error
	dies  func(point string) error
	stop  func()
}

// quickOptions suit a chain with short proving periods.
func quickOptions() Options {
	return Options{WaitDeals: 8 * time.Second, StartBuffer: 20, Cooldown: 4 * time.Second, Confidence: 2, SeedConfidence: 2}
}

// inTime runs a test in virtual time, with a chain that goes on by itself.
func inTime(t *testing.T, f func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, chain: actorchain.New(t, actorchain.Network(), insecure.New()), dir: t.TempDir(), opt: quickOptions(), log: slog.New(slog.DiscardHandler)}
		if testing.Verbose() {
			r.log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { r.chain.Run(ctx) })
		defer wg.Wait()
		defer cancel()
		r.open()
		defer func() { r.close() }()
		r.run()
		defer func() { r.stop() }()
		f(t, r)
	})
}

func (r *rig) dbPath() string { return filepath.Join(r.dir, "lode.db") }

func openDB(path string) *sql.DB {
	db := sql.OpenDB(repo.Connector(path + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)"))
	db.SetMaxOpenConns(1)
	return db
}

// open opens the database and makes a Sealing that does not run.
func (r *rig) open() {
	r.t.Helper()
	r.db = openDB(r.dbPath())
	s, err := New(Deps{
		DB: r.db, Dir: filepath.Join(r.dir, "sectors"), Miner: r.chain.Miner, Network: r.chain.Net,
		Chain: r.chain, Messages: r.chain, Prover: insecure.New(), Verifier: insecure.New(), Clock: clock.System{}, Log: r.log,
	}, r.opt)
	if err != nil {
		r.t.Fatal(err)
	}
	s.files.fault, s.dies = r.fault, r.dies
	r.s = s
}

func (r *rig) close() {
	if err := repo.CloseDB(r.t.Context(), r.db); err != nil {
		r.t.Error(err)
	}
}

// run starts the Sealing; stop stops it.
func (r *rig) run() {
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	go func() { done <- r.s.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
	})
}

func (r *rig) get(n abi.SectorNumber) Info {
	r.t.Helper()
	info, err := r.s.Sector(r.t.Context(), n)
	if err != nil {
		r.t.Fatal(err)
	}
	return info
}

// until waits, in virtual time, until a sector is in a state.
func (r *rig) until(n abi.SectorNumber, want sector.State) Info {
	r.t.Helper()
	for range 4000 {
		if info := r.get(n); info.State == want {
			return info
		}
		time.Sleep(time.Second)
	}
	log, _ := r.s.Log(r.t.Context(), n)
	for _, e := range log {
		r.t.Logf("%s %s -> %s %s", e.At.Format(time.TimeOnly), e.Event, e.State, e.Detail)
	}
	r.t.Fatalf("sector %d at epoch %d: state %s, want %s (%s)", n, r.chain.Height(), r.get(n).State, want, r.get(n).LastError)
	return Info{}
}

func (r *rig) pledge() abi.SectorNumber {
	r.t.Helper()
	n, err := r.s.Pledge(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

func (r *rig) sent(prefix string, want int) {
	r.t.Helper()
	if got := r.chain.Sent(prefix); len(got) != want {
		r.t.Errorf("%d messages %s*, want %d", len(got), prefix, want)
	}
}

// active checks that the chain has a sector as its record says.
func (r *rig) active(n abi.SectorNumber) {
	r.t.Helper()
	on, found, err := r.chain.Now().Sector(r.t.Context(), r.chain.Miner, n)
	if err != nil || !found {
		r.t.Fatalf("sector %d on chain: found %t, %v", n, found, err)
	}
	info := r.get(n)
	if on.SealedCID != info.CommR || on.Activation != info.Activation || on.Expiration != info.Expiration {
		r.t.Errorf("sector %d: chain has %s %d..%d, record %s %d..%d", n, on.SealedCID, on.Activation, on.Expiration, info.CommR, info.Activation, info.Expiration)
	}
}

var errDead = errors.New("the process is dead")

// mortal lets the process die at one point: from then on nothing reaches disk, database or
// outbox. What the database held then is kept, as a kill would leave it.
type mortal struct {
	r       *rig
	mu      sync.Mutex
	seen    map[string]bool // points where it died before
	dead    bool
	safe    bool // it does not die any more
	stage   string
	died    string
	pending chan struct{}
}

func (m *mortal) at(point string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return errDead
	}
	if m.safe || m.seen[point] {
		return nil
	}
	m.seen[point] = true
	m.dead, m.died = true, point
	// The file as another process would find it.
	snap := m.r.dbPath() + ".snap"
	_ = os.Remove(snap)
	db := sql.OpenDB(repo.Connector(m.r.dbPath() + "?_pragma=busy_timeout(5000)"))
	_, err := db.Exec(fmt.Sprintf("VACUUM INTO '%s'", snap))
	if err = errors.Join(err, db.Close()); err != nil {
		m.r.t.Error(err)
	}
	close(m.pending)
	return errDead
}

// restart waits for the death and starts again from what it left.
func (m *mortal) restart() {
	m.r.stop()
	m.r.close()
	for _, ext := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(m.r.dbPath() + ext)
	}
	if err := os.Rename(m.r.dbPath()+".snap", m.r.dbPath()); err != nil {
		m.r.t.Fatal(err)
	}
	m.mu.Lock()
	m.dead, m.pending = false, make(chan struct{})
	m.mu.Unlock()
	m.r.open()
	m.r.run()
}
