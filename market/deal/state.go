package deal

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/verifreg"
	"github.com/filecoin-project/specs-actors/v8/actors/util/adt"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
)

// Engine is what State needs of chain/store and chain/consensus.
type Engine interface {
	// Head is the heaviest tipset; nil before there is one.
	Head() *types.TipSet
	// View reads the state after a tipset's messages.
	View(ctx context.Context, ts *types.TipSet) (*view.View, error)
	// Circulating is the circulating supply there.
	Circulating(ctx context.Context, ts *types.TipSet) (abi.TokenAmount, error)
	// Call runs a message on that state and forgets the result.
	Call(ctx context.Context, ts *types.TipSet, m *types.Message) (code exitcode.ExitCode, why string, err error)
}

// State implements Chain on an engine: each answer is of the head at that moment.
type State struct{ engine Engine }

var _ Chain = (*State)(nil)

// NewState wraps an engine.
func NewState(e Engine) *State { return &State{e} }

// ErrNoHead: the node has no chain yet.
var ErrNoHead = errors.New("the node has no chain yet: wait until it has synced")

func (s *State) head() (*types.TipSet, error) {
	ts := s.engine.Head()
	if ts == nil {
		return nil, ErrNoHead
	}
	return ts, nil
}

func (s *State) view(ctx context.Context) (*view.View, *types.TipSet, error) {
	ts, err := s.head()
	if err != nil {
		return nil, nil, err
	}
	v, err := s.engine.View(ctx, ts)
	return v, ts, err
}

// Height implements Chain.
func (s *State) Height(context.Context) (abi.ChainEpoch, error) {
	ts, err := s.head()
	if err != nil {
		return 0, err
	}
	return ts.Height(), nil
}

// Balance implements Chain.
func (s *State) Balance(ctx context.Context, a address.Address) (abi.TokenAmount, error) {
	v, _, err := s.view(ctx)
	if err != nil {
		return big.Zero(), err
	}
	act, err := v.Actor(ctx, a)
	if errors.Is(err, view.ErrNotFound) {
		return big.Zero(), nil
	}
	if err != nil {
		return big.Zero(), err
	}
	return act.Balance, nil
}

// MarketBalance implements Chain.
func (s *State) MarketBalance(ctx context.Context, a address.Address) (escrow, locked abi.TokenAmount, err error) {
	v, _, err := s.view(ctx)
	if err != nil {
		return big.Zero(), big.Zero(), err
	}
	escrow, locked, err = v.MarketBalance(ctx, a)
	if errors.Is(err, view.ErrNotFound) {
		return big.Zero(), big.Zero(), nil
	}
	return escrow, locked, err
}

// LookupID implements Chain.
func (s *State) LookupID(ctx context.Context, a address.Address) (address.Address, error) {
	if a.Protocol() == address.ID {
		return a, nil
	}
	v, _, err := s.view(ctx)
	if err != nil {
		return address.Undef, err
	}
	return v.LookupID(ctx, a)
}

// KeyAddress implements Chain.
func (s *State) KeyAddress(ctx context.Context, a address.Address) (address.Address, error) {
	v, _, err := s.view(ctx)
	if err != nil {
		return address.Undef, err
	}
	if a.Protocol() != address.ID {
		if _, err := v.LookupID(ctx, a); err != nil {
			return address.Undef, err
		}
	}
	return v.KeyAddress(ctx, a)
}

// Deal implements Chain.
func (s *State) Deal(ctx context.Context, id abi.DealID) (*market.DealProposal, *market.DealState, error) {
	v, _, err := s.view(ctx)
	if err != nil {
		return nil, nil, err
	}
	return v.Deal(ctx, id)
}

// ForEachDeal calls f for every deal on chain.
func (s *State) ForEachDeal(ctx context.Context, f func(abi.DealID, *market.DealProposal, *market.DealState) error) error {
	v, _, err := s.view(ctx)
	if err != nil {
		return err
	}
	return v.ForEachDeal(ctx, f)
}

// MinerInfo implements Chain.
func (s *State) MinerInfo(ctx context.Context, a address.Address) (*miner.MinerInfo, error) {
	v, _, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	return v.MinerInfo(ctx, a)
}

// CollateralBounds implements Chain by the actors' own formula (spec markets.md A.5).
func (s *State) CollateralBounds(ctx context.Context, size abi.PaddedPieceSize, verified bool) (least, most abi.TokenAmount, err error) {
	wrap := func(err error) (abi.TokenAmount, abi.TokenAmount, error) {
		return big.Zero(), big.Zero(), fmt.Errorf("collateral bounds: %w", err)
	}
	v, ts, err := s.view(ctx)
	if err != nil {
		return wrap(err)
	}
	pw, _, err := v.Power(ctx)
	if err != nil {
		return wrap(err)
	}
	rw, err := v.Reward(ctx)
	if err != nil {
		return wrap(err)
	}
	supply, err := s.engine.Circulating(ctx, ts)
	if err != nil {
		return wrap(err)
	}
	least, most = market.DealProviderCollateralBounds(size, verified, pw.ThisEpochRawBytePower, pw.ThisEpochQualityAdjPower, rw.ThisEpochBaselinePower, supply)
	return least, most, nil
}

// DataCap implements Chain.
func (s *State) DataCap(ctx context.Context, a address.Address) (abi.StoragePower, error) {
	wrap := func(err error) (abi.StoragePower, error) {
		return big.Zero(), fmt.Errorf("data cap of %s: %w", a, err)
	}
	v, _, err := s.view(ctx)
	if err != nil {
		return wrap(err)
	}
	id, err := v.LookupID(ctx, a)
	if errors.Is(err, view.ErrNotFound) {
		return big.Zero(), nil
	}
	if err != nil {
		return wrap(err)
	}
	act, err := v.Actor(ctx, builtin.VerifiedRegistryActorAddr)
	if err != nil {
		return wrap(err)
	}
	store := v.Store(ctx)
	var st verifreg.State
	if err := store.Get(ctx, act.Head, &st); err != nil {
		return wrap(err)
	}
	clients, err := adt.AsMap(store, st.VerifiedClients, builtin.DefaultHamtBitwidth)
	if err != nil {
		return wrap(err)
	}
	limit := big.Zero()
	if _, err := clients.Get(abi.AddrKey(id), &limit); err != nil {
		return wrap(err)
	}
	return limit, nil
}

// Call implements Chain.
func (s *State) Call(ctx context.Context, m *types.Message) (exitcode.ExitCode, string, error) {
	ts, err := s.head()
	if err != nil {
		return 0, "", err
	}
	return s.engine.Call(ctx, ts, m)
}
