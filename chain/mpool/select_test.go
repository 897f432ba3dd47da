package mpool

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/lodenet/lode/chain/consensus"
	"github.com/lodenet/lode/chain/store"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/types/sigs"
	"github.com/lodenet/lode/clock"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// block makes a block of messages as a miner does.
func block(t *testing.T, r *rig, msgs []*types.SignedMessage) *types.FullBlock {
	t.Helper()
	b := &types.FullBlock{}
	var all [][]byte
	for _, m := range msgs {
		if m.Signature.Type == crypto.SigTypeBLS {
			b.BlsMessages = append(b.BlsMessages, &m.Message)
			all = append(all, m.Signature.Data)
		} else {
			b.SecpkMessages = append(b.SecpkMessages, m)
		}
	}
	agg, err := sigs.Aggregate(all)
	require.NoError(t, err)
	h := *r.chain.Head().Blocks()[0]
	h.BLSAggregate = &crypto.Signature{Type: crypto.SigTypeBLS, Data: agg}
	bls, secp := store.MessageLists(b)
	h.Messages, err = store.PutMsgMeta(t.Context(), &types.MemBlocks{}, bls, secp)
	require.NoError(t, err)
	b.Header = &h
	return b
}

// Whatever is in the pool, what it selects makes a block that consensus finds valid and that
// the chain can execute.
func TestSelectionIsAlwaysValid(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ctx := t.Context()
		r := newRig(t, 4, Options{})
		eng := consensus.New(r.chain, nil, nil, types.Devnet(), clock.System{}, slog.New(slog.DiscardHandler))
		r.chain.Fee = big.NewInt(rapid.SampledFrom([]int64{100, 1000, 100_000}).Draw(rt, "base fee"))
		for round := range rapid.IntRange(1, 3).Draw(rt, "rounds") {
			for range rapid.IntRange(0, 12).Draw(rt, "messages") {
				from := rapid.IntRange(0, 3).Draw(rt, "from")
				next, err := r.pool.NextNonce(ctx, r.chain.Accounts[from].Key)
				require.NoError(t, err)
				m := r.chain.Plain(from, rapid.IntRange(0, 3).Draw(rt, "to"), next+rapid.SampledFrom([]uint64{0, 0, 0, 1, 3}).Draw(rt, "gap"))
				m.GasLimit = rapid.SampledFrom([]int64{1000, 600_000, 3_000_000_000, 9_000_000_000, types.BlockGasLimit}).Draw(rt, "limit")
				m.GasPremium = big.NewInt(rapid.Int64Range(0, 3000).Draw(rt, "premium"))
				m.GasFeeCap = big.Add(m.GasPremium, big.NewInt(rapid.SampledFrom([]int64{100, 5000, 40_000_000_000}).Draw(rt, "over")))
				m.Value = fil(rapid.SampledFrom([]int64{0, 1, 600, 1100}).Draw(rt, "value"))
				// Past the checks: blocks must be valid even so.
				r.pool.mu.Lock()
				r.pool.keep(r.chain.Sign(m))
				r.pool.mu.Unlock()
			}
			head := r.chain.Head()
			_, _, err := r.chain.State(ctx, head)
			require.NoError(t, err)
			msgs, err := r.pool.Select(ctx, head, rapid.Float64Range(0, 1).Draw(rt, "quality"))
			require.NoError(t, err)
			require.NoError(t, eng.CheckMessages(ctx, head, block(t, r, msgs)), "round %d", round)
			for _, m := range msgs {
				require.False(t, rewardOf(&m.Message, r.chain.Fee).Sign() < 0 && len(msgs) == 1, "nothing is taken at a loss")
			}
			r.chain.Mine(payableValues(r, msgs))
			r.follow()
		}
	})
}

// payableValues leaves out, from the first on, what a sender cannot pay: the toy execution
// has no failed messages.
func payableValues(r *rig, msgs []*types.SignedMessage) []*types.SignedMessage {
	v, err := r.chain.View(r.t.Context(), r.chain.Head())
	require.NoError(r.t, err)
	left := map[address.Address]big.Int{}
	var out []*types.SignedMessage
	for _, m := range msgs {
		b, ok := left[m.Message.From]
		if !ok {
			act, err := v.Actor(r.t.Context(), m.Message.From)
			require.NoError(r.t, err)
			b = act.Balance
		}
		b = big.Sub(b, big.Add(m.Message.Value, m.Message.RequiredFunds()))
		left[m.Message.From] = b
		if b.Sign() >= 0 {
			out = append(out, m)
		}
	}
	return out
}

