package vm

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/network"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"
	runtime8 "github.com/filecoin-project/specs-actors/v8/actors/runtime"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/types/sigs"
)

// lookback is how far below a block its miner's worker key is read, in epochs (spec
// chain.md e.1).
const lookback = 900

var errNoFault = errors.New("the headers show no fault")

// VerifyConsensusFault checks that two block headers show a fault of the receiver, a miner
// (spec chain.md d.11). extra, a header too, is only looked at for parent grinding.
func (f *frame) VerifyConsensusFault(h1, h2, extra []byte) (*runtime8.ConsensusFault, error) {
	f.charge(charge{name: "OnVerifyConsensusFault", compute: gasConsensusFault})
	a, err := f.faultHeader(h1)
	if err != nil {
		return nil, fmt.Errorf("first header: %w", err)
	}
	b, err := f.faultHeader(h2)
	if err != nil {
		return nil, fmt.Errorf("second header: %w", err)
	}
	var c *types.BlockHeader
	if len(extra) > 0 {
		if c, err = f.faultHeader(extra); err != nil {
			return nil, fmt.Errorf("extra header: %w", err)
		}
	}
	kind, err := faultOf(a, b, c)
	if err != nil {
		return nil, err
	}
	// The signature of the extra header tells nothing: whoever made it, the miner ignored it.
	for _, h := range []*types.BlockHeader{a, b} {
		if err := f.checkFaultSignature(h); err != nil {
			return nil, fmt.Errorf("header %s: %w", h.Cid(), err)
		}
	}
	return &runtime8.ConsensusFault{Target: a.Miner, Epoch: b.Height, Type: kind}, nil
}

func (f *frame) faultHeader(b []byte) (*types.BlockHeader, error) {
	var h types.BlockHeader
	if err := h.UnmarshalCBOR(bytes.NewReader(b)); err != nil {
		return nil, err
	}
	switch p := h.Miner.Protocol(); {
	case p == address.ID, p == address.SECP256K1, p == address.Actor, p == address.BLS:
	case p == address.Delegated && f.vm.env.NetworkVersion >= network.Version18:
	default:
		return nil, fmt.Errorf("miner %s has an address of a kind not valid here", h.Miner)
	}
	return &h, nil
}

// faultOf says what two headers show; the last fault that applies counts.
func faultOf(a, b, c *types.BlockHeader) (kind runtime8.ConsensusFaultType, err error) {
	switch {
	case a.Cid() == b.Cid():
		return 0, errors.New("the headers are the same")
	case a.Miner != b.Miner:
		return 0, fmt.Errorf("the headers are of miners %s and %s", a.Miner, b.Miner)
	case b.Height < a.Height:
		return 0, fmt.Errorf("the second header is lower: %d, %d", a.Height, b.Height)
	}
	if a.Height == b.Height {
		kind = runtime8.ConsensusFaultDoubleForkMining
	}
	if sameParents(a, b) && a.Height != b.Height {
		kind = runtime8.ConsensusFaultTimeOffsetMining
	}
	if c != nil && sameParents(a, c) && a.Height == c.Height &&
		slices.Contains(b.Parents, c.Cid()) && !slices.Contains(b.Parents, a.Cid()) {
		kind = runtime8.ConsensusFaultParentGrinding
	}
	if kind == 0 {
		return 0, errNoFault
	}
	return kind, nil
}

// sameParents compares as sets.
func sameParents(a, b *types.BlockHeader) bool {
	set := make(map[cid.Cid]bool, len(a.Parents))
	for _, c := range a.Parents {
		set[c] = false
	}
	n := 0
	for _, c := range b.Parents {
		seen, ok := set[c]
		if !ok {
			return false
		}
		if !seen {
			set[c] = true
			n++
		}
	}
	return n == len(set)
}

// checkFaultSignature checks a header's signature against the worker key that the receiver
// had when it won the right to mine it.
func (f *frame) checkFaultSignature(h *types.BlockHeader) error {
	v := f.vm
	if v.env.NetworkVersion >= network.Version7 && h.Height < v.epoch-miner.ChainFinality {
		return fmt.Errorf("height %d is out of reach at epoch %d", h.Height, v.epoch)
	}
	// Anyone can report a header of any height. The state to look back to must be older than
	// the one being made here, or asking for it would never end.
	if h.Height-lookback >= v.epoch {
		return fmt.Errorf("height %d is too far ahead of epoch %d", h.Height, v.epoch)
	}
	if v.env.Lookback == nil {
		return ErrNoLookback
	}
	root, err := v.env.Lookback(f.ctx, h.Height)
	if errors.Is(err, ErrNoLookback) {
		return err
	}
	if err != nil {
		fatalf("look-back state for height %d: %w", h.Height, err)
	}
	worker, err := f.workerAt(root)
	if err != nil {
		return err
	}
	msg, err := h.SigningBytes()
	if err != nil {
		return err
	}
	return sigs.Verify(h.BlockSig, worker, msg)
}

// workerAt is the worker key of the receiver in an earlier state.
func (f *frame) workerAt(root cid.Cid) (address.Address, error) {
	old := view.At(f.vm.buffer, root)
	info, err := old.MinerInfo(f.ctx, f.receiver)
	if err == nil {
		var key address.Address
		if key, err = old.KeyAddress(f.ctx, info.Worker); err == nil {
			return key, nil
		}
	}
	if errors.Is(err, view.ErrNotFound) || errors.Is(err, view.ErrWrongActor) {
		return address.Undef, fmt.Errorf("worker of %s at the look-back state: %w", f.receiver, err)
	}
	fatalf("worker of %s at the look-back state %s: %w", f.receiver, root, err)
	return address.Undef, nil
}
