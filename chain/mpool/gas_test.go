package mpool

import (
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/vm"
	"github.com/stretchr/testify/require"
)

func TestEstimateGasLimit(t *testing.T) {
	ctx := t.Context()
	r := newRig(t, 2, Options{})
	require.NoError(t, r.add(r.chain.Transfer(1, 0, 0)))
	require.NoError(t, r.add(r.chain.Transfer(1, 0, 1)))
	require.NoError(t, r.add(r.chain.Transfer(1, 0, 4)))
	var prior []types.ChainMsg
	var msg types.ChainMsg
	r.call = func(p []types.ChainMsg, m types.ChainMsg) *vm.Result {
		prior, msg = p, m
		return &vm.Result{Receipt: types.MessageReceipt{GasUsed: 1_000_001}}
	}
	in := types.Message{From: r.chain.Accounts[1].ID, To: r.chain.Accounts[0].ID, Nonce: 77}
	out, err := r.pool.EstimateGas(ctx, &in, big.Int{})
	require.NoError(t, err)
	require.Equal(t, int64(1_250_001), out.GasLimit)
	require.Len(t, prior, 2, "what is pending without a gap comes first")
	try, ok := msg.(*types.SignedMessage)
	require.True(t, ok, "a secp256k1 message costs its signature as well")
	require.Len(t, try.Signature.Data, 65)
	require.Equal(t, r.chain.Accounts[1].Key, try.Message.From)
	require.Equal(t, uint64(2), try.Message.Nonce)
	require.Equal(t, types.BlockGasLimit, try.Message.GasLimit)
	require.Zero(t, try.Message.GasFeeCap.Sign(), "no balance is needed for gas")
	require.Zero(t, in.GasLimit, "the argument stays as it is")

	in.From = r.chain.Accounts[0].Key
	_, err = r.pool.EstimateGas(ctx, &in, big.Zero())
	require.NoError(t, err)
	require.IsType(t, &types.Message{}, msg)

	r.call = func([]types.ChainMsg, types.ChainMsg) *vm.Result {
		return &vm.Result{Receipt: types.MessageReceipt{GasUsed: types.BlockGasLimit}}
	}
	out, err = r.pool.EstimateGas(ctx, &in, big.Zero())
	require.NoError(t, err)
	require.Equal(t, types.BlockGasLimit, out.GasLimit, "never more than a block's")

	r.call = func([]types.ChainMsg, types.ChainMsg) *vm.Result {
		return &vm.Result{Receipt: types.MessageReceipt{ExitCode: int64(exitcode.ErrForbidden)}, Err: "no way"}
	}
	_, err = r.pool.EstimateGas(ctx, &in, big.Zero())
	var ce *CallError
	require.ErrorAs(t, err, &ce)
	require.Equal(t, exitcode.ErrForbidden, ce.Code)
	require.ErrorContains(t, err, "no way")

	r.call = func([]types.ChainMsg, types.ChainMsg) *vm.Result {
		return &vm.Result{Receipt: types.MessageReceipt{ExitCode: int64(exitcode.SysErrInsufficientFunds)}, Err: "too little"}
	}
	_, err = r.pool.EstimateGas(ctx, &in, big.Zero())
	require.ErrorContains(t, err, "send it some FIL first")

	in.From, err = address.NewIDAddress(99999)
	require.NoError(t, err)
	_, err = r.pool.EstimateGas(ctx, &in, big.Zero())
	require.ErrorIs(t, err, ErrNoSender)
	require.ErrorContains(t, err, "send it some FIL first")
}