func TestSelectPrefersWhatPays(t *testing.T) {
	ctx := t.Context()
	r := newRig(t, 4, Options{})
	big5 := func(from int, nonce uint64, premium int64) *types.SignedMessage {
		return r.edit(from, 0, nonce, func(m *types.Message) {
			withPremium(premium)(m)
			m.GasLimit = 4_000_000_000
		})
	}
	cheap, dearBehind := big5(1, 0, 10), big5(1, 1, 5000)
	middle := big5(2, 0, 1000)
	loss := r.edit(3, 0, 0, func(m *types.Message) { m.GasFeeCap, m.GasPremium = big.NewInt(150), big.NewInt(100) })
	for _, m := range []*types.SignedMessage{cheap, dearBehind, middle, loss} {
		require.NoError(t, r.add(m))
	}
	r.chain.Fee = big.NewInt(200)
	msgs, err := r.pool.Select(ctx, r.chain.Head(), 1)
	require.NoError(t, err)
	require.Equal(t, []*types.SignedMessage{cheap, dearBehind}, msgs, "the dear one takes the cheap one along; no room for the third, no loss is taken")

	r.pool.opt.Priority = []address.Address{r.chain.Accounts[2].Key}
	msgs, err = r.pool.Select(ctx, r.chain.Head(), 1)
	require.NoError(t, err)
	require.Equal(t, []*types.SignedMessage{middle, cheap}, msgs, "priority first; the chain behind is cut to fit")

	for _, q := range []float64{-1, 2} {
		_, err := r.pool.Select(ctx, r.chain.Head(), q)
		require.Error(t, err)
	}
}

// fake is a message without a valid signature, for what does not look at it.
func fake(from uint64, nonce uint64, typ crypto.SigType, limit, premium int64) *types.SignedMessage {
	a, _ := address.NewIDAddress(from)
	return &types.SignedMessage{
		Message: types.Message{
			From: a, To: a, Nonce: nonce, Value: big.Zero(), GasLimit: limit,
			GasPremium: big.NewInt(premium), GasFeeCap: big.NewInt(premium + 100),
		},
		Signature: crypto.Signature{Type: typ},
	}
}

func TestChainsFallInPerformance(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var msgs []*types.SignedMessage
		for n := range rapid.IntRange(0, 30).Draw(rt, "n") {
			msgs = append(msgs, fake(1, uint64(n), crypto.SigTypeBLS, rapid.Int64Range(1, 1_000_000).Draw(rt, "limit"), rapid.Int64Range(0, 1000).Draw(rt, "premium")))
		}
		cs := chains(msgs, big.NewInt(rapid.Int64Range(0, 1000).Draw(rt, "fee")))
		var all []*types.SignedMessage
		for i, c := range cs {
			all = append(all, c.msgs...)
			require.Equal(t, i, c.place)
			if i > 0 {
				require.True(t, c.perf.LessThan(cs[i-1].perf))
			}
			again := &chain{reward: big.Zero()}
			for _, m := range c.msgs {
				again.extend(m, rewardOf(&m.Message, big.Zero()))
			}
			require.Equal(t, again.gas, c.gas)
		}
		require.Equal(t, len(msgs), len(all))
		require.True(t, slices.IsSortedFunc(all, byNonce))
	})
}

// A full block respects every limit, and leaves little behind.
func TestPickFillsABlock(t *testing.T) {
	for name, c := range map[string]struct {
		limit     int64
		secpShare float64
		least     int
	}{
		"gas":         {30_000_000, 0.5, 330},
		"messages":    {600_000, 0.5, types.MaxBlockMessages},
		"one's kind":  {600_000, 0, maxListed},
		"other kinds": {600_000, 1, maxListed},
	} {
		t.Run(name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(1, 2))
			var all []*chain
			for from := range uint64(300) {
				typ := crypto.SigTypeBLS
				if rnd.Float64() < c.secpShare {
					typ = crypto.SigTypeSecp256k1
				}
				var msgs []*types.SignedMessage
				for n := range uint64(60) {
					msgs = append(msgs, fake(from, n, typ, c.limit+rnd.Int64N(c.limit/10), rnd.Int64N(100_000)))
				}
				all = append(all, chains(msgs, big.NewInt(100))...)
			}
			got := pick(all)
			var gas int64
			kinds := map[crypto.SigType]int{}
			next := map[address.Address]uint64{}
			for _, m := range got {
				gas += m.Message.GasLimit
				kinds[m.Signature.Type]++
				require.Equal(t, next[m.Message.From], m.Message.Nonce)
				next[m.Message.From]++
			}
			require.LessOrEqual(t, gas, types.BlockGasLimit)
			require.LessOrEqual(t, len(got), types.MaxBlockMessages)
			for typ, n := range kinds {
				require.LessOrEqual(t, n, maxListed, fmt.Sprint(typ))
			}
			most := c.least
			if int64(most)*c.limit*105/100 > types.BlockGasLimit {
				most = int(types.BlockGasLimit / (c.limit * 11 / 10))
			}
			require.GreaterOrEqual(t, len(got), min(c.least, most)*99/100)
		})
	}
}

func BenchmarkPick(b *testing.B) {
	var all [][]*types.SignedMessage
	rnd := rand.New(rand.NewPCG(1, 2))
	for from := range uint64(2000) {
		var msgs []*types.SignedMessage
		for n := range uint64(15) {
			msgs = append(msgs, fake(from, n, crypto.SigTypeBLS, 1_000_000+rnd.Int64N(20_000_000), rnd.Int64N(100_000)))
		}
		all = append(all, msgs)
	}
	for b.Loop() {
		var cs []*chain
		for _, msgs := range all {
			cs = append(cs, chains(msgs, big.NewInt(100))...)
		}
		pick(cs)
	}
}
