package mpool

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
)

// Constants of estimation (spec chain.md g.4).
const (
	// OverEstimation is how much more gas a message gets than it used in the estimate.
	OverEstimation = 1.25
	// DefaultPremiumBlocks and DefaultQueue say within how many blocks a message should be
	// taken, and for how many rising base fees its fee cap should hold.
	DefaultPremiumBlocks = 10
	DefaultQueue         = 20

	// ReplaceByFeeRatio is how much more premium than a pending message its replacement must
	// pay; see ReplacementPremium.
	ReplaceByFeeRatio = replaceRatio / 100.0

	minPremium = 100_000
)

// DefaultMaxFee bounds the gas fee of a message when its sender gives no bound: 0.07 FIL.
var DefaultMaxFee = big.NewInt(70_000_000_000_000_000)

// CallError: the message would fail on chain.
type CallError struct {
	Code   exitcode.ExitCode
	Reason string
}

func (e *CallError) Error() string {
	text := fmt.Sprintf("message would fail with exit code %d (%s): %s", e.Code, e.Code, e.Reason)
	if e.Code == exitcode.SysErrInsufficientFunds {
		text += "; send less, or send it some FIL first"
	}
	return text
}

// EstimateGas returns a copy of the message with those of the gas limit, premium and fee cap
// that are zero filled in, on the head (spec chain.md g.4). maxFee bounds GasFeeCap·GasLimit,
// in attoFIL; zero or nil is DefaultMaxFee. The nonce is ignored. *CallError when it would
// fail.
func (p *Pool) EstimateGas(ctx context.Context, m *types.Message, maxFee abi.TokenAmount) (*types.Message, error) {
	return p.EstimateGasAt(ctx, m, maxFee, nil)
}

// EstimateGasAt is EstimateGas on a tipset; nil is the head.
func (p *Pool) EstimateGasAt(ctx context.Context, m *types.Message, maxFee abi.TokenAmount, ts *types.TipSet) (*types.Message, error) {
	if ts == nil {
		ts = p.chain.Head()
	}
	out := *m
	for _, v := range []*abi.TokenAmount{&out.Value, &out.GasFeeCap, &out.GasPremium} {
		if v.Int == nil {
			*v = big.Zero()
		}
	}
	if out.GasLimit == 0 {
		used, err := p.EstimateGasLimit(ctx, &out, ts)
		if err != nil {
			return nil, err
		}
		out.GasLimit = min(int64(float64(used)*OverEstimation), types.BlockGasLimit)
	}
	capGiven := out.GasFeeCap.Sign() != 0
	if out.GasPremium.Sign() == 0 {
		premium, err := p.EstimateGasPremium(ctx, DefaultPremiumBlocks, ts)
		if err != nil {
			return nil, err
		}
		out.GasPremium = premium
	}
	if !capGiven {
		out.GasFeeCap = EstimateFeeCap(&out, DefaultQueue, ts)
	}
	CapFee(&out, maxFee)
	return &out, nil
}

// CapFee lowers the fee cap so that GasFeeCap·GasLimit is at most maxFee (zero or nil:
// DefaultMaxFee), and the premium to the fee cap.
func CapFee(m *types.Message, maxFee abi.TokenAmount) {
	if maxFee.Int == nil || maxFee.Sign() == 0 {
		maxFee = DefaultMaxFee
	}
	if m.GasLimit > 0 && m.RequiredFunds().GreaterThan(maxFee) {
		m.GasFeeCap = big.Div(maxFee, big.NewInt(m.GasLimit))
	}
	m.GasPremium = big.Min(m.GasPremium, m.GasFeeCap)
}

