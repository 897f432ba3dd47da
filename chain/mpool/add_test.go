package mpool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/types/sigs"
	"github.com/stretchr/testify/require"
)

func TestAdmission(t *testing.T) {
	r := newRig(t, 3, Options{})
	r.chain.Fee = big.NewInt(50_000)
	mined := r.chain.Transfer(0, 1, 0)
	r.chain.Mine([]*types.SignedMessage{mined})
	r.follow()
	require.NoError(t, r.add(r.chain.Transfer(1, 0, 0)))

	strangerKey := sigs.KeyFromSeed([]byte("stranger"))
	stranger, err := sigs.Address(crypto.SigTypeBLS, strangerKey)
	require.NoError(t, err)
	fromStranger := r.chain.Plain(0, 1, 0)
	fromStranger.From = stranger
	sig, err := sigs.Sign(crypto.SigTypeBLS, strangerKey, fromStranger.Cid().Bytes())
	require.NoError(t, err)

	forged := *r.chain.Transfer(0, 1, 1)
	forged.Signature.Data = bytes.Clone(forged.Signature.Data)
	forged.Signature.Data[3] ^= 1
	byID := r.chain.Plain(0, 1, 1)
	byID.From = r.chain.Accounts[0].ID
	big64 := r.chain.Plain(0, 1, 1)
	big64.Params = make([]byte, types.MaxMessageBytes)
	wrongType := *r.chain.Transfer(0, 1, 1)
	wrongType.Signature.Type = crypto.SigTypeSecp256k1

	for _, c := range []struct {
		name   string
		msg    *types.SignedMessage
		want   error
		ignore bool
	}{
		{"too big", r.chain.Sign(big64), ErrTooBig, false},
		{"empty", &types.SignedMessage{}, ErrSyntax, false},
		{"no recipient", &types.SignedMessage{Message: func() types.Message { m := r.chain.Plain(0, 1, 1); m.To = address.Undef; return m }()}, ErrSyntax, false},
		{"value", r.edit(0, 1, 1, func(m *types.Message) { m.Value = types.TotalFilecoin }), ErrSyntax, false},
		{"no gas", r.edit(0, 1, 1, func(m *types.Message) { m.GasLimit = 0 }), ErrSyntax, false},
		{"less gas than its bytes cost", r.edit(0, 1, 1, func(m *types.Message) { m.GasLimit = 100 }), ErrSyntax, false},
		{"forged", &forged, ErrSignature, false},
		{"sender by ID", &types.SignedMessage{Message: byID, Signature: crypto.Signature{Type: crypto.SigTypeBLS, Data: make([]byte, 96)}}, ErrSender, false},
		{"signature of another kind", &wrongType, ErrSender, false},
		{"stranger", &types.SignedMessage{Message: fromStranger, Signature: *sig}, ErrNoSender, true},
		{"on chain", mined, ErrNonceTooLow, true},
		{"present", r.chain.Transfer(1, 0, 0), ErrPresent, true},
		{"fee cap below everything", r.edit(0, 1, 1, func(m *types.Message) { m.GasFeeCap, m.GasPremium = big.NewInt(99), big.Zero() }), ErrFeeCapTooLow, true},
		{"fee cap below a hundredth", r.edit(0, 1, 1, func(m *types.Message) { m.GasFeeCap, m.GasPremium = big.NewInt(499), big.Zero() }), ErrFeeCapTooLow, true},
		{"funds", r.edit(0, 1, 1, func(m *types.Message) { m.GasFeeCap = fil(1) }), ErrFunds, true},
		{"gap", r.chain.Transfer(0, 1, 6), ErrNonceGap, true},
		{"last of the gap", r.chain.Transfer(0, 1, 5), nil, false},
		{"replacement behind a gap", r.edit(0, 1, 5, withPremium(5000)), ErrNonceGap, true},
		{"fine", r.chain.Transfer(0, 1, 1), nil, false},
		{"same premium", r.edit(0, 1, 1, func(m *types.Message) { m.Value = big.NewInt(7) }), ErrPremiumTooLow, true},
		{"a little too little", r.edit(0, 1, 1, withPremium(550)), ErrPremiumTooLow, true},
		{"replacement", r.edit(0, 1, 1, withPremium(551)), nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := r.pool.Len()
			err := r.add(c.msg)
			require.ErrorIs(t, err, c.want)
			require.Equal(t, c.ignore, Ignore(err), "verdict for gossip")
			require.Equal(t, c.want != nil && !c.ignore, errors.Is(err, ErrInvalid))
			if c.want != nil {
				require.Equal(t, before, r.pool.Len())
				return
			}
			got, ok := r.pool.Message(c.msg.Cid())
			require.True(t, ok)
			require.Equal(t, c.msg, got)
		})
	}
	require.Len(t, r.pool.Pending(r.chain.Accounts[0].Key), 2, "the replaced one is gone")
	n, err := r.pool.NextNonce(t.Context(), r.chain.Accounts[0].Key)
	require.NoError(t, err)
	require.Equal(t, uint64(2), n, "what is behind the gap does not count")
	n, err = r.pool.NextNonce(t.Context(), stranger)
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = r.pool.NextNonce(t.Context(), r.chain.Accounts[1].ID)
	require.NoError(t, err)
	require.Equal(t, uint64(1), n, "by ID")
}

