package proving

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/proofs"
	"github.com/lodenet/lode/storage/sealing"
)

// Chain is what proving reads of the chain.
type Chain = sealing.Chain

// Messages sends the miner's messages.
type Messages = sealing.Messages

// Deps is what proving is built on; all fields are needed.
type Deps struct {
	Miner    address.Address
	Network  types.Network
	Chain    Chain
	Messages Messages
	Sectors  *sealing.Sealing
	Prover   proofs.Prover
	Verifier proofs.Verifier
	Clock    clock.Clock
	Log      *slog.Logger
}

// Options may vary; the zero value means the defaults of spec markets.md C.4.
type Options struct {
	// SubmitDelay is how many epochs after a deadline's open the proof is sent; the default is
	// min(4, window/5), a devnet uses 0 by setting AtOpen.
	SubmitDelay abi.ChainEpoch
	AtOpen      bool
	// Confidence is waited for on top of a message; 0: 5 epochs.
	Confidence abi.ChainEpoch
	// MaxPartitions bounds the partitions of one message; 0: what the chain allows.
	MaxPartitions int
	// MaxFee bounds what a message may burn for gas; nil: the outbox's own bound.
	MaxFee abi.TokenAmount
}

// Counters count the deadlines that had something to prove since the start.
type Counters struct{ OnTime, Late, Missed, Skipped uint64 }

// Deadline is one of the 48 windows of a proving period, for people to look at.
type Deadline struct {
	Index                  uint64
	Open, Close, Challenge abi.ChainEpoch // of its current or next occurrence
	OpensIn                time.Duration  // on the network's clock; 0 while open
	Current                bool
	Partitions             int
	Sectors, Live, Faulty  uint64
	Recovering             uint64
	Proven                 int    // partitions already proven in the open window
	Status                 string // idle, waiting, computing, submitted, proven, missed, failed
	Err                    string
}

// Proving proves for one miner.
type Proving struct{ deps Deps }

// New checks what it is given; it does no I/O and starts nothing.
func New(d Deps, opt Options) (*Proving, error) { return &Proving{d}, nil }

// Run proves deadline after deadline until the context ends.
func (p *Proving) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// WinningPoSt proves for an election. sectors is the miner's proving set at the look-back,
// ordered by number; rand the draw for the epoch. It never waits for the window's or the
// sealing's work. Safe from many goroutines.
func (p *Proving) WinningPoSt(ctx context.Context, miner address.Address, sectors []proof.SectorInfo, rand abi.PoStRandomness) ([]proof.PoStProof, error) {
	return nil, errors.New("proving: under construction")
}

// Deadlines is the state of all deadlines at the head.
func (p *Proving) Deadlines(ctx context.Context) ([]Deadline, error) {
	return nil, errors.New("proving: under construction")
}

// Counters are those since the start.
func (p *Proving) Counters() Counters { return Counters{} }
