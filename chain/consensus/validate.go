package consensus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/proof"
	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/types/sigs"
	"github.com/lodenet/lode/proofs/post"
)

const (
	// clockDrift is how far other clocks may be ahead of ours (spec chain.md e.1).
	clockDrift = time.Second
	// maxEpochsAhead is how far in the future a block may be for its validation to be worth
	// starting.
	maxEpochsAhead = 5
)

// ValidateBlock checks every rule of spec chain.md e.10. The block's ancestors and the
// messages of its parents must be in the chain, and its parents valid; its own messages come
// with it and are not stored. ErrTemporal, when only the time is wrong, is no mark against
// the block; ErrInvalid, found in the error of each broken rule, is for ever; other errors
// say that this node could not tell. A block that passed is remembered by its CID.
func (e *Engine) ValidateBlock(ctx context.Context, b *types.FullBlock) error {
	if b.Header == nil {
		return broken(ErrIncomplete, "header")
	}
	h := b.Header
	if err := e.validate(ctx, b); err != nil {
		return fmt.Errorf("block %s at height %d: %w", h.Cid(), h.Height, err)
	}
	return nil
}

func (e *Engine) validate(ctx context.Context, b *types.FullBlock) error {
	h := b.Header
	if err := checkComplete(h); err != nil {
		return err
	}
	if err := checkLists(ctx, b); err != nil {
		return err
	}
	if _, ok := e.valid.Get(h.Cid()); ok {
		return e.checkTime(h) // the header's CID covers all else
	}
	parent, err := e.parents(ctx, h)
	if err != nil {
		return err
	}
	if want := e.timestamp(parent, h.Height); h.Timestamp != want {
		return broken(ErrTimestamp, "%d, want %d", h.Timestamp, want)
	}
	if at := e.epochs.At(e.clk.Now()); h.Height > at+maxEpochsAhead {
		return fmt.Errorf("%w: epoch %d, it is %d now", ErrTemporal, h.Height, at)
	}
	c, err := e.prepare(ctx, h, parent)
	if err != nil {
		return err
	}
	// What only the worker can make comes first, so that nobody else can cause the work that
	// follows.
	err = inParallel(ctx, c.claim, c.ticket, c.signature, c.beacons, c.winner)
	if err != nil {
		return err
	}
	err = inParallel(ctx, c.winningPoSt, c.baseFee, c.parentState, func(ctx context.Context) error {
		return e.CheckMessages(ctx, parent, b)
	})
	if err != nil {
		return err
	}
	e.valid.Add(h.Cid(), struct{}{})
	return e.checkTime(h)
}

