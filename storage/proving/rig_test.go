package proving

import (
	"context"
	"database/sql"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"go.uber.org/goleak"

	"github.com/lodenet/lode/chain/genesis"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/proofs/insecure"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/repo"
	"github.com/lodenet/lode/storage/sealing"
	"github.com/lodenet/lode/test/actorchain"
)

func TestMain(m *testing.M) {
	// An old logging library of the actors' keeps a goroutine from its init on.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/ipfs/go-log/writer.(*MirrorWriter).logRoutine"))
}

// rig is a miner with pre-sealed sectors on a chain, in virtual time.
type rig struct {
	t     *testing.T
	chain *actorchain.Chain
	dir   string
	s     *sealing.Sealing
	p     *Proving
	stop  func()
}

// inTime runs a test in virtual time. The chain stands still until the test lets it go on.
func inTime(t *testing.T, sectors int, f func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		net := actorchain.Network()
		pre, err := sealing.WritePreseal(t.Context(), dir, 1000, net, sectors, nil)
		if err != nil {
			t.Fatal(err)
		}
		var gs []genesis.Sector
		for _, s := range pre.Sectors {
			gs = append(gs, genesis.Sector{Number: s.Number, SealedCID: s.CommR})
		}
		r := &rig{t: t, chain: actorchain.New(t, net, insecure.New(), gs...), dir: dir}
		db := sql.OpenDB(repo.Connector(filepath.Join(dir, "lode.db")))
		db.SetMaxOpenConns(1)
		defer func() { _ = db.Close() }()
		log := slog.New(slog.DiscardHandler)
		if testing.Verbose() {
			log = slog.New(slog.NewTextHandler(t.Output(), nil))
		}
		r.s, err = sealing.New(sealing.Deps{
			DB: db, Dir: filepath.Join(dir, "own"), Miner: r.chain.Miner, Network: r.chain.Net, Chain: r.chain, Messages: r.chain,
			Prover: insecure.New(), Verifier: insecure.New(), Clock: clock.System{}, Log: log,
		}, sealing.Options{WaitDeals: 8 * time.Second, StartBuffer: 20, Cooldown: 4 * time.Second, Confidence: 2, SeedConfidence: 2})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.s.ImportPreseal(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		r.start(log)
		defer func() { r.stop() }()
		f(t, r)
	})
}

// start makes a Proving and runs it.
func (r *rig) start(log *slog.Logger) {
	var err error
	r.p, err = New(Deps{
		Miner: r.chain.Miner, Network: r.chain.Net, Chain: r.chain, Messages: r.chain, Sectors: r.s,
		Prover: insecure.New(), Verifier: insecure.New(), Log: log,
	}, Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.run()
}

// run runs the Proving that there is.
func (r *rig) run() {
	ctx, cancel := context.WithCancel(r.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.p.Run(ctx); err != nil {
			r.t.Error(err)
		}
	})
	r.stop = func() { cancel(); wg.Wait() }
}

// seal runs the Sealing, too.
func (r *rig) seal() (stop func()) {
	ctx, cancel := context.WithCancel(r.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.s.Run(ctx); err != nil {
			r.t.Error(err)
		}
	})
	return func() { cancel(); wg.Wait() }
}

// tick adds epochs, each when everything waits for it.
func (r *rig) tick(n int) {
	for range n {
		synctest.Wait()
		r.chain.Tick()
	}
	synctest.Wait()
}

// to goes on to a height.
func (r *rig) to(h abi.ChainEpoch) { r.tick(int(h - r.chain.Height())) }

// open is when the deadline of a sector opens next.
func (r *rig) open(n abi.SectorNumber) Deadline {
	r.t.Helper()
	dl, _, err := r.chain.Now().FindSector(r.t.Context(), r.chain.Miner, n)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.deadline(dl)
}

func (r *rig) deadline(i uint64) Deadline {
	r.t.Helper()
	all, err := r.p.Deadlines(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return all[i]
}

func (r *rig) power() int64 {
	r.t.Helper()
	c, found, err := r.chain.Now().Claim(r.t.Context(), r.chain.Miner)
	if err != nil || !found {
		r.t.Fatalf("claim: found %t, %v", found, err)
	}
	if c.QualityAdjPower.Equals(big.Zero()) {
		return 0
	}
	return c.QualityAdjPower.Int64()
}

func (r *rig) counters(want Counters) {
	r.t.Helper()
	if got := r.p.Counters(); got != want {
		r.t.Errorf("counters: got %+v want %+v", got, want)
	}
}

// replica is the path of a sector's replica.
func (r *rig) replica(n string) string {
	return filepath.Join(r.dir, "own", porep.Sealed, "s-t01000-"+n)
}

func (r *rig) hide(n string) func() {
	r.t.Helper()
	path := r.replica(n)
	if err := os.Rename(path, path+".away"); err != nil {
		r.t.Fatal(err)
	}
	return func() {
		if err := os.Rename(path+".away", path); err != nil {
			r.t.Fatal(err)
		}
	}
}