func TestEstimateKeepsWhatIsGiven(t *testing.T) {
	r := newRig(t, 1, Options{})
	r.chain.Fee = big.NewInt(1000)
	r.chain.Mine()
	m := r.chain.Plain(0, 0, 0)
	out, err := r.pool.EstimateGas(t.Context(), &m, big.Zero())
	require.NoError(t, err)
	require.Equal(t, m, *out)

	m.GasFeeCap, m.GasPremium = big.Zero(), big.Zero()
	out, err = r.pool.EstimateGas(t.Context(), &m, big.Zero())
	require.NoError(t, err)
	require.Equal(t, big.NewInt(100_000), out.GasPremium, "the floor")
	require.Equal(t, big.NewInt(1000*2699/256+100_000), out.GasFeeCap, "1.125^20 is 10.545, in 256ths")

	out, err = r.pool.EstimateGas(t.Context(), &m, big.Mul(big.NewInt(m.GasLimit), big.NewInt(300)))
	require.NoError(t, err)
	require.Equal(t, big.NewInt(300), out.GasFeeCap, "the most that the fee may be")
	require.Equal(t, big.NewInt(300), out.GasPremium)
}

func TestDefaultMaxFee(t *testing.T) {
	m := types.Message{GasLimit: 1_000_000, GasFeeCap: fil(1), GasPremium: fil(1)}
	CapFee(&m, abi.TokenAmount{})
	require.Equal(t, big.NewInt(70_000_000_000), m.GasFeeCap)
	require.Equal(t, m.GasFeeCap, m.GasPremium)
}

func TestMiddlePremium(t *testing.T) {
	at := func(premium, limit int64) price { return price{big.NewInt(premium), limit} }
	const half = types.BlockGasTarget / 2
	for _, c := range []struct {
		name   string
		prices []price
		blocks int
		want   int64
	}{
		{"nothing", nil, 1, 0},
		{"one", []price{at(10, 100)}, 1, 10},
		{"two small ones", []price{at(10, 100), at(20, 100)}, 1, 15},
		{"one big one decides", []price{at(10, half*2), at(20, half*2)}, 1, 20},
		{"the middle", []price{at(10, half), at(20, half), at(30, half)}, 1, 25},
		{"more blocks go deeper", []price{at(10, half), at(20, half), at(30, half)}, 2, 15},
		{"dearest first", []price{at(30, 1), at(10, 1), at(20, 1)}, 1, 15},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, big.NewInt(c.want), middlePremium(c.prices, c.blocks))
		})
	}
}

func TestEstimatePremium(t *testing.T) {
	ctx := t.Context()
	noise := 0.0
	r := newRig(t, 2, Options{Noise: func() float64 { return noise }})
	ask := func(within uint64) abi.TokenAmount {
		p, err := r.pool.EstimateGasPremium(ctx, within, nil)
		require.NoError(t, err)
		return p
	}
	require.Equal(t, big.NewInt(200_000), ask(1), "the floor is higher for the impatient")
	require.Equal(t, big.NewInt(150_000), ask(2))
	require.Equal(t, big.NewInt(100_000), ask(10))
	require.Equal(t, ask(1), ask(0))

	r.chain.Mine([]*types.SignedMessage{r.edit(0, 1, 0, withPremium(900_000))})
	require.Equal(t, big.NewInt(100_000), ask(10), "the tipset itself does not count, those before it do")
	r.chain.Mine()
	require.Equal(t, big.NewInt(900_000), ask(10))
	require.Equal(t, ask(128), ask(1000), "no longer than 128")
	noise = 1
	require.InDelta(t, 904_500, float64(ask(10).Int64()), 1)
	for range 3 {
		r.chain.Mine()
	}
	noise = 0
	require.Equal(t, big.NewInt(200_000), ask(1), "two tipsets back there is nothing")
	require.Equal(t, big.NewInt(900_000), ask(10))
}

func TestEstimateFeeCap(t *testing.T) {
	r := newRig(t, 1, Options{})
	r.chain.Fee = big.NewInt(256_000)
	ts := r.chain.Mine()
	m := &types.Message{GasPremium: big.NewInt(5), From: r.chain.Accounts[0].Key}
	require.Equal(t, big.NewInt(256_005), EstimateFeeCap(m, 0, ts))
	require.Equal(t, big.NewInt(1000*288+5), EstimateFeeCap(m, 1, ts))
	require.Equal(t, EstimateFeeCap(m, 0, ts), EstimateFeeCap(m, -5, ts))
	require.Positive(t, EstimateFeeCap(m, 1<<60, ts).Sign(), "no overflow")
	require.Equal(t, crypto.SigTypeBLS, r.chain.Accounts[0].Type)
}
