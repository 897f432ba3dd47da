package node

import (
	"context"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/network"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/vm"
)

// stateAPI answers about what actors hold.
type stateAPI struct{ n *Node }

// before is the state that a tipset builds on, for a question about an address.
func (a stateAPI) before(ctx context.Context, addr address.Address, tsk types.TipSetKey) (*view.View, *types.TipSet, error) {
	if addr == address.Undef {
		return nil, nil, badParam("address: none given")
	}
	return a.n.before(ctx, tsk)
}

func (a stateAPI) StateGetActor(ctx context.Context, addr address.Address, tsk types.TipSetKey) (*types.Actor, error) {
	v, _, err := a.before(ctx, addr, tsk)
	if err != nil {
		return nil, err
	}
	act, err := v.Actor(ctx, addr)
	return act, coded(err)
}

func (a stateAPI) StateReadState(ctx context.Context, addr address.Address, tsk types.TipSetKey) (*api.ActorState, error) {
	v, _, err := a.before(ctx, addr, tsk)
	if err != nil {
		return nil, err
	}
	act, st, err := v.Decoded(ctx, addr)
	if err != nil {
		return nil, coded(err)
	}
	return &api.ActorState{Balance: act.Balance, Code: act.Code, State: st}, nil
}

func (a stateAPI) StateListActors(ctx context.Context, tsk types.TipSetKey) ([]address.Address, error) {
	v, _, err := a.n.before(ctx, tsk)
	if err != nil {
		return nil, err
	}
	var out []address.Address
	err = v.ForEachActor(ctx, func(addr address.Address, _ *types.Actor) error {
		out = append(out, addr)
		return ctx.Err()
	})
	return out, err
}

func (a stateAPI) StateLookupID(ctx context.Context, addr address.Address, tsk types.TipSetKey) (address.Address, error) {
	v, _, err := a.before(ctx, addr, tsk)
	if err != nil {
		return address.Undef, err
	}
	id, err := v.LookupID(ctx, addr)
	return id, coded(err)
}

func (a stateAPI) StateAccountKey(ctx context.Context, addr address.Address, tsk types.TipSetKey) (address.Address, error) {
	v, _, err := a.before(ctx, addr, tsk)
	if err != nil {
		return address.Undef, err
	}
	key, err := v.KeyAddress(ctx, addr)
	return key, coded(err)
}

func (a stateAPI) StateLookupRobustAddress(ctx context.Context, id address.Address, tsk types.TipSetKey) (address.Address, error) {
	v, _, err := a.before(ctx, id, tsk)
	if err != nil {
		return address.Undef, err
	}
	robust, err := v.RobustAddress(ctx, id)
	return robust, coded(err)
}

func (a stateAPI) StateNetworkName(context.Context) (string, error) { return a.n.network.Name, nil }

func (a stateAPI) StateNetworkVersion(ctx context.Context, tsk types.TipSetKey) (network.Version, error) {
	_, err := a.n.tipset(ctx, tsk)
	return types.NetworkVersion, err
}

func (a stateAPI) StateGetNetworkParams(context.Context) (*api.NetworkParams, error) {
	n := a.n.network
	return &api.NetworkParams{
		NetworkName: n.Name, BlockDelaySecs: n.EpochSeconds, ConsensusMinerMinPower: big.NewIntUnsigned(n.Policy.MinPower),
		PreCommitChallengeDelay: n.Policy.PreCommitChallengeDelay, GenesisTimestamp: n.GenesisTime,
	}, nil
}

func (a stateAPI) StateCirculatingSupply(ctx context.Context, tsk types.TipSetKey) (abi.TokenAmount, error) {
	v, ts, err := a.n.before(ctx, tsk)
	if err != nil {
		return abi.TokenAmount{}, err
	}
	return v.Spendable(ctx, ts.Height())
}

func (a stateAPI) StateVMCirculatingSupplyInternal(ctx context.Context, tsk types.TipSetKey) (api.CirculatingSupply, error) {
	ts, err := a.n.tipset(ctx, tsk)
	if err != nil {
		return api.CirculatingSupply{}, err
	}
	s, err := a.supply(ctx, ts)
	if err != nil {
		return api.CirculatingSupply{}, err
	}
	return api.CirculatingSupply{
		FilVested: s.AtGenesis, FilMined: s.Mined, FilBurnt: s.Burnt, FilLocked: s.Locked,
		FilCirculating: s.Circulating(), FilReserveDisbursed: big.Zero(),
	}, nil
}

func (a stateAPI) supply(ctx context.Context, ts *types.TipSet) (vm.Supply, error) {
	return vm.SupplyAt(ctx, a.n.store, ts.ParentState(), a.n.chain.atGenesis)
}
