package porcelain_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/google/uuid"
	"github.com/ipfs/go-cid"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/api/porcelain"
	"github.com/lodenet/lode/chain/types"
)

func tipset(t *testing.T, h abi.ChainEpoch) *types.TipSet {
	t.Helper()
	miner, err := address.NewIDAddress(1000)
	require.NoError(t, err)
	ts, err := types.NewTipSet([]*types.BlockHeader{{
		Miner: miner, Ticket: &types.Ticket{VRFProof: []byte{1}}, ElectionProof: &types.ElectionProof{},
		ParentWeight: big.Zero(), ParentStateRoot: types.EmptyArrayCid, ParentMessageReceipts: types.EmptyAMTCid,
		Messages: types.EmptyAMTCid, ParentBaseFee: big.NewInt(100), Height: h,
	}})
	require.NoError(t, err)
	return ts
}

// script feeds a node's ChainNotify: each subscription gets one list of heights, then it is
// cut off; with none left, subscribing fails.
func script(t *testing.T, lists ...[]abi.ChainEpoch) *api.Proxy {
	p := &api.Proxy{}
	p.Call.ChainNotify = func(ctx context.Context) (<-chan []*api.HeadChange, error) {
		if len(lists) == 0 {
			return nil, errors.New("connection refused")
		}
		list := lists[0]
		lists = lists[1:]
		ch := make(chan []*api.HeadChange)
		go func() {
			defer close(ch)
			for i, h := range list {
				kind := api.HeadApply
				if i == 0 {
					kind = api.HeadCurrent
				}
				select {
				case ch <- []*api.HeadChange{{Type: api.HeadRevert, Val: tipset(t, 1)}, {Type: kind, Val: tipset(t, h)}}:
				case <-ctx.Done():
					return
				}
			}
		}()
		return ch, nil
	}
	return p
}

func TestWaitHeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, err := porcelain.WaitHeight(t.Context(), script(t, []abi.ChainEpoch{3, 4, 7, 9}), 5)
		require.NoError(t, err)
		require.GreaterOrEqual(t, at.Height(), abi.ChainEpoch(7))
	})
	synctest.Test(t, func(t *testing.T) { // cut off on the way
		at, err := porcelain.WaitHeight(t.Context(), script(t, []abi.ChainEpoch{3}, nil, []abi.ChainEpoch{4}, []abi.ChainEpoch{6}), 5)
		require.NoError(t, err)
		require.EqualValues(t, 6, at.Height())
	})
	synctest.Test(t, func(t *testing.T) { // gone for good
		_, err := porcelain.WaitHeight(t.Context(), script(t, []abi.ChainEpoch{3}), 5)
		require.ErrorIs(t, err, porcelain.ErrLost)
		require.ErrorContains(t, err, "connection refused")
	})
	synctest.Test(t, func(t *testing.T) { // cut off again and again without a word
		_, err := porcelain.WaitHeight(t.Context(), script(t, nil, nil, nil, nil, nil, nil), 5)
		require.ErrorIs(t, err, porcelain.ErrLost)
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := porcelain.WaitHeight(ctx, script(t), 5)
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestSend(t *testing.T) {
	from, err := address.NewIDAddress(100)
	require.NoError(t, err)
	code := int64(0)
	p := &api.Proxy{}
	p.Call.MpoolPushMessage = func(_ context.Context, m *types.Message, _ *api.MessageSendSpec) (*types.SignedMessage, error) {
		if m.Value.IsZero() {
			return nil, api.ErrActorNotFound
		}
		return &types.SignedMessage{Message: *m, Signature: crypto.Signature{Type: crypto.SigTypeBLS}}, nil
	}
	p.Call.StateWaitMsg = func(_ context.Context, c cid.Cid, confidence uint64, lookback abi.ChainEpoch, replaced bool) (*api.MsgLookup, error) {
		require.EqualValues(t, 3, confidence)
		require.EqualValues(t, -1, lookback)
		require.True(t, replaced)
		return &api.MsgLookup{Message: c, Receipt: types.MessageReceipt{ExitCode: code}}, nil
	}
	msg := &types.Message{To: from, From: from, Value: big.NewInt(1), GasFeeCap: big.Zero(), GasPremium: big.Zero()}
	found, err := porcelain.Send(t.Context(), p, msg, nil, 3)
	require.NoError(t, err)
	require.Equal(t, msg.Cid(), found.Message)

	code = 16
	found, err = porcelain.Send(t.Context(), p, msg, nil, 3)
	var exit *porcelain.ExitError
	require.ErrorAs(t, err, &exit)
	require.EqualValues(t, 16, exit.Code)
	require.NotNil(t, found)

	msg.Value = big.Zero()
	_, err = porcelain.Send(t.Context(), p, msg, nil, 3)
	require.ErrorIs(t, err, api.ErrActorNotFound)
}

func TestReplace(t *testing.T) {
	from, err := address.NewIDAddress(100)
	require.NoError(t, err)
	old := &types.SignedMessage{
		Message:   types.Message{To: from, From: from, Nonce: 4, Value: big.Zero(), GasLimit: 10, GasFeeCap: big.NewInt(110), GasPremium: big.NewInt(100)},
		Signature: crypto.Signature{Type: crypto.SigTypeSecp256k1, Data: make([]byte, 65)},
	}
	var pushed *types.SignedMessage
	p := &api.Proxy{}
	p.Call.MpoolPending = func(context.Context, types.TipSetKey) ([]*types.SignedMessage, error) {
		return []*types.SignedMessage{old}, nil
	}
	p.Call.WalletSignMessage = func(_ context.Context, a address.Address, m *types.Message) (*types.SignedMessage, error) {
		require.Equal(t, from, a)
		return &types.SignedMessage{Message: *m, Signature: old.Signature}, nil
	}
	p.Call.MpoolPush = func(_ context.Context, m *types.SignedMessage) (cid.Cid, error) { pushed = m; return m.Cid(), nil }
	for _, by := range []cid.Cid{old.Cid(), old.Message.Cid()} {
		got, err := porcelain.Replace(t.Context(), p, by, big.Int{}, big.Int{})
		require.NoError(t, err)
		require.Equal(t, pushed, got)
		require.Equal(t, "126", got.Message.GasPremium.String())
		require.Equal(t, "126", got.Message.GasFeeCap.String())
		require.EqualValues(t, 4, got.Message.Nonce)
		require.Equal(t, "100", old.Message.GasPremium.String(), "the pending message was changed")
	}
	// What is named is tried: the rule is the pool's.
	got, err := porcelain.Replace(t.Context(), p, old.Cid(), big.NewInt(111), big.NewInt(500))
	require.NoError(t, err)
	require.Equal(t, "111", got.Message.GasPremium.String())
	require.Equal(t, "500", got.Message.GasFeeCap.String())
	_, err = porcelain.Replace(t.Context(), p, types.EmptyAMTCid, big.Int{}, big.Int{})
	require.ErrorContains(t, err, "not pending")
}

func TestWaitDeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := uuid.New(), uuid.New()
		asked := map[uuid.UUID]int{}
		fail := false
		p := script(t, []abi.ChainEpoch{1, 2, 3}, []abi.ChainEpoch{4, 5}, []abi.ChainEpoch{6, 7, 8})
		p.Call.DealGet = func(_ context.Context, id uuid.UUID) (*api.ClientDeal, error) {
			asked[id]++
			d := &api.ClientDeal{ID: id, State: "transfer"}
			if asked[id] >= 2 && id == a || asked[id] >= 3 {
				d.Active, d.Done = !fail, true
				d.Err = "no room"
			}
			return d, nil
		}
		var reports int
		got, err := porcelain.WaitDeals(t.Context(), p, []uuid.UUID{a, b}, func(*api.ClientDeal) { reports++ })
		require.NoError(t, err)
		require.True(t, got[0].Active && got[1].Active)
		require.Equal(t, map[uuid.UUID]int{a: 2, b: 3}, asked, "a deal that is done is not asked for again")
		require.Equal(t, 4, reports)

		fail, asked = true, map[uuid.UUID]int{a: 1}
		_, err = porcelain.WaitDeals(t.Context(), script2(t, p), []uuid.UUID{a}, nil)
		var failed *porcelain.DealError
		require.ErrorAs(t, err, &failed)
		require.ErrorContains(t, err, "no room")
	})
}

// script2 gives p one more subscription.
func script2(t *testing.T, p *api.Proxy) *api.Proxy {
	p.Call.ChainNotify = script(t, []abi.ChainEpoch{1}).Call.ChainNotify
	return p
}

func TestFetch(t *testing.T) {
	order := &api.RetrieveOrder{Root: types.EmptyArrayCid}
	for name, c := range map[string]struct {
		events []*api.RetrieveEvent
		want   string
	}{
		"whole":   {[]*api.RetrieveEvent{{Bytes: 1}, {Bytes: 2}, {Bytes: 3, Done: true}}, ""},
		"fails":   {[]*api.RetrieveEvent{{Bytes: 1}, {Bytes: 2}, {Err: "no provider"}}, "no provider"},
		"cut off": {[]*api.RetrieveEvent{{Bytes: 1}, {Bytes: 2}}, "broke off"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &api.Proxy{}
			p.Call.Retrieve = func(context.Context, *api.RetrieveOrder) (<-chan *api.RetrieveEvent, error) {
				ch := make(chan *api.RetrieveEvent, len(c.events))
				for _, e := range c.events {
					ch <- e
				}
				close(ch)
				return ch, nil
			}
			var reports int
			got, err := porcelain.Fetch(t.Context(), p, order, func(*api.RetrieveEvent) { reports++ })
			require.Equal(t, 2, reports)
			if c.want == "" {
				require.NoError(t, err)
				require.EqualValues(t, 3, got.Bytes)
			} else {
				require.ErrorContains(t, err, c.want)
			}
		})
	}
}
