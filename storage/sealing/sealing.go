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
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/riverqueue/river"
	"golang.org/x/sync/errgroup"

	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/storage/sector"
)

// ErrBusy: as many sectors as allowed are being sealed. Try again later.
var ErrBusy = errors.New("sealing pipeline is full")

// Info is a sector for people to look at.
type Info struct {
	sector.Sector
	// Percent is how far the state's work is, 0 to 100; -1 when unknown.
	Percent int
}

// Sealing is the owner of the pipeline. All methods are safe from many goroutines.
type Sealing struct {
	deps  Deps
	opt   Options
	log   *slog.Logger
	miner abi.ActorID
	proof abi.RegisteredSealProof
	size  abi.PaddedPieceSize
	files folders
	store *sector.Store
	queue *river.Client[*sql.Tx]
	// starting is held for writing while the queue starts, which must not be woken then.
	starting sync.RWMutex

	// dies is nil but in tests, where its error stands for the process dying at a point.
	dies func(point string) error

	migrate chan struct{} // holds one token; who has it may migrate
	placing chan struct{} // holds one token; who has it may add a piece
	timer   chan struct{} // wakes the timers' loop; holds at most one

	unsealers chan struct{} // holds a token for each sector that is being unsealed

	mu         sync.Mutex
	migrated   bool                               // guarded by mu
	percent    map[abi.SectorNumber]int           // guarded by mu
	unreadable map[abi.SectorNumber]string        // guarded by mu; reported by proving
	unsealing  map[abi.SectorNumber]chan struct{} // guarded by mu; closed when done
	reserved   map[abi.DealID]time.Time           // guarded by mu; since when without bytes
}

// New checks what it is given; it does no I/O and starts nothing.
func New(d Deps, opt Options) (*Sealing, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	opt = opt.withDefaults()
	proof, err := d.Network.SealProof()
	if err != nil {
		return nil, err
	}
	id, err := address.IDFromAddress(d.Miner)
	if err != nil {
		return nil, fmt.Errorf("sealing: miner %s: %w", d.Miner, err)
	}
	rules := sector.DefaultRules()
	rules.WaitDeals, rules.Cooldown = opt.WaitDeals, opt.Cooldown
	s := &Sealing{
		deps: d, opt: opt, log: d.Log, miner: abi.ActorID(id), proof: proof,
		size:       abi.PaddedPieceSize(d.Network.Policy.SectorSize),
		files:      folders{root: d.Dir, miner: abi.ActorID(id)},
		store:      sector.NewStore(d.DB, abi.ActorID(id), rules, d.Clock),
		migrate:    make(chan struct{}, 1),
		placing:    make(chan struct{}, 1),
		timer:      make(chan struct{}, 1),
		unsealers:  make(chan struct{}, opt.Labels),
		percent:    map[abi.SectorNumber]int{},
		unreadable: map[abi.SectorNumber]string{},
		unsealing:  map[abi.SectorNumber]chan struct{}{},
		reserved:   map[abi.DealID]time.Time{},
	}
	s.queue, err = newQueue(d.DB, &worker{s: s}, opt, d.Log)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return s, nil
}

// lock takes a token; unlock gives it back.
func lock(ctx context.Context, token chan struct{}) error {
	select {
	case token <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func unlock(token chan struct{}) { <-token }

// ready makes tables and folders once.
func (s *Sealing) ready(ctx context.Context) error {
	if err := lock(ctx, s.migrate); err != nil {
		return err
	}
	defer unlock(s.migrate)
	s.mu.Lock()
	done := s.migrated
	s.mu.Unlock()
	if done {
		return nil
	}
	if err := Migrate(ctx, s.deps.DB); err != nil {
		return err
	}
	for _, dir := range []string{dirUnsealed, dirSealed, dirCache} {
		if err := os.MkdirAll(filepath.Join(s.deps.Dir, dir), 0o755); err != nil {
			return fmt.Errorf("sectors folder: %w", err)
		}
	}
	s.mu.Lock()
	s.migrated = true
	s.mu.Unlock()
	return nil
}

// Run does the work until the context ends. It may be called again after it returned.
func (s *Sealing) Run(ctx context.Context) error {
	if err := s.ready(ctx); err != nil {
		return stopped(ctx, err)
	}
	if err := s.files.clean(); err != nil {
		return fmt.Errorf("sectors folder: %w", err)
	}
	if err := s.revive(ctx); err != nil {
		return stopped(ctx, err)
	}
	s.starting.Lock()
	err := s.queue.Start(ctx)
	s.starting.Unlock()
	if err != nil {
		return stopped(ctx, err)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.timers(gctx) })
	g.Go(func() error { return s.monitor(gctx) })
	err = g.Wait()
	// The jobs' contexts end with ctx; when a loop failed they must be ended here. Stopping
	// waits for them, so it cannot be bound to the context that ended.
	stop := context.WithoutCancel(ctx)
	return errors.Join(stopped(ctx, err), s.queue.StopAndCancel(stop))
}

// stopped drops the errors of a context that ended.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// event applies an event that is no job's result.
func (s *Sealing) event(ctx context.Context, n abi.SectorNumber, ev sector.Event) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	sec, err := s.store.Apply(ctx, n, 0, s.enqueue, ev)
	if err != nil {
		return err
	}
	s.nudge(ctx, sec)
	s.wake()
	return nil
}

