package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"
	ipld "github.com/ipfs/go-ipld-format"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
)

// API is what the node answers to, in process and over RPC. A struct for each group of
// methods calls the part that knows.
type API struct {
	commonAPI
	chainAPI
	stateAPI
	gasAPI
	mpoolAPI
	walletAPI
	netAPI
	p2pAPI
	syncAPI
	providerAPI
	clientAPI
}

var _ api.Node = (*API)(nil)

// API is the node's methods. They answer from New on; what needs running parts waits for
// Start, or says so.
func (n *Node) API() *API {
	return &API{
		commonAPI: commonAPI{n.tokens, n},
		chainAPI:  chainAPI{n},
		stateAPI:  stateAPI{n},
		gasAPI:    gasAPI{n},
		mpoolAPI:  mpoolAPI{n},
		walletAPI: walletAPI{n},
		netAPI:    netAPI{n},
		p2pAPI:    p2pAPI{n},
		syncAPI:   syncAPI{n},

		providerAPI: providerAPI{n},
		clientAPI:   clientAPI{n},
	}
}

// tipset finds what a caller names; the empty key is the head.
func (n *Node) tipset(ctx context.Context, tsk types.TipSetKey) (*types.TipSet, error) {
	ts, err := n.store.TipSet(ctx, tsk)
	if ipld.IsNotFound(err) {
		return nil, fmt.Errorf("tipset %s is not on this node: %w", tsk, err)
	}
	return ts, err
}

// before reads the state that a tipset builds on: the one after its parent.
func (n *Node) before(ctx context.Context, tsk types.TipSetKey) (*view.View, *types.TipSet, error) {
	ts, err := n.tipset(ctx, tsk)
	if err != nil {
		return nil, nil, err
	}
	return view.At(n.store, ts.ParentState()), ts, nil
}

// coded gives errors of the state the code under which clients know them.
func coded(err error) error {
	if errors.Is(err, view.ErrNotFound) {
		return api.ErrActorNotFound.With("%v", err)
	}
	return err
}

// badParam is the answer to a parameter that decodes and makes no sense.
func badParam(format string, args ...any) error {
	return &api.Error{Code: api.CodeParams, Message: fmt.Sprintf(format, args...)}
}

// epochs turns a caller's number of epochs into one that can be added to a height.
func epochs(n uint64) (abi.ChainEpoch, error) {
	const most = 1 << 40
	if n > most {
		return 0, badParam("%d epochs are beyond any chain, at most %d", n, uint64(most))
	}
	return abi.ChainEpoch(n), nil
}