// EstimateGasLimit is how much gas a message uses in the epoch after a tipset (nil: the
// head), after what is pending of its sender.
func (p *Pool) EstimateGasLimit(ctx context.Context, m *types.Message, ts *types.TipSet) (int64, error) {
	if err := p.load(ctx); err != nil {
		return 0, err
	}
	if ts == nil {
		ts = p.chain.Head()
	}
	state, err := p.engine.View(ctx, ts)
	if err != nil {
		return 0, err
	}
	from, err := state.KeyAddress(ctx, m.From)
	if errors.Is(err, view.ErrNotFound) {
		return 0, fmt.Errorf("%w: %s", ErrNoSender, m.From)
	}
	if err != nil {
		return 0, fmt.Errorf("sender %s: %w", m.From, err)
	}
	act, err := state.Actor(ctx, from)
	if errors.Is(err, view.ErrNotFound) {
		return 0, fmt.Errorf("%w: %s", ErrNoSender, from)
	}
	if err != nil {
		return 0, err
	}
	var prior []types.ChainMsg
	for _, sm := range p.runOf(from, act.Nonce) {
		prior = append(prior, onChain(sm))
	}
	try := *m
	try.From, try.Nonce = from, act.Nonce+uint64(len(prior))
	try.GasLimit, try.GasFeeCap, try.GasPremium = types.BlockGasLimit, big.Zero(), big.Zero()
	if try.Value.Int == nil {
		try.Value = big.Zero()
	}
	if _, err := try.Serialize(); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	res, err := p.engine.CallAfter(ctx, ts, prior, dummySigned(&try))
	if err != nil {
		return 0, err
	}
	if code := exitcode.ExitCode(res.Receipt.ExitCode); code != exitcode.Ok {
		return 0, &CallError{code, res.Err}
	}
	return res.Receipt.GasUsed, nil
}

// onChain is the form in which a block lists a message.
func onChain(m *types.SignedMessage) types.ChainMsg {
	if m.Signature.Type == crypto.SigTypeBLS {
		return &m.Message
	}
	return m
}

// dummySigned gives a message the size on chain that its sender's kind of key makes.
func dummySigned(m *types.Message) types.ChainMsg {
	if m.From.Protocol() != address.SECP256K1 {
		return m
	}
	return &types.SignedMessage{Message: *m, Signature: crypto.Signature{Type: crypto.SigTypeSecp256k1, Data: make([]byte, 65)}}
}

type price struct {
	premium abi.TokenAmount
	limit   int64
}

// EstimateGasPremium is the premium with which a message should be taken within so many
// blocks after a tipset (nil: the head), going by the messages of the tipsets before it, in
// attoFIL per gas unit.
func (p *Pool) EstimateGasPremium(ctx context.Context, within uint64, ts *types.TipSet) (abi.TokenAmount, error) {
	if ts == nil {
		ts = p.chain.Head()
	}
	within = min(max(within, 1), 128)
	var prices []price
	blocks := 0
	for range 2 * within {
		if ts.Height() == 0 {
			break
		}
		parent, err := p.chain.TipSet(ctx, ts.Parents())
		if err != nil {
			return big.Zero(), err
		}
		ts = parent
		blocks += len(ts.Blocks())
		msgs, err := p.messages(ctx, ts)
		if err != nil {
			return big.Zero(), err
		}
		for _, m := range msgs {
			prices = append(prices, price{m.VMMessage().GasPremium, m.VMMessage().GasLimit})
		}
	}
	floor := int64(minPremium)
	switch within {
	case 1:
		floor *= 2
	case 2:
		floor += floor / 2
	}
	premium := big.Max(middlePremium(prices, blocks), big.NewInt(floor))
	const unit = 1 << 32
	noise := big.NewInt(int64((1 + p.opt.Noise()*0.005) * unit))
	return big.Div(big.Mul(premium, noise), big.NewInt(unit)), nil
}

// middlePremium is what the message paid that stands at 52.5 % of the blocks' capacity when
// the dearest come first.
func middlePremium(prices []price, blocks int) abi.TokenAmount {
	slices.SortFunc(prices, func(a, b price) int { return big.Cmp(b.premium, a.premium) })
	left := types.BlockGasTarget*int64(blocks)/2 + types.BlockGasTarget*int64(blocks)/40
	last, before := big.Zero(), big.Zero()
	for _, p := range prices {
		last, before = p.premium, last
		if left -= p.limit; left < 0 {
			break
		}
	}
	if before.Sign() != 0 {
		return big.Div(big.Add(last, before), big.NewInt(2))
	}
	return last
}

// EstimateFeeCap is the fee cap with which a message can wait for so many tipsets whose base
// fee rises as fast as it can, in attoFIL per gas unit.
func EstimateFeeCap(m *types.Message, queue int64, ts *types.TipSet) abi.TokenAmount {
	rise := math.Pow(1+1.0/8, float64(min(max(queue, 0), 500)))
	factor := int64(min(rise*256, math.MaxInt32*256))
	fee := big.Div(big.Mul(ts.BaseFee(), big.NewInt(factor)), big.NewInt(256))
	if m.GasPremium.Int != nil {
		fee = big.Add(fee, m.GasPremium)
	}
	return fee
}
