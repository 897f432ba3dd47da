package types_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/proof"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/chain/types"
	"github.com/stretchr/testify/require"
)

func idAddress(t testing.TB, id uint64) address.Address {
	t.Helper()
	a, err := address.NewIDAddress(id)
	require.NoError(t, err)
	return a
}

func someMessage(t testing.TB) *types.Message {
	return &types.Message{
		To: idAddress(t, 1000), From: idAddress(t, 1001), Nonce: 7,
		Value: big.NewInt(5), GasLimit: 1_000_000, GasFeeCap: big.NewInt(200), GasPremium: big.NewInt(100),
		Method: 2, Params: []byte{1, 2, 3},
	}
}

func someHeader(t testing.TB) *types.BlockHeader {
	return &types.BlockHeader{
		Miner:                 idAddress(t, 1000),
		Ticket:                &types.Ticket{VRFProof: []byte("ticket")},
		ElectionProof:         &types.ElectionProof{WinCount: 1, VRFProof: []byte("vrf")},
		BeaconEntries:         []types.BeaconEntry{{Round: 1, Data: []byte("beacon")}},
		WinPoStProof:          []proof.PoStProof{{PoStProof: abi.RegisteredPoStProof_StackedDrgWinning8MiBV1, ProofBytes: []byte("proof")}},
		Parents:               []cid.Cid{types.EmptyArrayCid},
		ParentWeight:          big.NewInt(10),
		Height:                5,
		ParentStateRoot:       types.EmptyArrayCid,
		ParentMessageReceipts: types.EmptyAMTCid,
		Messages:              types.EmptyAMTCid,
		BLSAggregate:          &crypto.Signature{Type: crypto.SigTypeBLS, Data: []byte("agg")},
		Timestamp:             99,
		BlockSig:              &crypto.Signature{Type: crypto.SigTypeBLS, Data: []byte("sig")},
		ParentBaseFee:         big.NewInt(100),
	}
}

func bytesOf(t testing.TB, v interface{ Serialize() ([]byte, error) }) []byte {
	t.Helper()
	b, err := v.Serialize()
	require.NoError(t, err)
	return b
}

// useMessage does all that can be done to a message without state.
func useMessage(m *types.Message) {
	_ = m.CheckSyntax(0, types.NetworkVersion)
	m.RequiredFunds()
	m.Cid()
	m.ChainLength()
	m.EqualCall(&types.Message{To: m.To, From: m.From})
}

func FuzzDecodeMessage(f *testing.F) {
	f.Add(bytesOf(f, someMessage(f)))
	f.Add([]byte{0x8a, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := types.DecodeMessage(b)
		if err != nil {
			return
		}
		useMessage(m)
		once := bytesOf(t, m)
		again, err := types.DecodeMessage(once)
		require.NoError(t, err)
		require.Equal(t, once, bytesOf(t, again))
	})
}

func FuzzDecodeSignedMessage(f *testing.F) {
	for _, typ := range []crypto.SigType{crypto.SigTypeBLS, crypto.SigTypeSecp256k1, crypto.SigTypeDelegated} {
		f.Add(bytesOf(f, &types.SignedMessage{Message: *someMessage(f), Signature: crypto.Signature{Type: typ, Data: []byte("sig")}}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := types.DecodeSignedMessage(b)
		if err != nil {
			return
		}
		useMessage(&m.Message)
		once := bytesOf(t, m)
		again, err := types.DecodeSignedMessage(once)
		require.NoError(t, err)
		require.Equal(t, once, bytesOf(t, again))
		require.Equal(t, m.Cid(), again.Cid())
		require.Equal(t, len(once), m.Size())
		blk, err := m.ToStorageBlock()
		require.NoError(t, err)
		require.Equal(t, m.Cid(), blk.Cid())
		require.Equal(t, len(blk.RawData()), m.ChainLength())
	})
}

// useHeader does all that can be done to a header, alone or in a tipset.
func useHeader(t *testing.T, h *types.BlockHeader) {
	h.Cid()
	h.LastBeacon()
	_, err := h.SigningBytes()
	require.NoError(t, err)
	ts, err := types.NewTipSet([]*types.BlockHeader{h})
	if err != nil {
		require.ErrorIs(t, err, types.ErrNoTipSet)
		return
	}
	_, _, _, _ = ts.WinCount(), ts.MinTimestamp(), ts.MinTicket(), ts.String()
	types.BetterTieBreak(ts, ts)
	if ts.Height() != 0 {
		k, err := types.TipSetKeyFromBytes(ts.Parents().Bytes())
		require.NoError(t, err)
		require.ElementsMatch(t, h.Parents, k.Cids())
	}
	js, err := json.Marshal(ts)
	require.NoError(t, err)
	var again types.TipSet
	if err := json.Unmarshal(js, &again); err == nil {
		require.Equal(t, ts.Key(), again.Key())
	}
}

func FuzzDecodeBlockHeader(f *testing.F) {
	h := someHeader(f)
	f.Add(bytesOf(f, h))
	h.Ticket, h.ElectionProof, h.BLSAggregate, h.BlockSig, h.Height = nil, nil, nil, nil, 0
	f.Add(bytesOf(f, h))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := types.DecodeBlockHeader(b)
		if err != nil {
			return
		}
		useHeader(t, h)
		once := bytesOf(t, h)
		again, err := types.DecodeBlockHeader(once)
		require.NoError(t, err)
		require.Equal(t, once, bytesOf(t, again))
	})
}