func TestLocalMessages(t *testing.T) {
	r := newRig(t, 2, Options{})
	r.chain.Fee = big.NewInt(1_000_000)
	r.chain.Mine()
	r.follow()

	far := r.chain.Transfer(0, 1, 50)
	require.ErrorIs(t, r.pool.AddUntrusted(t.Context(), r.chain.Transfer(0, 1, 1)), ErrNonceGap)
	cheap := r.chain.Transfer(0, 1, 0)
	require.NoError(t, r.push(cheap), "a low fee cap is accepted")
	require.Empty(t, r.published, "and waits for the fee to fall")
	dear := r.edit(0, 1, 50, withPremium(20_000))
	require.NoError(t, r.push(dear), "a gap too")
	require.Equal(t, dear, <-r.published)
	require.ErrorIs(t, r.push(far), ErrPremiumTooLow)
	_, err := r.chain.Message(t.Context(), dear.Cid())
	require.NoError(t, err, "others can fetch it")
	require.True(t, r.pool.Local(r.chain.Accounts[0].Key))
	require.False(t, r.pool.Local(r.chain.Accounts[1].Key))
}

func TestPendingLimits(t *testing.T) {
	for name, c := range map[string]struct {
		limit int
		add   func(r *rig, m *types.SignedMessage) error
	}{
		"gossip":    {1000, (*rig).add},
		"local":     {1000, (*rig).push},
		"untrusted": {100, func(r *rig, m *types.SignedMessage) error { return r.pool.AddUntrusted(r.t.Context(), m) }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 2, Options{})
			from := r.chain.Accounts[0].Key
			r.pool.head()
			for i := range c.limit - 1 { // put there without the cost of signatures
				m := r.chain.Plain(0, 1, uint64(i))
				r.pool.mu.Lock()
				r.pool.keep(&types.SignedMessage{Message: m, Signature: crypto.Signature{Type: crypto.SigTypeBLS}})
				r.pool.mu.Unlock()
			}
			require.NoError(t, c.add(r, r.chain.Transfer(0, 1, uint64(c.limit-1))))
			require.ErrorIs(t, c.add(r, r.chain.Transfer(0, 1, uint64(c.limit))), ErrTooMany)
			require.NoError(t, c.add(r, r.edit(0, 1, 7, withPremium(1000))), "a replacement is no more of them")
			require.Len(t, r.pool.Pending(from), c.limit)
		})
	}
}

func TestFundsCountAllPending(t *testing.T) {
	r := newRig(t, 2, Options{})
	half := func(nonce uint64, premium int64) *types.SignedMessage { // about half of a thousand FIL
		return r.edit(0, 1, nonce, func(m *types.Message) {
			m.GasFeeCap, m.GasPremium = big.Div(fil(499), big.NewInt(m.GasLimit)), big.NewInt(premium)
		})
	}
	require.NoError(t, r.add(half(0, 100)))
	require.NoError(t, r.add(half(1, 100)))
	require.ErrorIs(t, r.add(half(2, 100)), ErrFunds)
	require.NoError(t, r.add(half(1, 1000)), "a replacement counts once")
}

func TestReplacementPremium(t *testing.T) {
	for old, want := range map[int64]int64{0: 1, 1: 2, 9: 10, 10: 12, 100: 111, 105: 116} {
		require.Equal(t, big.NewInt(want), ReplacementPremium(big.NewInt(old)), fmt.Sprint(old))
	}
}

func TestSubscription(t *testing.T) {
	r := newRig(t, 2, Options{})
	s := r.pool.Subscribe(2)
	slow := r.pool.Subscribe(1)
	a, b := r.chain.Transfer(0, 1, 0), r.edit(0, 1, 0, withPremium(1000))
	require.NoError(t, r.add(a))
	require.Equal(t, Update{Added: true, Message: a}, <-s.C)
	require.NoError(t, r.add(b))
	require.Equal(t, Update{Message: a}, <-s.C)
	require.Equal(t, Update{Added: true, Message: b}, <-s.C)
	require.Zero(t, s.Dropped())
	require.Equal(t, int64(2), slow.Dropped(), "a slow reader holds nothing up")
	s.Close()
	s.Close()
	_, open := <-s.C
	require.False(t, open)
	require.NoError(t, r.pool.Remove(t.Context(), b.Cid()))
	require.NoError(t, r.pool.Remove(t.Context(), b.Cid()), "again is fine")
	require.Zero(t, r.pool.Len())
}

func TestConcurrentUse(t *testing.T) {
	r := newRig(t, 4, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.pool.Run(ctx) }()
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			for n := range uint64(20) {
				if err := r.pool.Add(ctx, r.chain.Transfer(i, 3, n), i == 0); err != nil && !errors.Is(err, ErrNonceTooLow) {
					t.Error(err)
				}
				r.pool.Pending()
				if _, err := r.pool.NextNonce(ctx, r.chain.Accounts[i].Key); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 10 {
		msgs, err := r.pool.Select(ctx, r.chain.Head(), 1)
		require.NoError(t, err)
		r.chain.Mine(msgs)
	}
	wg.Wait()
	cancel()
	require.NoError(t, <-done)
}
