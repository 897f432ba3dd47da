package porcelain

import (
	"context"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/types"
)

// Confidence is how many epochs on top of a message make it certain enough for people.
const Confidence = 1

// Sender is what sending needs.
type Sender interface {
	MpoolPushMessage(ctx context.Context, msg *types.Message, spec *api.MessageSendSpec) (*types.SignedMessage, error)
	StateWaitMsg(ctx context.Context, msg cid.Cid, confidence uint64, lookback abi.ChainEpoch, allowReplaced bool) (*api.MsgLookup, error)
}

// ExitError is a message that ran and failed.
type ExitError struct {
	Message cid.Cid
	Code    exitcode.ExitCode
}

// Error implements error.
func (e *ExitError) Error() string {
	return fmt.Sprintf("message %s failed on chain with exit code %d", e.Message, e.Code)
}

// Send signs a message with the node's wallet, publishes it, and waits for its receipt. The
// error is *ExitError when the message ran and failed; the receipt is returned then too.
func Send(ctx context.Context, node Sender, msg *types.Message, spec *api.MessageSendSpec, confidence uint64) (*api.MsgLookup, error) {
	sent, err := node.MpoolPushMessage(ctx, msg, spec)
	if err != nil {
		return nil, err
	}
	return Wait(ctx, node, sent.Cid(), confidence)
}

// Wait waits for a message's receipt, like Send.
func Wait(ctx context.Context, node Sender, msg cid.Cid, confidence uint64) (*api.MsgLookup, error) {
	found, err := node.StateWaitMsg(ctx, msg, confidence, -1, true)
	if err != nil {
		return nil, fmt.Errorf("wait for message %s: %w", msg, err)
	}
	if found.Receipt.ExitCode != 0 {
		return found, &ExitError{found.Message, exitcode.ExitCode(found.Receipt.ExitCode)}
	}
	return found, nil
}

// Cost is what a message takes from its sender at most, attoFIL.
type Cost struct {
	Value  abi.TokenAmount
	MaxGas abi.TokenAmount
	Total  abi.TokenAmount
}

// Preview fills in gas as a sending would, and tells the cost. Nothing is sent.
func Preview(ctx context.Context, node api.Gas, msg *types.Message, spec *api.MessageSendSpec) (*types.Message, Cost, error) {
	m, err := node.GasEstimateMessageGas(ctx, msg, spec, types.TipSetKey{})
	if err != nil {
		return nil, Cost{}, err
	}
	c := Cost{Value: m.Value, MaxGas: m.RequiredFunds()}
	c.Total = big.Add(c.Value, c.MaxGas)
	return m, c, nil
}

// Replacer is what replacing a pending message needs.
type Replacer interface {
	MpoolPending(ctx context.Context, tsk types.TipSetKey) ([]*types.SignedMessage, error)
	MpoolPush(ctx context.Context, msg *types.SignedMessage) (cid.Cid, error)
	WalletSignMessage(ctx context.Context, addr address.Address, msg *types.Message) (*types.SignedMessage, error)
}

// replaceNum over replaceDen is how much more a replacement pays when nobody says how much
// (spec chain.md g). Pools take less, by a rule of theirs.
const (
	replaceNum = 5
	replaceDen = 4
)

// Replace sends a pending message of the node's wallet again with higher fees. A zero
// premium is a quarter more than before, a zero cap the old one or the premium.
func Replace(ctx context.Context, node Replacer, msg cid.Cid, premium, feeCap abi.TokenAmount) (*types.SignedMessage, error) {
	pending, err := node.MpoolPending(ctx, types.TipSetKey{})
	if err != nil {
		return nil, err
	}
	for _, p := range pending {
		if p.Cid() != msg && p.Message.Cid() != msg {
			continue
		}
		m := p.Message
		if premium.Int == nil || premium.IsZero() {
			premium = big.Add(big.Div(big.Mul(m.GasPremium, big.NewInt(replaceNum)), big.NewInt(replaceDen)), big.NewInt(1))
		}
		if feeCap.Int == nil || feeCap.IsZero() {
			feeCap = big.Max(m.GasFeeCap, premium)
		}
		m.GasPremium, m.GasFeeCap = premium, feeCap
		signed, err := node.WalletSignMessage(ctx, m.From, &m)
		if err != nil {
			return nil, err
		}
		if _, err := node.MpoolPush(ctx, signed); err != nil {
			return nil, err
		}
		return signed, nil
	}
	return nil, fmt.Errorf("message %s is not pending here; it may be on chain already: lode message search %s", msg, msg)
}