// inParallel runs all checks and returns the error of the first in order, so that the same
// block is always refused for the same reason. A broken rule goes before trouble of our own.
func inParallel(ctx context.Context, checks ...func(context.Context) error) error {
	errs := make([]error, len(checks))
	var g errgroup.Group
	for i, check := range checks {
		g.Go(func() error {
			errs[i] = check(ctx)
			return nil
		})
	}
	_ = g.Wait()
	var first error
	for _, err := range errs {
		if errors.Is(err, ErrInvalid) {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// checkComplete is rule 1 and what gossip can see.
func checkComplete(h *types.BlockHeader) error {
	switch {
	case h.Miner.Protocol() != address.ID || h.Miner == address.Undef:
		return broken(ErrMinerAddress, "%s", h.Miner)
	case h.Ticket == nil:
		return broken(ErrIncomplete, "ticket")
	case h.ElectionProof == nil:
		return broken(ErrIncomplete, "election proof")
	case h.BlockSig == nil:
		return broken(ErrIncomplete, "block signature")
	case h.BLSAggregate == nil:
		return broken(ErrIncomplete, "BLS aggregate")
	case len(h.Parents) == 0:
		return broken(ErrParents, "there are none")
	}
	return nil
}

// parents loads the parent tipset: rules 2, in part, and 3.
func (e *Engine) parents(ctx context.Context, h *types.BlockHeader) (*types.TipSet, error) {
	parent, err := e.chain.TipSet(ctx, types.NewTipSetKey(h.Parents...))
	if errors.Is(err, types.ErrNoTipSet) {
		return nil, fmt.Errorf("%w: %w", ErrParents, err)
	}
	if err != nil {
		return nil, fmt.Errorf("parents: %w", err)
	}
	if !slices.Equal(parent.Cids(), h.Parents) {
		return nil, broken(ErrParents, "%s are read as %s", h.Parents, parent)
	}
	if err := checkMiners(parent); err != nil {
		return nil, err
	}
	if h.Height <= parent.Height() {
		return nil, broken(ErrHeight, "%d on %d", h.Height, parent.Height())
	}
	return parent, nil
}

// timestamp is what a block at a height on a parent must say (spec chain.md e.2).
func (e *Engine) timestamp(parent *types.TipSet, h abi.ChainEpoch) uint64 {
	return parent.MinTimestamp() + e.net.EpochSeconds*uint64(h-parent.Height())
}

// checkTime is rule 5.
func (e *Engine) checkTime(h *types.BlockHeader) error {
	limit := e.clk.Now().Add(clockDrift)
	if limit.Unix() < 0 || h.Timestamp > uint64(limit.Unix()) {
		return fmt.Errorf("%w: it says %d, it is %d now", ErrTemporal, h.Timestamp, e.clk.Now().Unix())
	}
	return nil
}

// check is a block in validation, with what the rules have in common.
type check struct {
	e              *Engine
	h              *types.BlockHeader
	parent         *types.TipSet
	lookbackTipSet *types.TipSet
	lookback       *view.View
	prev, rbase    types.BeaconEntry
	worker         address.Address
}

// prepare is rules 2, 6 and 7.
func (e *Engine) prepare(ctx context.Context, h *types.BlockHeader, parent *types.TipSet) (*check, error) {
	c := &check{e: e, h: h, parent: parent}
	at, root, err := e.lookback(ctx, parent, h.Height)
	if err != nil {
		return nil, err
	}
	c.lookbackTipSet, c.lookback = at, view.At(e.chain, root)
	if c.prev, err = e.prevBeacon(ctx, parent); err != nil {
		return nil, err
	}
	c.rbase = c.prev
	if last := h.LastBeacon(); last != nil {
		c.rbase = *last
	}
	w, err := e.Weight(ctx, parent)
	if err != nil {
		return nil, err
	}
	if !w.Equals(h.ParentWeight) {
		return nil, broken(ErrWeight, "%s, want %s", h.ParentWeight, w)
	}
	c.worker, err = worker(ctx, c.lookback, h.Miner)
	return c, err
}

// claim is rule 8.
func (c *check) claim(ctx context.Context) error {
	_, found, err := view.At(c.e.chain, c.parent.ParentState()).Claim(ctx, c.h.Miner)
	if err != nil {
		return lookup(ErrNoClaim, err)
	}
	if !found {
		return broken(ErrNoClaim, "%s", c.h.Miner)
	}
	return nil
}

// ticket is rule 9.
func (c *check) ticket(context.Context) error {
	draw, err := TicketDraw(c.rbase, c.h.Miner, c.h.Height, c.parent)
	if err != nil {
		return err
	}
	return verifyVRF(ErrTicket, c.worker, draw, c.h.Ticket.VRFProof)
}

func verifyVRF(rule error, worker address.Address, draw, vrf []byte) error {
	sig := &crypto.Signature{Type: crypto.SigTypeBLS, Data: vrf}
	if err := sigs.Verify(sig, worker, draw); err != nil {
		return fmt.Errorf("%w: %w", rule, err)
	}
	return nil
}

// signature is rule 10.
func (c *check) signature(context.Context) error { return c.e.verifySignature(c.h, c.worker) }

// signed is a header, whose CID covers its signature, and the key that it was checked with.
type signed struct {
	header cid.Cid
	worker address.Address
}

// verifySignature checks the signature of a header. One that held is remembered, because
// gossip checks it first, and then the validation.
func (e *Engine) verifySignature(h *types.BlockHeader, worker address.Address) error {
	s := signed{h.Cid(), worker}
	if e.signed.Contains(s) {
		return nil
	}
	b, err := h.SigningBytes()
	if err != nil {
		return err
	}
	if err := sigs.Verify(h.BlockSig, worker, b); err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	e.signed.Add(s, struct{}{})
	return nil
}

// beacons is rule 11.
func (c *check) beacons(context.Context) error {
	if err := c.e.beacon.Check(c.h.Height, c.parent.Height(), c.prev, c.h.BeaconEntries); err != nil {
		return fmt.Errorf("%w: %w", ErrBeacon, err)
	}
	return nil
}

// winner is rule 13.
func (c *check) winner(ctx context.Context) error {
	p := c.h.ElectionProof
	if p.WinCount < 1 {
		return broken(ErrNotWinner, "%d", p.WinCount)
	}
	why, err := c.e.ineligible(ctx, c.lookbackTipSet, c.parent, c.h.Miner)
	if err != nil {
		return err
	}
	if why != "" {
		return broken(ErrIneligible, "%s: %s", c.h.Miner, why)
	}
	draw, err := ElectionDraw(c.rbase, c.h.Miner, c.h.Height)
	if err != nil {
		return err
	}
	if err := verifyVRF(ErrElection, c.worker, draw, p.VRFProof); err != nil {
		return err
	}
	its, total, err := power(ctx, c.lookback, c.h.Miner)
	if err != nil {
		return err
	}
	if want := WinCount(p.VRFProof, its, total); p.WinCount != want {
		return broken(ErrWinCount, "%d, want %d", p.WinCount, want)
	}
	return nil
}

// winningPoSt is rule 12.
func (c *check) winningPoSt(ctx context.Context) error {
	kind, sectors, err := provingSet(ctx, c.lookback, c.h.Miner)
	if err != nil {
		return err
	}
	if len(sectors) == 0 {
		return broken(ErrWinningPoSt, "%s has no active sector at the look-back", c.h.Miner)
	}
	for _, p := range c.h.WinPoStProof {
		if p.PoStProof != kind {
			return broken(ErrWinningPoSt, "type %d, want %d", p.PoStProof, kind)
		}
	}
	id, err := address.IDFromAddress(c.h.Miner)
	if err != nil {
		return err
	}
	draw, err := WinningDraw(c.rbase, c.h.Miner, c.h.Height)
	if err != nil {
		return err
	}
	challenged, err := post.WinningSectors(abi.ActorID(id), draw, uint64(len(sectors)))
	if err != nil {
		return fmt.Errorf("winning PoSt challenge: %w", err)
	}
	info := proof.WinningPoStVerifyInfo{Randomness: draw, Proofs: c.h.WinPoStProof, Prover: abi.ActorID(id)}
	for _, i := range challenged {
		if i >= uint64(len(sectors)) {
			return fmt.Errorf("winning PoSt challenges sector %d of %d", i, len(sectors))
		}
		info.ChallengedSectors = append(info.ChallengedSectors, sectors[i])
	}
	holds, err := c.e.verifier.VerifyWinningPoSt(ctx, info)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%w: %w", ErrWinningPoSt, err)
	}
	if !holds {
		return broken(ErrWinningPoSt, "sectors %v", challenged)
	}
	return nil
}

// baseFee is rule 15.
func (c *check) baseFee(ctx context.Context) error {
	want, err := c.e.BaseFee(ctx, c.parent)
	if err != nil {
		return err
	}
	if !want.Equals(c.h.ParentBaseFee) {
		return broken(ErrBaseFee, "%s, want %s", c.h.ParentBaseFee, want)
	}
	return nil
}

// parentState is rule 16.
func (c *check) parentState(ctx context.Context) error {
	root, receipts, err := c.e.State(ctx, c.parent)
	if err != nil {
		return err
	}
	return checkState(c.h, root, receipts)
}

func checkState(h *types.BlockHeader, root, receipts cid.Cid) error {
	if h.ParentStateRoot != root {
		return broken(ErrStateRoot, "%s, want %s", h.ParentStateRoot, root)
	}
	if h.ParentMessageReceipts != receipts {
		return broken(ErrReceipts, "%s, want %s", h.ParentMessageReceipts, receipts)
	}
	return nil
}
