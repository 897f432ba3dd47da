package node

import (
	"context"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/exitcode"

	"github.com/lodenet/lode/chain/consensus"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/store"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/vm"
	"github.com/lodenet/lode/market/deal"
	"github.com/lodenet/lode/storage/sealing"
)

// chainReader joins the store and the engine to what storage and market read of the chain.
type chainReader struct {
	store     *store.Store
	engine    *consensus.Engine
	atGenesis abi.TokenAmount
}

var (
	_ sealing.Chain = chainReader{}
	_ deal.Engine   = chainReader{}
)

func (r chainReader) Head() *types.TipSet { return r.store.Head() }

// HeadChanged waits until the head is another one than the given.
func (r chainReader) HeadChanged(ctx context.Context, than types.TipSetKey) (*types.TipSet, error) {
	head := r.store.Head()
	if head.Key() != than || than.IsEmpty() {
		return head, nil
	}
	f, err := r.store.Follow(ctx, "", store.From(than))
	if err != nil {
		return nil, err
	}
	if _, err := f.Next(ctx); err != nil {
		return nil, err
	}
	return r.store.Head(), nil
}

// View reads the state after a tipset.
func (r chainReader) View(ctx context.Context, ts *types.TipSet) (*view.View, error) {
	return r.engine.View(ctx, ts)
}

// Circulating and CirculatingSupply are the supply after a tipset, in attoFIL.
func (r chainReader) Circulating(ctx context.Context, ts *types.TipSet) (abi.TokenAmount, error) {
	root, _, err := r.engine.State(ctx, ts)
	if err != nil {
		return abi.TokenAmount{}, err
	}
	return vm.CirculatingSupply(ctx, r.store, root, r.atGenesis)
}

func (r chainReader) CirculatingSupply(ctx context.Context, ts *types.TipSet) (abi.TokenAmount, error) {
	return r.Circulating(ctx, ts)
}

func (r chainReader) TicketRandomness(ctx context.Context, ts *types.TipSet, tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) ([]byte, error) {
	return r.engine.TicketRandomness(ctx, ts, tag, epoch, entropy)
}

func (r chainReader) BeaconRandomness(ctx context.Context, ts *types.TipSet, tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) ([]byte, error) {
	return r.engine.BeaconRandomness(ctx, ts, tag, epoch, entropy)
}

// Call runs a message on the state after a tipset and forgets the result.
func (r chainReader) Call(ctx context.Context, ts *types.TipSet, m *types.Message) (exitcode.ExitCode, string, error) {
	res, err := r.engine.Call(ctx, ts, m)
	if err != nil {
		return 0, "", fmt.Errorf("call method %d of %s: %w", m.Method, m.To, err)
	}
	return exitcode.ExitCode(res.Receipt.ExitCode), res.Err, nil
}

// AwaitHeight waits until the head is at least at a height and returns it.
func (n *Node) AwaitHeight(ctx context.Context, h abi.ChainEpoch) (*types.TipSet, error) {
	head := n.chain.Head()
	for head.Height() < h {
		var err error
		if head, err = n.chain.HeadChanged(ctx, head.Key()); err != nil {
			return nil, err
		}
	}
	return head, nil
}
