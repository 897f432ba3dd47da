package sealing

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"

	"github.com/lodenet/lode/storage/sector"
)

// jobKind is how river's table calls our jobs.
const jobKind = "seal"

// stageJob is the work of one stage of one sector. A job whose Entry is not the sector's is
// obsolete, so that the same job twice does no harm.
type stageJob struct {
	Miner  abi.ActorID      `json:"miner"`
	Sector abi.SectorNumber `json:"sector"`
	Stage  sector.Stage     `json:"stage"`
	Entry  uint64           `json:"entry"`
}

// Kind implements river.JobArgs.
func (stageJob) Kind() string { return jobKind }

// The queues: one a kind of resource, so that waiting for the chain never stands behind
// sealing.
const (
	queueLabel = "seal-label"
	queueTree  = "seal-tree"
	queueSnark = "seal-snark"
	queueFiles = "seal-files"
	queueChain = "seal-chain"
)

func queueOf(stage sector.Stage) string {
	switch stage {
	case sector.StageLabel:
		return queueLabel
	case sector.StageReplicate:
		return queueTree
	case sector.StageProve:
		return queueSnark
	case sector.StagePack, sector.StageFinalize, sector.StageRemove:
		return queueFiles
	}
	return queueChain
}

// waiters bounds the jobs that wait for the chain at once.
const waiters = 256

func newQueue(db *sql.DB, w river.Worker[stageJob], opt Options, log *slog.Logger) (*river.Client[*sql.Tx], error) {
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, w); err != nil {
		return nil, err
	}
	return river.NewClient(riversqlite.New(db), &river.Config{
		Queues: map[string]river.QueueConfig{
			queueLabel: {MaxWorkers: opt.Labels},
			queueTree:  {MaxWorkers: opt.Trees},
			queueSnark: {MaxWorkers: opt.Proofs},
			queueFiles: {MaxWorkers: 2},
			queueChain: {MaxWorkers: waiters},
		},
		Workers: workers,
		// A job may take days, and one that died with the process is revived by Run; river
		// must not start a second copy of one that still works.
		JobTimeout:           -1,
		RescueStuckJobsAfter: 10 * 365 * 24 * time.Hour,
		FetchPollInterval:    opt.Poll,
		FetchCooldown:        min(opt.Poll, 100*time.Millisecond),
		MaxAttempts:          1 << 14,
		Logger:               slog.New(quiet{log.Handler()}),
	})
}

// quiet keeps river's everyday lines out of the operator's log, and what it calls an error
// because the node's stop cut it short.
type quiet struct{ slog.Handler }

// Enabled implements slog.Handler.
func (h quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && ctx.Err() == nil && h.Handler.Enabled(ctx, l)
}

// WithAttrs implements slog.Handler.
func (h quiet) WithAttrs(a []slog.Attr) slog.Handler { return quiet{h.Handler.WithAttrs(a)} }

// WithGroup implements slog.Handler.
func (h quiet) WithGroup(n string) slog.Handler { return quiet{h.Handler.WithGroup(n)} }

// Migrate makes the tables of the package and of the job queue.
func Migrate(ctx context.Context, db *sql.DB) error {
	if err := sector.Migrate(ctx, db); err != nil {
		return err
	}
	m, err := rivermigrate.New(riversqlite.New(db), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fmt.Errorf("job tables: %w", err)
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("job tables: %w", err)
	}
	return nil
}

func jobParams(s sector.Sector, runs []sector.Run) []river.InsertManyParams {
	out := make([]river.InsertManyParams, len(runs))
	for i, r := range runs {
		out[i] = river.InsertManyParams{
			Args: stageJob{s.Miner, s.Number, r.Stage, r.Entry},
			InsertOpts: &river.InsertOpts{
				Queue:      queueOf(r.Stage),
				UniqueOpts: river.UniqueOpts{ByArgs: true},
			},
		}
	}
	return out
}

// enqueue is what follows a changed record: its jobs, in the same transaction.
func (s *Sealing) enqueue(ctx context.Context, tx *sql.Tx, sec sector.Sector, runs []sector.Run) error {
	if len(runs) == 0 {
		return nil
	}
	_, err := s.queue.InsertManyTx(ctx, tx, jobParams(sec, runs))
	return err
}

