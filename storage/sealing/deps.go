package sealing

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/crypto"

	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/proofs"
)

// Chain is what sealing reads of the chain. Safe from many goroutines.
type Chain interface {
	// Head is the heaviest tipset.
	Head() *types.TipSet
	// HeadChanged waits until the head is another one than the given and returns it.
	HeadChanged(ctx context.Context, than types.TipSetKey) (*types.TipSet, error)
	// View reads the state after a tipset.
	View(ctx context.Context, ts *types.TipSet) (*view.View, error)
	// CirculatingSupply is that of the state after a tipset, in attoFIL.
	CirculatingSupply(ctx context.Context, ts *types.TipSet) (abi.TokenAmount, error)
	// TicketRandomness and BeaconRandomness are final draws of 32 bytes on ts's chain.
	TicketRandomness(ctx context.Context, ts *types.TipSet, tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) ([]byte, error)
	BeaconRandomness(ctx context.Context, ts *types.TipSet, tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) ([]byte, error)
}

// Deps is what sealing is built on; all fields are needed.
type Deps struct {
	DB       *sql.DB // the node's database; its one connection is shared
	Dir      string  // <repo>/sectors
	Miner    address.Address
	Network  types.Network
	Chain    Chain
	Messages Messages
	Prover   proofs.Prover
	Verifier proofs.Verifier
	Clock    clock.Clock
	Log      *slog.Logger
}

// Options may vary. The zero value means the defaults of spec markets.md C; Devnet gives
// those of a network with short epochs.
type Options struct {
	// WaitDeals is how long a sector with a piece waits for more; 0: 6 h.
	WaitDeals time.Duration
	// StartBuffer is how long before a deal's start its sector must be sealing; 0: 480 epochs.
	StartBuffer abi.ChainEpoch
	// Cooldown is the pause after a failure; 0: 1 min, doubling up to 1 h.
	Cooldown time.Duration
	// Confidence is the epochs waited for on top of a message; 0: 5. SeedConfidence those on
	// top of the seed's epoch; 0: 6.
	Confidence, SeedConfidence abi.ChainEpoch
	// TicketLookback is how far behind the head the ticket is drawn; 0: 900 epochs.
	TicketLookback abi.ChainEpoch
	// Lifetime is how long a sector without deals is committed for; 0: 540 days less a period.
	Lifetime abi.ChainEpoch
	// Slack is added to the least lifetime the chain accepts; 0: 2880 epochs.
	Slack abi.ChainEpoch
	// Labels, Trees and Proofs are how many such jobs run at once; 0: 1. As many sectors as
	// Labels are unsealed at once.
	Labels, Trees, Proofs int
	// MaxSectors bounds the sectors that are sealed at once; AddPiece and Pledge say ErrBusy
	// beyond. 0: 64.
	MaxSectors int
	// DropUnsealed deletes unsealed copies that no deal asks to keep.
	DropUnsealed bool
	// Poll is how often the job queue is looked at besides when something was put in; 0: 1 s.
	Poll time.Duration
	// MaxFee bounds what a message may burn for gas; nil: the outbox's own bound.
	MaxFee abi.TokenAmount
}

func (o Options) withDefaults() Options {
	def := func(v *abi.ChainEpoch, d abi.ChainEpoch) {
		if *v == 0 {
			*v = d
		}
	}
	num := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	dur := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	dur(&o.WaitDeals, 6*time.Hour)
	dur(&o.Cooldown, time.Minute)
	dur(&o.Poll, time.Second)
	def(&o.StartBuffer, 480)
	def(&o.Confidence, 5)
	def(&o.SeedConfidence, 6)
	def(&o.TicketLookback, 900)
	def(&o.Lifetime, 540*2880-2880)
	def(&o.Slack, 2880)
	num(&o.Labels, 1)
	num(&o.Trees, 1)
	num(&o.Proofs, 1)
	num(&o.MaxSectors, 64)
	return o
}

func (d Deps) check() error {
	switch {
	case d.DB == nil, d.Chain == nil, d.Messages == nil, d.Prover == nil, d.Verifier == nil, d.Clock == nil, d.Log == nil:
		return errors.New("sealing: a dependency is missing")
	case d.Dir == "":
		return errors.New("sealing: no folder for the sectors")
	case d.Miner.Protocol() != address.ID:
		return fmt.Errorf("sealing: miner %s is not an ID address", d.Miner)
	}
	return nil
}
