package vm

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/actors"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/network"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/state"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/proofs"
)

// Randomness answers the draws of actors. It is bound to the tipset that is executed; the
// results are final draws of 32 bytes (spec chain.md d.10). An error is fatal to the
// execution.
type Randomness interface {
	FromTickets(ctx context.Context, tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) ([]byte, error)
	FromBeacon(ctx context.Context, tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) ([]byte, error)
}

// ErrNoLookback is what Env.Lookback returns when the rules give no state for the height,
// however complete the chain store is. The report is refused; any other error stops the
// execution.
var ErrNoLookback = errors.New("no look-back state for this height")

// Env is what an execution needs from outside. A VM does not change it.
type Env struct {
	// Blocks holds the state. Only Flush writes to it, and only what the new root reaches.
	Blocks types.Blocks
	// Verifier checks proofs of replication and of spacetime; without it all are refused.
	Verifier proofs.Verifier
	// Rand is bound to the tipset that is executed.
	Rand Randomness
	// NetworkVersion chooses the rules and the gas prices.
	NetworkVersion network.Version
	// CirculatingAtGenesis is the starting point of the circulating supply, in attoFIL; the
	// zero value is 0.
	CirculatingAtGenesis abi.TokenAmount
	// Lookback is the state that holds the worker keys for blocks of a height (spec e.3).
	// Only reports of consensus faults ask for it, for heights at most 900 epochs from the
	// VM's epoch, the upper end excluded; without it they are all refused.
	Lookback func(ctx context.Context, height abi.ChainEpoch) (root cid.Cid, err error)

	// Actors is the code to run; nil is NetworkActors, the only choice of a real network.
	Actors *Registry
	// Circulating, when not nil, replaces the computed circulating supply, in attoFIL.
	Circulating *abi.TokenAmount
	// Implicit, when not nil, is told of each message of the system that ApplyTipSet runs.
	Implicit func(*types.Message, *Result)
	// Trace asks for Result.Trace, which costs time and memory.
	Trace bool
}

// ErrNoActors: no actors are registered for the network version.
var ErrNoActors = errors.New("no actors for this network version")

// VM applies messages of one epoch to a state. It is not safe from more than one goroutine.
type VM struct {
	env     Env
	version actors.Version // of the actors
	account cid.Cid        // code of new accounts
	prices  prices
	epoch   abi.ChainEpoch
	baseFee abi.TokenAmount

	buffer *state.Buffer
	tree   *state.Tree
	root   cid.Cid // before the first message

	// circulating is computed at the first question.
	circulating *abi.TokenAmount
	// broken is the fatal error after which the state means nothing any more.
	broken error
}

// New loads the state at root for execution at an epoch. baseFee is in attoFIL per gas unit.
func New(ctx context.Context, env Env, root cid.Cid, epoch abi.ChainEpoch, baseFee abi.TokenAmount) (*VM, error) {
	return newOn(ctx, env, state.NewBuffer(env.Blocks), root, epoch, baseFee)
}

// newOn is New above a buffer that may hold the state already.
func newOn(ctx context.Context, env Env, buf *state.Buffer, root cid.Cid, epoch abi.ChainEpoch, baseFee abi.TokenAmount) (*VM, error) {
	if env.Actors == nil {
		env.Actors = NetworkActors()
	}
	if baseFee.Int == nil || baseFee.Sign() < 0 {
		return nil, fmt.Errorf("vm at epoch %d: base fee is missing or negative", epoch)
	}
	version, err := actors.VersionForNetwork(env.NetworkVersion)
	if err != nil {
		return nil, fmt.Errorf("vm at epoch %d: %w", epoch, err)
	}
	account, err := accountCode(version)
	if err != nil {
		return nil, fmt.Errorf("vm at epoch %d: %w", epoch, err)
	}
	if _, ok := env.Actors.lookup(account, version); !ok {
		return nil, fmt.Errorf("vm at epoch %d: %w: %d", epoch, ErrNoActors, env.NetworkVersion)
	}
	// The first head of every actor must be there to be linked.
	empty, err := blocks.NewBlockWithCid([]byte{0x80}, types.EmptyArrayCid)
	if err != nil {
		return nil, err
	}
	if err := buf.Put(ctx, empty); err != nil {
		return nil, err
	}
	tree, err := state.Load(ctx, buf, root)
	if err != nil {
		return nil, fmt.Errorf("vm at epoch %d: %w", epoch, err)
	}
	return &VM{
		env: env, version: version, account: account, prices: pricesFor(env.NetworkVersion),
		epoch: epoch, baseFee: baseFee, buffer: buf, tree: tree, root: root,
	}, nil
}

// Flush writes the state to Env.Blocks and returns its root. The VM can be used further.
func (v *VM) Flush(ctx context.Context) (cid.Cid, error) {
	root, err := v.flushTree(ctx)
	if err != nil {
		return cid.Undef, err
	}
	if err := v.buffer.Flush(ctx, root); err != nil {
		return cid.Undef, fmt.Errorf("vm at epoch %d: %w", v.epoch, err)
	}
	return root, nil
}

// flushTree writes the state to the buffer only.
func (v *VM) flushTree(ctx context.Context) (cid.Cid, error) {
	if v.broken != nil {
		return cid.Undef, fmt.Errorf("vm at epoch %d: an earlier message could not be executed: %w", v.epoch, v.broken)
	}
	root, err := v.tree.Flush(ctx)
	if err != nil {
		return cid.Undef, fmt.Errorf("vm at epoch %d: %w", v.epoch, err)
	}
	return root, nil
}

// Actor reads an actor of the state as it is now, by an address of any kind; false when
// there is none.
func (v *VM) Actor(ctx context.Context, a address.Address) (types.Actor, bool, error) {
	return v.tree.Actor(ctx, a)
}

// View reads the state as it is now. It writes the tree to memory, not to Env.Blocks, and
// the view belongs to the VM's goroutine.
func (v *VM) View(ctx context.Context) (*view.View, error) {
	root, err := v.flushTree(ctx)
	if err != nil {
		return nil, err
	}
	return view.At(v.buffer, root), nil
}

// supply is the circulating supply that actors see: that of the state the VM began with.
func (v *VM) supply(ctx context.Context) (abi.TokenAmount, error) {
	if v.env.Circulating != nil {
		return *v.env.Circulating, nil
	}
	if v.circulating == nil {
		s, err := CirculatingSupply(ctx, v.buffer, v.root, v.env.CirculatingAtGenesis)
		if err != nil {
			return big.Zero(), err
		}
		v.circulating = &s
	}
	return *v.circulating, nil
}
