package deal

import (
	"context"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"
	"github.com/lodenet/lode/chain/outbox"
	"github.com/lodenet/lode/chain/types"
)

// Chain is what deals read of the chain, always at its head. Safe from many goroutines.
// State implements it.
type Chain interface {
	// Height is the head's epoch.
	Height(ctx context.Context) (abi.ChainEpoch, error)
	// Balance is what an address can spend; 0 when there is no such actor.
	Balance(ctx context.Context, a address.Address) (abi.TokenAmount, error)
	// MarketBalance is an address's escrow and what deals lock of it; 0 when it has none.
	MarketBalance(ctx context.Context, a address.Address) (escrow, locked abi.TokenAmount, err error)
	// LookupID and KeyAddress translate addresses; view.ErrNotFound when unknown.
	LookupID(ctx context.Context, a address.Address) (address.Address, error)
	KeyAddress(ctx context.Context, a address.Address) (address.Address, error)
	// Deal reads a published deal; the state is nil until it is active. view.ErrNotFound
	// when it is not, or no longer, on chain.
	Deal(ctx context.Context, id abi.DealID) (*market.DealProposal, *market.DealState, error)
	// ForEachDeal calls f for every deal on chain, until it returns an error. What it gets is
	// valid during the call.
	ForEachDeal(ctx context.Context, f func(abi.DealID, *market.DealProposal, *market.DealState) error) error
	MinerInfo(ctx context.Context, a address.Address) (*miner.MinerInfo, error)
	// CollateralBounds are the chain's own bounds of a provider's collateral.
	CollateralBounds(ctx context.Context, size abi.PaddedPieceSize, verified bool) (least, most abi.TokenAmount, err error)
	// DataCap is how many bytes of verified deals a client may still make.
	DataCap(ctx context.Context, a address.Address) (abi.StoragePower, error)
	// Call runs a message on the head's state and forgets the result. why tells what went
	// wrong when the code is not 0.
	Call(ctx context.Context, m *types.Message) (code exitcode.ExitCode, why string, err error)
}

// Outbox sends own messages, exactly one an intent also over a kill (chain/outbox).
type Outbox interface {
	// Send stores the intent durably and returns. The same key is the same send; with
	// another content it is refused. After an error that is neither the context's nor
	// outbox.ErrUncertain, nothing was sent and the key is free.
	Send(ctx context.Context, in outbox.Intent) (outbox.ID, error)
	// Wait blocks until the message is on chain with the wanted confidence.
	Wait(ctx context.Context, id outbox.ID, confidence abi.ChainEpoch) (*outbox.Result, error)
}

var _ Outbox = (*outbox.Outbox)(nil)

// Signer signs with a key of the wallet; the address is a key address.
type Signer interface {
	Sign(ctx context.Context, a address.Address, msg []byte) (*crypto.Signature, error)
}