// Pledge starts a sector without deals.
func (s *Sealing) Pledge(ctx context.Context) (abi.SectorNumber, error) {
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	if err := lock(ctx, s.placing); err != nil {
		return 0, err
	}
	defer unlock(s.placing)
	sec, err := s.create(ctx, sector.Seal{})
	if err != nil {
		return 0, err
	}
	return sec.Number, nil
}

// create makes a sector, if there is room in the pipeline. The caller holds placing.
func (s *Sealing) create(ctx context.Context, events ...sector.Event) (sector.Sector, error) {
	all, err := s.store.List(ctx)
	if err != nil {
		return sector.Sector{}, err
	}
	busy := 0
	for _, sec := range all {
		if sec.State.Sealing() && sec.State != sector.FailedUnrecoverable && sec.State != sector.DealsExpired {
			busy++
		}
	}
	if busy >= s.opt.MaxSectors {
		return sector.Sector{}, fmt.Errorf("%w: %d sectors", ErrBusy, busy)
	}
	least, err := s.unused(ctx)
	if err != nil {
		return sector.Sector{}, err
	}
	sec, err := s.store.Create(ctx, s.proof, least, s.enqueue, events...)
	if err != nil {
		return sector.Sector{}, err
	}
	s.nudge(ctx, sec)
	return sec, nil
}

// unused is the number after the last that the chain knows of this miner: a number is never
// used twice (spec markets.md C.5), also when the records here were lost.
func (s *Sealing) unused(ctx context.Context) (abi.SectorNumber, error) {
	v, err := s.deps.Chain.View(ctx, s.deps.Chain.Head())
	if err != nil {
		return 0, err
	}
	allocated, err := allocatedNumbers(ctx, v, s.deps.Miner)
	if err != nil {
		return 0, err
	}
	if empty, err := allocated.IsEmpty(); err != nil || empty {
		return 0, err
	}
	last, err := allocated.Last()
	if err != nil {
		return 0, fmt.Errorf("allocated sector numbers: %w", err)
	}
	return abi.SectorNumber(last + 1), nil
}

// Start seals a sector that waits for deals with what it has.
func (s *Sealing) Start(ctx context.Context, n abi.SectorNumber) error {
	return s.event(ctx, n, sector.Seal{})
}

// Retry lets a failed sector go on at once.
func (s *Sealing) Retry(ctx context.Context, n abi.SectorNumber) error {
	return s.order(ctx, n, sector.Retry{}, "only a sector that failed, and can go on, is tried again")
}

// Terminate ends a live sector before its time, which costs a fee.
func (s *Sealing) Terminate(ctx context.Context, n abi.SectorNumber) error {
	return s.order(ctx, n, sector.Terminate{}, "only a sector that is proven or faulty on chain can be terminated")
}

// Remove deletes a sector that failed, with its files. A deposit made for it is lost.
func (s *Sealing) Remove(ctx context.Context, n abi.SectorNumber) error {
	return s.order(ctx, n, sector.Remove{}, "only a sector that failed, or is empty, and is not on chain can be removed")
}

// order applies an operator's wish; rule says when it can be met.
func (s *Sealing) order(ctx context.Context, n abi.SectorNumber, ev sector.Event, rule string) error {
	err := s.event(ctx, n, ev)
	if errors.Is(err, sector.ErrUnexpected) {
		return fmt.Errorf("%s: %w", rule, err)
	}
	return err
}

// Sectors lists all sectors by number.
func (s *Sealing) Sectors(ctx context.Context) ([]Info, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	all, err := s.store.List(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Info, len(all))
	for i, sec := range all {
		out[i] = s.info(sec)
	}
	return out, nil
}

// Sector is one sector; sector.ErrNotFound when there is none.
func (s *Sealing) Sector(ctx context.Context, n abi.SectorNumber) (Info, error) {
	if err := s.ready(ctx); err != nil {
		return Info{}, err
	}
	sec, err := s.store.Get(ctx, n)
	if err != nil {
		return Info{}, err
	}
	return s.info(sec), nil
}

func (s *Sealing) info(sec sector.Sector) Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.percent[sec.Number]
	if !ok {
		p = -1
	}
	return Info{sec, p}
}

// Log is a sector's history, oldest first.
func (s *Sealing) Log(ctx context.Context, n abi.SectorNumber) ([]sector.Entry, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	return s.store.Log(ctx, n)
}

// Files are a sector's files, for proving; they cannot be created through it.
func (s *Sealing) Files(n abi.SectorNumber) porep.Files { return readFiles{s.files, n} }

func (s *Sealing) setPercent(n abi.SectorNumber, p int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.percent[n] = p
}

func (s *Sealing) clearPercent(n abi.SectorNumber) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.percent, n)
}

func (s *Sealing) progress(n abi.SectorNumber) porep.Progress {
	return func(done, total int64) {
		if total > 0 {
			s.setPercent(n, int(done*100/total))
		}
	}
}

// point is a moment at which a test lets the process die.
func (s *Sealing) point(name string) error {
	if s.dies == nil {
		return nil
	}
	return s.dies(name)
}
