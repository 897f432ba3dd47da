package proving

import (
	"context"
	"time"

	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"
)

// Status is how far the work on a deadline is.
type Status string

// The statuses.
const (
	Idle      Status = "idle"      // nothing to prove, or not its time
	Waiting   Status = "waiting"   // the challenge is known, work has not begun
	Computing Status = "computing" // proving
	Ready     Status = "ready"     // proven here, the deadline is not open yet
	Submitted Status = "submitted" // sent
	Proven    Status = "proven"    // on chain
	Late      Status = "late"      // sent, but not on chain before the close
	Missed    Status = "missed"    // nothing was sent
	Failed    Status = "failed"    // the last try failed; there may be time for another
)

// Counters count the deadlines that had something to prove since the start, and the sectors
// that were left out because they could not be read.
type Counters struct{ OnTime, Late, Missed, Skipped uint64 }

// Deadline is one of the 48 windows of a proving period, for people to look at.
type Deadline struct {
	Index uint64
	// Open, Close and Challenge are those of the occurrence that is open or comes next.
	Open, Close, Challenge abi.ChainEpoch
	Current                bool
	// OpensIn counts down to Open, in the network's epochs after the head's; 0 while open.
	OpensIn    time.Duration
	Partitions int
	// Sectors counts all, Live those not ended, Faulty and Recovering parts of the live.
	Sectors, Live, Faulty, Recovering uint64
	// Proven counts the partitions proven in the open window.
	Proven uint64
	// Status and Err are of the occurrence shown, LastStatus of the one before.
	Status     Status
	Err        string
	LastStatus Status
}

// Deadlines is the state of all deadlines at the head.
func (p *Proving) Deadlines(ctx context.Context) ([]Deadline, error) {
	head := p.deps.Chain.Head()
	v, err := p.deps.Chain.View(ctx, head)
	if err != nil {
		return nil, err
	}
	current, err := p.deadline(ctx, head)
	if err != nil {
		return nil, err
	}
	out := make([]Deadline, current.WPoStPeriodDeadlines)
	for i := range current.WPoStPeriodDeadlines {
		d := miner.NewDeadlineInfo(current.PeriodStart, i, head.Height()).NextNotElapsed()
		one := Deadline{Index: i, Open: d.Open, Close: d.Close, Challenge: d.Challenge, Current: d.IsOpen(), Status: Idle}
		if wait := d.Open - head.Height(); wait > 0 {
			one.OpensIn = time.Duration(wait) * time.Duration(p.deps.Network.EpochSeconds) * time.Second
		}
		parts, err := v.Partitions(ctx, p.deps.Miner, i)
		if err != nil {
			return nil, err
		}
		one.Partitions = len(parts)
		for _, part := range parts {
			live, err := part.LiveSectors()
			if err != nil {
				return nil, err
			}
			for set, n := range map[*bitfield.BitField]*uint64{
				&part.Sectors: &one.Sectors, &live: &one.Live, &part.Faults: &one.Faulty, &part.Recoveries: &one.Recovering,
			} {
				c, err := set.Count()
				if err != nil {
					return nil, err
				}
				*n += c
			}
		}
		if d.IsOpen() {
			dl, err := v.Deadline(ctx, p.deps.Miner, i)
			if err != nil {
				return nil, err
			}
			if one.Proven, err = dl.PartitionsPoSted.Count(); err != nil {
				return nil, err
			}
		}
		p.mu.Lock()
		if w := p.windows[d.Open]; w != nil {
			one.Status, one.Err = w.status, w.err
		}
		if w := p.windows[d.Open-d.WPoStProvingPeriod]; w != nil {
			one.LastStatus = w.status
		}
		p.mu.Unlock()
		out[i] = one
	}
	return out, nil
}

// Counters are those since the start.
func (p *Proving) Counters() Counters {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counters
}
