package node

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-state-types/big"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/index"
	"github.com/lodenet/lode/chain/mpool"
	"github.com/lodenet/lode/chain/outbox"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/market/deal"
	"github.com/lodenet/lode/storage/sealing"
)

var (
	_ sealing.Messages = (*outbox.Outbox)(nil)
	_ deal.Outbox      = (*outbox.Outbox)(nil)
)

// buildMessages makes the pool of the network's messages and the outbox of our own.
func (n *Node) buildMessages(ctx context.Context) (err error) {
	for _, migrate := range []func(context.Context, *sql.DB) error{mpool.Migrate, index.Migrate, outbox.Migrate} {
		if err := migrate(ctx, n.db); err != nil {
			return err
		}
	}
	n.pool = mpool.New(n.db, n.store, n.engine, n.publishMessage, n.clk, n.log, mpool.Options{})
	n.index = index.New(n.db, n.store, n.log)
	n.outbox = outbox.New(n.db, n.pool, n.store, n.index, n.keys, n.log, outbox.Options{})
	return nil
}

// publishMessage gives a message of ours to gossip.
func (n *Node) publishMessage(ctx context.Context, m *types.SignedMessage) error {
	raw, err := m.Serialize()
	if err != nil {
		return err
	}
	return n.gossip.PublishMessage(ctx, raw)
}

// affordable refuses a message of a user's whose sender can pay what it moves but not the gas
// too: a trial run has no gas to pay, and on chain it would fail and cost gas.
func (n *Node) affordable(ctx context.Context, in outbox.Intent) error {
	if in.Value.Nil() || in.Value.Sign() <= 0 {
		return nil // the pool counts gas
	}
	if _, err := n.outbox.ByKey(ctx, in.Key); err == nil {
		return nil // it was sent
	}
	head := n.store.Head()
	v, err := n.engine.View(ctx, head)
	if err != nil {
		return err
	}
	act, err := v.Actor(ctx, in.From)
	if errors.Is(err, view.ErrNotFound) {
		return nil // the outbox says so in its own words
	}
	if err != nil {
		return err
	}
	if act.Balance.GreaterThanEqual(big.Add(in.Value, n.feeLimit(&api.MessageSendSpec{MaxFee: in.MaxFee}))) {
		return nil // whatever the gas
	}
	m, err := n.pool.EstimateGasAt(ctx, &types.Message{
		From: in.From, To: in.To, Value: in.Value, Method: in.Method, Params: in.Params,
		GasLimit: in.GasLimit, GasFeeCap: in.GasFeeCap, GasPremium: in.GasPremium,
	}, in.MaxFee, head)
	if err != nil {
		return err
	}
	if need := big.Add(in.Value, m.RequiredFunds()); act.Balance.LessThan(need) {
		return deal.Unfunded{Wallet: in.From, Need: need, Have: act.Balance}
	}
	return nil
}

// send sends one message of a user's and returns its CID, which a raised fee may change.
func (n *Node) send(ctx context.Context, in outbox.Intent) (cid.Cid, error) {
	if err := n.affordable(ctx, in); err != nil {
		return cid.Undef, err
	}
	id, err := n.outbox.Send(ctx, in)
	if err != nil {
		return cid.Undef, err
	}
	st, err := n.outbox.Status(ctx, id)
	if err != nil {
		return cid.Undef, err
	}
	if len(st.Signed) == 0 {
		return cid.Undef, fmt.Errorf("message is recorded and not signed yet: %s", st.Problem)
	}
	return st.Signed[len(st.Signed)-1].Cid(), nil
}
