package proving

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/cbor"
	"github.com/filecoin-project/go-state-types/dline"
	"github.com/filecoin-project/go-state-types/proof"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"

	"github.com/lodenet/lode/chain/outbox"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/storage/sealing"
)

// ahead is how many windows before its fault cutoff a deadline is looked at. It is looked at
// once a window, so that many times.
const ahead = 2

// landing is how many epochs a declaration is given to land before the cutoff.
const landing = 2

// declare looks at the deadlines whose cutoff comes near: faulty sectors that can be read
// again are declared recovered (#11), good ones that cannot be read are declared faulty (#10).
func (p *Proving) declare(ctx context.Context, head *types.TipSet) {
	select {
	case p.declaring <- struct{}{}:
		defer func() { <-p.declaring }()
	default:
		return // the look before this one still reads
	}
	if err := p.declareAll(ctx, head); err != nil && ctx.Err() == nil {
		p.log.Warn("faults and recoveries not declared, it is tried at the next deadline", "err", err)
	}
}

func (p *Proving) declareAll(ctx context.Context, head *types.TipSet) error {
	v, err := p.deps.Chain.View(ctx, head)
	if err != nil {
		return err
	}
	current, err := p.deadline(ctx, head)
	if err != nil {
		return err
	}
	var errs []error
	for i := range current.WPoStPeriodDeadlines {
		d := miner.NewDeadlineInfo(current.PeriodStart, i, head.Height()).NextNotElapsed()
		until := d.FaultCutoff - head.Height()
		if until <= landing || until > ahead*d.WPoStChallengeWindow {
			continue
		}
		if err := p.declareOne(ctx, v, d); err != nil {
			errs = append(errs, fmt.Errorf("deadline %d: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

func (p *Proving) declareOne(ctx context.Context, v *view.View, d *dline.Info) error {
	parts, err := v.Partitions(ctx, p.deps.Miner, d.Index)
	if err != nil {
		return err
	}
	var faults miner.DeclareFaultsParams
	var back miner.DeclareFaultsRecoveredParams
	for i, part := range parts {
		unread, reread, err := p.changed(ctx, v, part)
		if err != nil {
			return fmt.Errorf("partition %d: %w", i, err)
		}
		if len(unread) > 0 {
			faults.Faults = append(faults.Faults, miner.FaultDeclaration{Deadline: d.Index, Partition: uint64(i), Sectors: bitfield.NewFromSet(unread)})
		}
		if len(reread) > 0 {
			back.Recoveries = append(back.Recoveries, miner.RecoveryDeclaration{Deadline: d.Index, Partition: uint64(i), Sectors: bitfield.NewFromSet(reread)})
		}
	}
	var errs []error
	if len(faults.Faults) > 0 {
		errs = append(errs, p.send(ctx, v, d, "faults", big.Zero(), builtin.MethodsMiner.DeclareFaults, &faults))
	}
	if len(back.Recoveries) > 0 {
		debt, err := sealing.Debt(ctx, v, p.deps.Miner)
		if err == nil {
			err = p.send(ctx, v, d, "recover", debt, builtin.MethodsMiner.DeclareFaultsRecovered, &back)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// changed lists the good sectors of a partition that cannot be read, and the faulty ones not
// declared recovered that can.
func (p *Proving) changed(ctx context.Context, v *view.View, part *miner.Partition) (unread, reread []uint64, err error) {
	live, err := part.LiveSectors()
	if err != nil {
		return nil, nil, err
	}
	on, err := v.SectorsIn(ctx, p.deps.Miner, live)
	if err != nil {
		return nil, nil, err
	}
	var list []proof.SectorInfo
	for _, s := range on {
		list = append(list, sectorInfo(s))
	}
	results, err := p.check(ctx, list)
	if err != nil {
		return nil, nil, err
	}
	for _, si := range list {
		n := uint64(si.SectorNumber)
		faulty, err1 := part.Faults.IsSet(n)
		recovering, err2 := part.Recoveries.IsSet(n)
		if err := errors.Join(err1, err2); err != nil {
			return nil, nil, err
		}
		bad := results[si.SectorNumber] != nil
		switch {
		case bad && (!faulty || recovering):
			unread = append(unread, n)
		case !bad && faulty && !recovering:
			reread = append(reread, n)
		}
	}
	return unread, reread, nil
}

// send sends a declaration, the same one once a window, and waits for it until the cutoff.
func (p *Proving) send(ctx context.Context, v *view.View, d *dline.Info, what string, value abi.TokenAmount, method abi.MethodNum, params cbor.Marshaler) error {
	var buf bytes.Buffer
	if err := params.MarshalCBOR(&buf); err != nil {
		return err
	}
	from, err := sealing.Worker(ctx, v, p.deps.Miner)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(buf.Bytes())
	name := fmt.Sprintf("%s/t0%d/%d/%x", what, p.id, d.Open, sum[:8])
	p.mu.Lock()
	try := p.refused[name]
	p.mu.Unlock()
	id, err := sealing.SendOnce(ctx, p.deps.Messages, outbox.Intent{
		Key:  fmt.Sprintf("%s/%d", name, try),
		From: from, To: p.deps.Miner, Value: value, Method: method, Params: buf.Bytes(), MaxFee: p.opt.MaxFee,
	})
	if err != nil {
		return err
	}
	p.log.Info("sectors declared", "what", what, "deadline", d.Index, "cutoff", d.FaultCutoff, "with", types.FIL(value))
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.until(ctx, d.FaultCutoff+lateness)
		cancel()
	}()
	_, err = sealing.Await(ctx, p.deps.Messages, id, 0)
	cancel()
	<-done
	if errors.Is(err, sealing.ErrRefused) {
		p.mu.Lock()
		p.refused[name]++
		p.mu.Unlock()
	}
	return err
}

// until waits for the head to reach a height.
func (p *Proving) until(ctx context.Context, h abi.ChainEpoch) {
	for head := p.deps.Chain.Head(); head.Height() < h; {
		var err error
		if head, err = p.deps.Chain.HeadChanged(ctx, head.Key()); err != nil {
			return
		}
	}
}