func FuzzDecodeBlockMsg(f *testing.F) {
	f.Add(bytesOf(f, &types.BlockMsg{Header: someHeader(f), BlsMessages: []cid.Cid{types.EmptyAMTCid}}))
	f.Add(bytesOf(f, &types.BlockMsg{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := types.DecodeBlockMsg(b)
		if err != nil {
			return
		}
		useHeader(t, m.Header)
		once := bytesOf(t, m)
		again, err := types.DecodeBlockMsg(once)
		require.NoError(t, err)
		require.Equal(t, m.Cid(), again.Cid())
		require.Equal(t, once, bytesOf(t, again))
	})
}

func FuzzTipSetKeyFromBytes(f *testing.F) {
	f.Add(types.NewTipSetKey(types.EmptyArrayCid, types.EmptyAMTCid).Bytes())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := types.TipSetKeyFromBytes(b)
		if err != nil {
			return
		}
		require.Equal(t, b, k.Bytes())
		require.Equal(t, k, types.NewTipSetKey(k.Cids()...))
		js, err := json.Marshal(k)
		require.NoError(t, err)
		var again types.TipSetKey
		require.NoError(t, json.Unmarshal(js, &again))
		require.Equal(t, k, again)
		var buf bytes.Buffer
		require.NoError(t, k.MarshalCBOR(&buf))
		require.NoError(t, again.UnmarshalCBOR(&buf))
		require.Equal(t, k, again)
	})
}

func FuzzParseNetwork(f *testing.F) {
	b, err := types.Devnet().Encode()
	require.NoError(f, err)
	f.Add(b)
	keys := types.Devnet()
	keys.Keys = types.Keys{InsecureSeed: "s", Verifying: map[string]types.KeyBytes{"a": {1}, "b": {2, 3}}}
	b, err = keys.Encode()
	require.NoError(f, err)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := types.ParseNetwork(b)
		if err != nil {
			require.Equal(t, types.Network{}, n)
			return
		}
		once, err := n.Encode()
		require.NoError(t, err)
		again, err := types.ParseNetwork(once)
		require.NoError(t, err)
		twice, err := again.Encode()
		require.NoError(t, err)
		require.Equal(t, string(once), string(twice))
	})
}

// FuzzMessageJSON: what users send over the API does not panic either, whatever is missing.
func FuzzMessageJSON(f *testing.F) {
	b, err := json.Marshal(someMessage(f))
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"To":"f01","From":"f02"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m types.Message
		if json.Unmarshal(b, &m) != nil {
			return
		}
		m.RequiredFunds()
		if _, err := m.Serialize(); err == nil {
			useMessage(&m)
		}
		js, err := json.Marshal(m)
		require.NoError(t, err)
		var again types.Message
		require.NoError(t, json.Unmarshal(js, &again))
		again.CheckSyntax(0, types.NetworkVersion)
	})
}
