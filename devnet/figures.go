package devnet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/filecoin-project/go-state-types/abi"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/storage/sector"
)

// span is a stretch of the chain during which something was watched, and how mining went
// until its ends.
type span struct {
	from          abi.ChainEpoch
	to            *types.TipSet
	before, after *api.MiningStatus
}

// watchProof watches for the first proof of replication until stop is called, which must be.
func (d *demo) watchProof(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		for clock.Sleep(ctx, clock.System{}, time.Second) == nil {
			if err := d.watch(ctx); err != nil && ctx.Err() == nil {
				d.opt.Log.Warn("the figures will lack the blocks during a proof", "err", err)
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

// watch keeps the epochs during which a proof of replication was made.
func (d *demo) watch(ctx context.Context) error {
	list, err := d.provider.SectorsProgress(ctx)
	if err != nil {
		return err
	}
	busy := false
	for _, s := range list {
		busy = busy || s.State == string(sector.Committing)
	}
	if !busy && (d.proving.before == nil || d.proving.after != nil) {
		return nil
	}
	head, err := d.provider.ChainHead(ctx)
	if err != nil {
		return err
	}
	status, err := d.provider.MiningStatus(ctx)
	switch {
	case err != nil:
	case d.proving.before == nil:
		d.proving.from, d.proving.before = head.Height(), status
	case !busy:
		d.proving.to, d.proving.after = head, status
	}
	return err
}

// figures prints what the run cost.
func (d *demo) figures(ctx context.Context) error {
	status, err := d.provider.MiningStatus(ctx)
	if err != nil {
		return err
	}
	head, err := d.provider.ChainHead(ctx)
	if err != nil {
		return err
	}
	if err := d.blocks(ctx, "", span{to: head, before: &api.MiningStatus{}, after: status}); err != nil {
		return err
	}
	if d.proving.after != nil {
		if err := d.blocks(ctx, "while a proof of replication was made, ", d.proving); err != nil {
			return err
		}
	}
	most := d.memory.most()
	d.story.say("peak memory: %s; the nodes alone had %s at most, and a child, which makes a long proof, %s", bytesText(most.sum), bytesText(most.own), bytesText(most.child))
	for _, m := range d.net.Birth.Members {
		size, err := diskUse(filepath.Join(d.dir, "net", m.Name))
		if err != nil {
			return err
		}
		d.story.say("disk of %s: %s", m.Name, bytesText(size))
	}
	d.story.say("phases: %s", d.story.phases())
	return nil
}

// blocks prints how mining went in a span, which begins after its first epoch.
func (d *demo) blocks(ctx context.Context, when string, s span) error {
	null := 0
	for at := s.to.Height(); at > s.from; {
		// On the chain of then: the head may be another by now, and lower.
		ts, err := d.provider.ChainGetTipSetByHeight(ctx, at, s.to.Key())
		if err != nil {
			return err
		}
		null += int(at - max(ts.Height(), s.from))
		at = ts.Height() - 1
	}
	made, late, failed := s.after.Mined-s.before.Mined, s.after.Late-s.before.Late, s.after.Missed-s.before.Missed
	line := fmt.Sprintf("blocks: %s%d epochs, %d without a block; %d made, %d late, %d missed, %d rounds left out", when, s.to.Height()-s.from, null, made, late, failed, s.after.Skipped-s.before.Skipped)
	if n := s.after.Ahead - s.before.Ahead; n > 0 {
		line += fmt.Sprintf("; %d winning PoSts ahead of their rounds", n)
	}
	d.story.say("%s", line)
	return nil
}

// diskUse sums up the files of a folder. Files come and go while a node runs.
func diskUse(dir string) (uint64, error) {
	var sum uint64
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		sum += uint64(info.Size())
		return nil
	})
	return sum, err
}