// nudge lets the queue look for the jobs of a sector now. The jobs are there already, so
// inserting them again is refused as double, and river looks. A queue that is starting looks by
// itself.
func (s *Sealing) nudge(ctx context.Context, sec sector.Sector) {
	if !s.starting.TryRLock() {
		return
	}
	defer s.starting.RUnlock()
	if runs := s.runs(sec); len(runs) > 0 {
		if _, err := s.queue.InsertMany(ctx, jobParams(sec, runs)); err != nil && ctx.Err() == nil {
			s.log.Debug("job queue not woken", "sector", sec.Number, "err", err)
		}
	}
}

func (s *Sealing) runs(sec sector.Sector) []sector.Run {
	var out []sector.Run
	for _, a := range s.store.Rules().Resume(sec) {
		if r, ok := a.(sector.Run); ok {
			out = append(out, r)
		}
	}
	return out
}

// revive gives jobs that died with an earlier process back to the queue, and makes those
// anew that are missing.
func (s *Sealing) revive(ctx context.Context) error {
	_, err := s.deps.DB.ExecContext(ctx, `UPDATE river_job SET state = 'available', scheduled_at = created_at, finalized_at = NULL
		WHERE kind = ? AND state IN ('running', 'retryable', 'scheduled', 'pending')`, jobKind)
	if err != nil {
		return fmt.Errorf("revive jobs: %w", err)
	}
	all, err := s.store.List(ctx)
	if err != nil {
		return err
	}
	for _, sec := range all {
		if runs := s.runs(sec); len(runs) > 0 {
			if _, err := s.queue.InsertMany(ctx, jobParams(sec, runs)); err != nil {
				return fmt.Errorf("revive jobs: sector %d: %w", sec.Number, err)
			}
		}
	}
	return nil
}

// worker runs the jobs.
type worker struct {
	river.WorkerDefaults[stageJob]
	s *Sealing
}

// Work implements river.Worker. It returns an error only when the database could not be
// used: what goes wrong with the work itself is an event of the sector.
func (w *worker) Work(ctx context.Context, job *river.Job[stageJob]) error {
	s, a := w.s, job.Args
	if a.Miner != s.miner {
		return nil
	}
	sec, err := s.store.Get(ctx, a.Sector)
	switch stage, working := sec.State.Stage(); {
	case errors.Is(err, sector.ErrNotFound):
		return nil
	case err != nil:
		return s.later(ctx, err)
	case sec.Entry != a.Entry || !working || stage != a.Stage:
		return nil
	}
	started := s.deps.Clock.Now()
	s.setPercent(sec.Number, 0)
	defer s.clearPercent(sec.Number)
	events, err := s.do(ctx, sec)
	if ctx.Err() != nil {
		return river.JobSnooze(0)
	}
	if err != nil {
		f := failure(err)
		s.log.Warn("sector's work failed", "sector", sec.Number, "state", sec.State, "reason", f.Reason, "err", f.Err)
		events = []sector.Event{f}
	} else {
		s.log.Info("sector's work done", "sector", sec.Number, "state", sec.State, "took", s.deps.Clock.Now().Sub(started))
	}
	if err := s.point("apply"); err != nil {
		return s.later(ctx, err)
	}
	next, err := s.store.Apply(ctx, sec.Number, a.Entry, func(ctx context.Context, tx *sql.Tx, sec sector.Sector, runs []sector.Run) error {
		if _, err := river.JobCompleteTx[*riversqlite.Driver](ctx, tx, job); err != nil && !errors.Is(err, rivertype.ErrNotFound) {
			return err
		}
		return s.enqueue(ctx, tx, sec, runs)
	}, events...)
	switch {
	case errors.Is(err, sector.ErrStale), errors.Is(err, sector.ErrUnexpected):
		s.log.Warn("result of a job came too late", "sector", sec.Number, "stage", a.Stage, "err", err)
		return nil
	case err != nil:
		return s.later(ctx, err)
	}
	if err := s.point("applied"); err != nil {
		return s.later(ctx, err)
	}
	s.nudge(ctx, next)
	s.wake()
	return nil
}

// later puts a job back: at once when the node stops, else as river thinks best.
func (s *Sealing) later(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return river.JobSnooze(0)
	}
	return err
}

// NextRetry implements river.Worker: what failed to be stored is tried again soon. River
// keeps its own times by the machine's clock, not by the network's.
func (w *worker) NextRetry(*river.Job[stageJob]) time.Time {
	return time.Now().Add(5 * time.Second)
}
