package proving

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/dline"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/proofs"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/storage/sealing"
)

// Chain is what proving reads of the chain.
type Chain = sealing.Chain

// Messages sends the miner's messages.
type Messages = sealing.Messages

// Sectors is where the sectors' files are (sealing.Sealing).
type Sectors interface {
	// Files opens a sector's files for reading.
	Files(n abi.SectorNumber) porep.Files
	// Readable is told which sectors could be read, and of the others why not.
	Readable(ctx context.Context, results map[abi.SectorNumber]error) error
}

// Deps is what proving is built on; all fields are needed.
type Deps struct {
	Miner    address.Address
	Network  types.Network
	Chain    Chain
	Messages Messages
	Sectors  Sectors
	Prover   proofs.Prover
	Verifier proofs.Verifier
	Log      *slog.Logger
}

// Options may vary; the zero value means the defaults of spec markets.md C.4, with proofs
// sent from the deadline's open on.
type Options struct {
	// SubmitDelay is how many epochs after a deadline's open the proof is sent. Public networks
	// wait min(4, window/5) against reorgs; a reorg costs one more message otherwise.
	SubmitDelay abi.ChainEpoch
	// MaxPartitions bounds the partitions of one message; 0: what the chain allows.
	MaxPartitions int
	// Readers is how many sectors are read at once; 0: 4.
	Readers int
	// MaxFee bounds what a message may burn for gas; zero: the outbox's own bound.
	MaxFee abi.TokenAmount
}

// Proving proves for one miner. All methods are safe from many goroutines.
type Proving struct {
	deps Deps
	opt  Options
	log  *slog.Logger
	id   abi.ActorID

	declaring chan struct{} // holds one token; who has it may declare

	mu       sync.Mutex
	counters Counters                   // guarded by mu
	windows  map[abi.ChainEpoch]*window // guarded by mu; by open, until a period after the close
	refused  map[string]int             // guarded by mu; declarations that failed, by key
}

// New checks what it is given; it does no I/O and starts nothing.
func New(d Deps, opt Options) (*Proving, error) {
	switch {
	case d.Chain == nil, d.Messages == nil, d.Sectors == nil, d.Prover == nil, d.Verifier == nil, d.Log == nil:
		return nil, errors.New("proving: a dependency is missing")
	case d.Miner.Protocol() != address.ID:
		return nil, fmt.Errorf("proving: miner %s is not an ID address", d.Miner)
	}
	id, err := address.IDFromAddress(d.Miner)
	if err != nil {
		return nil, fmt.Errorf("proving: miner %s: %w", d.Miner, err)
	}
	if opt.Readers <= 0 {
		opt.Readers = 4
	}
	return &Proving{
		deps: d, opt: opt, log: d.Log, id: abi.ActorID(id),
		declaring: make(chan struct{}, 1),
		windows:   map[abi.ChainEpoch]*window{},
		refused:   map[string]int{},
	}, nil
}

// Run proves deadline after deadline until the context ends. It may be called again after it
// returned.
func (p *Proving) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	last := abi.ChainEpoch(-1) // open of the deadline whose coming was looked at
	head := p.deps.Chain.Head()
	for {
		current, err := p.deadline(ctx, head)
		if err == nil {
			for _, d := range []*dline.Info{current, following(current)} {
				if head.Height() > d.Challenge && p.begin(d) {
					running.Go(func() { p.window(ctx, d) })
				}
			}
			if current.Open != last {
				last = current.Open
				at := head // of this round: the next one has another
				running.Go(func() { p.declare(ctx, at) })
			}
		} else if ctx.Err() == nil {
			p.log.Warn("deadline not known, it is tried at the next head", "tipset", head.Height(), "err", err)
		}
		if head, err = p.deps.Chain.HeadChanged(ctx, head.Key()); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// deadline is the one that the head's epoch falls in.
func (p *Proving) deadline(ctx context.Context, head *types.TipSet) (*dline.Info, error) {
	v, err := p.deps.Chain.View(ctx, head)
	if err != nil {
		return nil, err
	}
	d, err := v.DeadlineInfo(ctx, p.deps.Miner, head.Height())
	if err != nil {
		return nil, err
	}
	// While the miner's cron is off, or before its first period, the state's deadline may be
	// another than the epoch's.
	if !d.IsOpen() && d.Open <= head.Height() {
		d = d.NextNotElapsed()
	}
	return d, nil
}

// following is the deadline after d.
func following(d *dline.Info) *dline.Info {
	start, index := d.PeriodStart, d.Index+1
	if index >= d.WPoStPeriodDeadlines {
		start, index = start+d.WPoStProvingPeriod, 0
	}
	return miner.NewDeadlineInfo(start, index, d.CurrentEpoch)
}

// begin tells whether a window is to be worked on: once.
func (p *Proving) begin(d *dline.Info) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.windows[d.Open]; ok {
		return false
	}
	for open := range p.windows {
		if open < d.Open-d.WPoStProvingPeriod {
			delete(p.windows, open)
		}
	}
	p.windows[d.Open] = &window{info: *d, status: Waiting}
	return true
}

// forget lets a window be begun again.
func (p *Proving) forget(d *dline.Info) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.windows, d.Open)
}
