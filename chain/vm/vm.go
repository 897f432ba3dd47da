package vm

import (
	"context"
	"errors"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/network"
	"github.com/ipfs/go-cid"

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

// Env is what an execution needs from outside. It is not changed by a VM.
type Env struct {
	// Blocks holds the state. A VM writes to it in Flush only, and only what the new root
	// reaches.
	Blocks types.Blocks
	// Verifier checks proofs of replication and of spacetime.
	Verifier proofs.Verifier
	// Rand is bound to the tipset that is executed.
	Rand Randomness
	// NetworkVersion chooses the rules and the gas prices.
	NetworkVersion network.Version
	// CirculatingAtGenesis is the starting point of the circulating supply, in attoFIL.
	CirculatingAtGenesis abi.TokenAmount
	// Lookback is the state that holds the worker keys for blocks of a height (spec e.3).
	// Only consensus fault reports ask for it; without it they are all refused.
	Lookback func(ctx context.Context, height abi.ChainEpoch) (root cid.Cid, err error)

	// Actors is the code to run; nil is NetworkActors, the only choice of a real network.
	Actors *Registry
	// Circulating, when not nil, replaces the computed circulating supply, in attoFIL.
	Circulating *abi.TokenAmount
	// Trace asks for Result.Trace, which costs time.
	Trace bool
}

// Registry is the code of actors by code CID.
type Registry struct{}

// Result is what one message did.
type Result struct {
	Receipt types.MessageReceipt
	// Err is why the message failed, for people; empty when it succeeded.
	Err string
	// Penalty is what the miner that included the message is fined, MinerTip what it earns,
	// in attoFIL.
	Penalty, MinerTip abi.TokenAmount
	GasCosts          GasCosts
	// Trace is nil unless Env.Trace is set.
	Trace *Trace
}

// GasCosts says where the gas fees of a message went, in attoFIL (spec chain.md c.6).
type GasCosts struct {
	BaseFeeBurn, OverEstimationBurn, MinerPenalty, MinerTip, Refund abi.TokenAmount
}

// Trace is the tree of calls of a message with their gas charges (spec chain.md d.4).
type Trace struct{}

var errSkeleton = errors.New("chain/vm is being written")

// VM applies messages of one epoch to a state. It is not safe from more than one goroutine.
type VM struct{}

// New loads the state at root for execution at an epoch. baseFee is in attoFIL per gas unit.
func New(ctx context.Context, env Env, root cid.Cid, epoch abi.ChainEpoch, baseFee abi.TokenAmount) (*VM, error) {
	return nil, errSkeleton
}

// Apply applies an explicit message: checks of the sender, fees and nonce included (d.2).
// A message that fails, however, gives a Result; an error means that execution stopped and
// the VM must be dropped.
func (v *VM) Apply(ctx context.Context, msg types.ChainMsg) (*Result, error) {
	return nil, errSkeleton
}

// ApplyImplicit applies a message of the system itself: no checks of the sender, no fees,
// and the reported gas is 0 (c.7).
func (v *VM) ApplyImplicit(ctx context.Context, msg *types.Message) (*Result, error) {
	return nil, errSkeleton
}

// Flush writes the state to Env.Blocks and returns its root. The VM can be used further.
func (v *VM) Flush(ctx context.Context) (cid.Cid, error) { return cid.Undef, errSkeleton }

// TipSet is what ApplyTipSet executes, taken from the headers of the tipset.
type TipSet struct {
	// Parent is the state root that the headers name: after executing the parent tipset.
	Parent       cid.Cid
	ParentHeight abi.ChainEpoch
	Height       abi.ChainEpoch
	BaseFee      abi.TokenAmount // attoFIL per gas unit
	Blocks       []types.BlockMessages
}

// ApplyTipSet executes a tipset (c.2): a cron for each null round before it, the selected
// messages of each block (c.3) and its reward, and a cron. each, if not nil, is called for
// each explicit message that was applied, in the order of the receipts. It returns the new
// state root and the root of the receipts, both written to env.Blocks.
func ApplyTipSet(ctx context.Context, env Env, ts TipSet, each func(types.ChainMsg, *Result)) (root, receipts cid.Cid, err error) {
	return cid.Undef, cid.Undef, errSkeleton
}

// CirculatingSupply is max(0, atGenesis + mined − burnt − locked) at a state, in attoFIL.
func CirculatingSupply(ctx context.Context, blocks types.Blocks, root cid.Cid, atGenesis abi.TokenAmount) (abi.TokenAmount, error) {
	return abi.TokenAmount{}, errSkeleton
}

// ErrOtherNetwork: another network's policy was applied in this process before. Start a
// process for each network.
var ErrOtherNetwork = errors.New("this process already runs another network")

// SetNetwork applies a network's policy to the actors (spec chain.md h.4).
func SetNetwork(n types.Network) error { return errSkeleton }
