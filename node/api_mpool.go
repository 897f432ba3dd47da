package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/mpool"
	"github.com/lodenet/lode/chain/outbox"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
)

// mpoolAPI answers about messages that wait for a block.
type mpoolAPI struct{ n *Node }

// poolBuffer is how many updates wait for a slow reader before it is cut off.
const poolBuffer = 1000

func (a mpoolAPI) MpoolGetNonce(ctx context.Context, addr address.Address) (uint64, error) {
	if addr == address.Undef {
		return 0, badParam("address: none given")
	}
	next, err := a.n.pool.NextNonce(ctx, addr)
	if err != nil {
		return 0, coded(err)
	}
	key, err := a.n.pool.KeyAddress(ctx, addr)
	if errors.Is(err, view.ErrNotFound) {
		return next, nil
	}
	if err != nil {
		return 0, err
	}
	// An own message may not be in the pool yet after a restart.
	own, err := a.n.outbox.NextNonce(ctx, key)
	return max(next, own), err
}

// MpoolPush may be repeated: a message that waits already is fine.
func (a mpoolAPI) MpoolPush(ctx context.Context, msg *types.SignedMessage) (cid.Cid, error) {
	if msg == nil {
		return cid.Undef, badParam("message: none given")
	}
	if _, err := msg.Serialize(); err != nil {
		return cid.Undef, badParam("message: %v", err)
	}
	if err := a.n.pool.Add(ctx, msg, true); err != nil && !errors.Is(err, mpool.ErrPresent) {
		return cid.Undef, err
	}
	return msg.Cid(), nil
}

func (a mpoolAPI) MpoolPushMessage(ctx context.Context, msg *types.Message, spec *api.MessageSendSpec) (*types.SignedMessage, error) {
	switch {
	case msg == nil:
		return nil, badParam("message: none given")
	case msg.Nonce != 0:
		return nil, badParam("message: its nonce is set here, %d was given", msg.Nonce)
	case msg.Version != 0:
		return nil, badParam("message: %v", types.ErrMessageVersion)
	}
	m, err := callOf(msg)
	if err != nil {
		return nil, err
	}
	if spec != nil && spec.MaximizeFeeCap {
		if m, err = a.n.estimate(ctx, m, spec, a.n.store.Head()); err != nil {
			return nil, err
		}
	}
	in := outbox.Intent{
		From: m.From, To: m.To, Value: m.Value, Method: m.Method, Params: m.Params,
		GasLimit: m.GasLimit, GasFeeCap: m.GasFeeCap, GasPremium: m.GasPremium, MaxFee: a.n.feeLimit(spec),
	}
	if spec != nil && spec.MsgUuid != "" {
		in.Key = "mpool/" + spec.MsgUuid
	}
	if err := a.n.affordable(ctx, in); err != nil {
		return nil, callError(err)
	}
	id, err := a.n.outbox.Send(ctx, in)
	if err != nil {
		return nil, callError(err)
	}
	s, err := a.n.outbox.Status(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(s.Signed) == 0 {
		return nil, fmt.Errorf("message is recorded and not signed yet: %s", s.Problem)
	}
	return s.Signed[len(s.Signed)-1], nil
}

// MpoolPending lists all for the head; for another tipset, what its chain does not hold.
func (a mpoolAPI) MpoolPending(ctx context.Context, tsk types.TipSetKey) ([]*types.SignedMessage, error) {
	pending := a.n.pool.Pending()
	if tsk.IsEmpty() {
		return pending, nil
	}
	ts, err := a.n.tipset(ctx, tsk)
	if err != nil {
		return nil, err
	}
	var out []*types.SignedMessage
	var sender address.Address
	var next uint64
	for _, m := range pending {
		if m.Message.From != sender {
			sender = m.Message.From
			if next, err = a.n.pool.StateNonce(ctx, sender, ts); err != nil {
				return nil, err
			}
		}
		if m.Message.Nonce >= next {
			out = append(out, m)
		}
	}
	return out, nil
}

func (a mpoolAPI) MpoolSelect(ctx context.Context, tsk types.TipSetKey, quality float64) ([]*types.SignedMessage, error) {
	if !(quality >= 0 && quality <= 1) {
		return nil, badParam("ticket quality %v is not between 0 and 1", quality)
	}
	ts, err := a.n.tipset(ctx, tsk)
	if err != nil {
		return nil, err
	}
	return a.n.pool.Select(ctx, ts, quality)
}

// MpoolSub cuts a reader off that misses updates: it has to subscribe and look again.
func (a mpoolAPI) MpoolSub(ctx context.Context) (<-chan *api.MpoolUpdate, error) {
	sub := a.n.pool.Subscribe(poolBuffer)
	out := make(chan *api.MpoolUpdate)
	err := a.n.subs.start(ctx, func(ctx context.Context) {
		defer close(out)
		defer sub.Close()
		for sub.Dropped() == 0 {
			select {
			case <-ctx.Done():
				return
			case u, ok := <-sub.C:
				if !ok {
					return
				}
				update := &api.MpoolUpdate{Type: api.MpoolRemove, Message: u.Message}
				if u.Added {
					update.Type = api.MpoolAdd
				}
				select {
				case out <- update:
				case <-ctx.Done():
					return
				}
			}
		}
	})
	if err != nil {
		sub.Close()
		return nil, err
	}
	return out, nil
}

func (a mpoolAPI) MpoolGetConfig(context.Context) (*api.MpoolConfig, error) {
	c := a.n.pool.Config()
	return &api.MpoolConfig{
		PriorityAddrs: c.Priority, SizeLimitHigh: c.SizeHigh, SizeLimitLow: c.SizeLow,
		ReplaceByFeeRatio: mpool.ReplaceByFeeRatio, PruneCooldown: int64(c.PruneCooldown), GasLimitOverestimation: mpool.OverEstimation,
	}, nil
}
