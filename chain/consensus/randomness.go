package consensus

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/crypto"

	"github.com/lodenet/lode/chain/beacon"
	"github.com/lodenet/lode/chain/types"
)

// beaconLookback is how many tipsets are searched for a beacon entry (spec chain.md d.10).
const beaconLookback = 20

var (
	// ErrFutureDraw: randomness of an epoch above the tipset was asked for.
	ErrFutureDraw = errors.New("randomness is not known yet")
	// ErrNoBeacon: no entry of that round is in the tipsets where it must be.
	ErrNoBeacon = errors.New("no beacon entry of that round on chain")
)

// TicketRandomness draws from the ticket of the first tipset at or after an epoch on ts's
// chain (spec chain.md d.10, the rule of network version 13 and later).
func (e *Engine) TicketRandomness(ctx context.Context, ts *types.TipSet, tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) ([]byte, error) {
	at, err := e.drawn(ctx, ts, epoch)
	if err != nil {
		return nil, err
	}
	return beacon.Draw(at.MinTicket().VRFProof, tag, epoch, entropy), nil
}

// BeaconRandomness draws from the beacon entry that is prescribed for an epoch, as ts's chain
// has it (spec chain.md d.10, the rule of network version 14 and later). Epochs up to 0 draw
// from the genesis block's entry.
func (e *Engine) BeaconRandomness(ctx context.Context, ts *types.TipSet, tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) ([]byte, error) {
	at, err := e.drawn(ctx, ts, epoch)
	if err != nil {
		return nil, err
	}
	if epoch <= 0 {
		// The genesis has an entry of no round, so it cannot be found by one.
		entry, err := e.prevBeacon(ctx, at)
		if err != nil {
			return nil, err
		}
		return beacon.Draw(entry.Data, tag, epoch, entropy), nil
	}
	round := e.beacon.Round(epoch)
	for range beaconLookback {
		for _, b := range at.MinTicketBlock().BeaconEntries {
			if b.Round == round {
				return beacon.Draw(b.Data, tag, epoch, entropy), nil
			}
		}
		if at.Height() == 0 {
			break
		}
		if at, err = e.chain.TipSet(ctx, at.Parents()); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: %d for epoch %d, from %s", ErrNoBeacon, round, epoch, ts)
}

// drawn is the tipset that the draw of an epoch uses.
func (e *Engine) drawn(ctx context.Context, ts *types.TipSet, epoch abi.ChainEpoch) (*types.TipSet, error) {
	if epoch > ts.Height() {
		return nil, fmt.Errorf("%w: epoch %d, from %s", ErrFutureDraw, epoch, ts)
	}
	return e.chain.TipSetAfter(ctx, max(epoch, 0), ts)
}

// prevBeacon is the latest beacon entry on a tipset's chain (spec chain.md e.2).
func (e *Engine) prevBeacon(ctx context.Context, ts *types.TipSet) (types.BeaconEntry, error) {
	at := ts
	for range beaconLookback + 1 {
		if b := at.MinTicketBlock().LastBeacon(); b != nil {
			return *b, nil
		}
		if at.Height() == 0 {
			break
		}
		var err error
		if at, err = e.chain.TipSet(ctx, at.Parents()); err != nil {
			return types.BeaconEntry{}, err
		}
	}
	return types.BeaconEntry{}, fmt.Errorf("%w: any, up to %s", ErrNoBeacon, ts)
}

// draws is the randomness that actors see while a tipset is executed.
type draws struct {
	e  *Engine
	ts *types.TipSet
}

// FromTickets implements vm.Randomness.
func (d draws) FromTickets(ctx context.Context, tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) ([]byte, error) {
	return d.e.TicketRandomness(ctx, d.ts, tag, epoch, entropy)
}

// FromBeacon implements vm.Randomness.
func (d draws) FromBeacon(ctx context.Context, tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) ([]byte, error) {
	return d.e.BeaconRandomness(ctx, d.ts, tag, epoch, entropy)
}

// ElectionDraw is what a worker signs to take part in the election of an epoch; rbase is the
// latest beacon entry that the block knows, its own included (spec chain.md e.4).
func ElectionDraw(rbase types.BeaconEntry, miner address.Address, epoch abi.ChainEpoch) ([]byte, error) {
	entropy, err := addressEntropy(miner)
	return beacon.Draw(rbase.Data, crypto.DomainSeparationTag_ElectionProofProduction, epoch, entropy), err
}

// TicketDraw is what a worker signs for the ticket of a block on some parents.
func TicketDraw(rbase types.BeaconEntry, miner address.Address, epoch abi.ChainEpoch, parents *types.TipSet) ([]byte, error) {
	entropy, err := addressEntropy(miner)
	entropy = append(entropy, parents.MinTicket().VRFProof...)
	return beacon.Draw(rbase.Data, crypto.DomainSeparationTag_TicketProduction, epoch-1, entropy), err
}

// WinningDraw challenges the sectors of a winner.
func WinningDraw(rbase types.BeaconEntry, miner address.Address, epoch abi.ChainEpoch) (abi.PoStRandomness, error) {
	entropy, err := addressEntropy(miner)
	return beacon.Draw(rbase.Data, crypto.DomainSeparationTag_WinningPoStChallengeSeed, epoch, entropy), err
}

func addressEntropy(a address.Address) ([]byte, error) {
	var buf bytes.Buffer
	err := a.MarshalCBOR(&buf)
	return buf.Bytes(), err
}
