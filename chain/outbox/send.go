package outbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/lodenet/lode/chain/mpool"
	"github.com/lodenet/lode/chain/types"
)

// Send records an intent and sends it. The same key with the same content is the same send,
// wherever the first call was interrupted; with another call or value it is ErrKeyReused.
// When Send returns an error, nothing was sent and the key is free, unless the error is
// ErrUncertain: then the intent is recorded and Run will send it.
func (o *Outbox) Send(ctx context.Context, in Intent) (ID, error) {
	if err := in.check(); err != nil {
		return 0, err
	}
	unlock, err := o.lock(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	r, err := o.record(ctx, in)
	if err != nil {
		return 0, err
	}
	if r.stage != StageNew {
		return r.id, nil
	}
	err = o.dispatch(ctx, r)
	if err == nil {
		o.announce(nil)
		return r.id, nil
	}
	if ctx.Err() != nil {
		return 0, fmt.Errorf("%w: %w", ErrUncertain, err)
	}
	if rerr := o.remove(ctx, r.id); rerr != nil {
		return 0, fmt.Errorf("%w: %w", ErrUncertain, errors.Join(err, rerr))
	}
	return 0, err
}

// check refuses what could never be sent, and fills in what may be missing.
func (in *Intent) check() error {
	for _, v := range []*abi.TokenAmount{&in.Value, &in.MaxFee, &in.GasFeeCap, &in.GasPremium} {
		if v.Int == nil {
			*v = big.Zero()
		}
		if v.Sign() < 0 {
			return errors.New("intent has a negative amount")
		}
	}
	switch {
	case in.From == address.Undef || in.To == address.Undef:
		return errors.New("intent needs a sender and a recipient")
	case in.GasLimit < 0:
		return errors.New("intent has a negative gas limit")
	}
	if _, err := in.message().Serialize(); err != nil {
		return fmt.Errorf("intent cannot be a message: %w", err)
	}
	return nil
}

func (in *Intent) message() *types.Message {
	return &types.Message{
		From: in.From, To: in.To, Value: in.Value, Method: in.Method, Params: in.Params,
		GasLimit: in.GasLimit, GasFeeCap: in.GasFeeCap, GasPremium: in.GasPremium,
	}
}

// same tells whether two intents make the same call; what it may cost does not matter.
func (in *Intent) same(o *Intent) bool {
	return in.From == o.From && in.To == o.To && in.Value.Equals(o.Value) && in.Method == o.Method && bytes.Equal(in.Params, o.Params)
}

// ceiling is the most that gas may cost; zero is the pool's default.
func (in *Intent) ceiling() abi.TokenAmount {
	if in.MaxFee.Sign() == 0 && in.GasFeeCap.Sign() > 0 && in.GasLimit > 0 {
		return big.Mul(in.GasFeeCap, big.NewInt(in.GasLimit))
	}
	return in.MaxFee
}

// record finds the row of an intent, or makes it; the token is held.
func (o *Outbox) record(ctx context.Context, in Intent) (*row, error) {
	if in.Key != "" {
		r, err := o.one(ctx, `key = ?`, in.Key)
		switch {
		case errors.Is(err, ErrUnknown):
		case err != nil:
			return nil, err
		case r.givenUp():
			return o.renew(ctx, r, in, o.chain.Head().Height())
		case !r.intent.same(&in):
			return nil, fmt.Errorf("%w: %q is intent %d", ErrKeyReused, in.Key, r.id)
		default:
			return r, nil
		}
	}
	return o.insert(ctx, in, o.chain.Head().Height())
}

// dispatch gives an intent its nonce, signs, stores and pushes it; the token is held from
// before the nonce is chosen until the pool has the message, so no two get the same. An error
// means that the message was not published.
func (o *Outbox) dispatch(ctx context.Context, r *row) error {
	head := o.chain.Head()
	from, err := o.pool.KeyAddress(ctx, r.intent.From)
	if err != nil {
		return fmt.Errorf("sender %s: %w", r.intent.From, err)
	}
	m := r.intent.message()
	m.From = from
	if m, err = o.pool.EstimateGas(ctx, m, r.intent.ceiling()); err != nil {
		return err
	}
	if m.Nonce, err = o.nonce(ctx, from, head); err != nil {
		return err
	}
	sm, err := o.sign(ctx, m)
	if err != nil {
		return err
	}
	if err := o.addForm(ctx, r, sm, head.Height()); err != nil {
		return err
	}
	if err := o.pool.Add(ctx, sm, true); err != nil && !errors.Is(err, mpool.ErrPresent) {
		return err
	}
	if err := o.set(ctx, r, StageSent, nil, ""); err != nil {
		o.log.Warn("message was sent; its stage is corrected later", "intent", r.id, "err", err)
	}
	o.log.Debug("message sent", "intent", r.id, "key", r.intent.Key, "message", sm.Cid(), "from", from, "nonce", m.Nonce)
	return nil
}

// nonce is above all that were used: by intents, by pending messages, on chain.
func (o *Outbox) nonce(ctx context.Context, a address.Address, head *types.TipSet) (uint64, error) {
	own, err := o.NextNonce(ctx, a)
	if err != nil {
		return 0, err
	}
	pending, err := o.pool.NextNonce(ctx, a)
	if err != nil {
		return 0, err
	}
	state, err := o.pool.StateNonce(ctx, a, head)
	if err != nil {
		return 0, err
	}
	return max(own, pending, state), nil
}

func (o *Outbox) sign(ctx context.Context, m *types.Message) (*types.SignedMessage, error) {
	sig, err := o.wallet.Sign(ctx, m.From, m.Cid().Bytes())
	if err != nil {
		return nil, err
	}
	return &types.SignedMessage{Message: *m, Signature: *sig}, nil
}
