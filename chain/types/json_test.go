package types

import (
	"encoding/json"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/stretchr/testify/require"
)

func TestMessageJSON(t *testing.T) {
	to, err := address.NewIDAddress(1000)
	require.NoError(t, err)
	m := Message{To: to, From: to, Value: big.NewInt(5), GasFeeCap: big.NewInt(7), GasPremium: big.Zero(), GasLimit: 9, Method: 2, Params: []byte{1}}
	for _, v := range []any{m, &m, []Message{m}[0]} { // addressable or not
		b, err := json.Marshal(v)
		require.NoError(t, err)
		require.JSONEq(t, `{"Version":0,"To":"`+to.String()+`","From":"`+to.String()+`","Nonce":0,"Value":"5","GasLimit":9,"GasFeeCap":"7",
			"GasPremium":"0","Method":2,"Params":"AQ==","CID":{"/":"`+m.Cid().String()+`"}}`, string(b))
		var back Message
		require.NoError(t, json.Unmarshal(b, &back))
		require.Equal(t, m, back)
	}
	var bare Message
	require.NoError(t, json.Unmarshal([]byte(`{"To":"t01000","From":"t01000"}`), &bare))
	require.True(t, bare.Value.IsZero())
	_, err = json.Marshal(Message{})
	require.NoError(t, err)
}

func TestSignedMessageJSON(t *testing.T) {
	to, err := address.NewIDAddress(1000)
	require.NoError(t, err)
	for _, kind := range []crypto.SigType{crypto.SigTypeBLS, crypto.SigTypeSecp256k1} {
		m := SignedMessage{
			Message:   Message{To: to, From: to, Value: big.Zero(), GasFeeCap: big.Zero(), GasPremium: big.Zero()},
			Signature: crypto.Signature{Type: kind, Data: []byte{1, 2}},
		}
		b, err := json.Marshal(m)
		require.NoError(t, err)
		var out struct{ CID map[string]string }
		require.NoError(t, json.Unmarshal(b, &out))
		require.Equal(t, m.Cid().String(), out.CID["/"])
		var back SignedMessage
		require.NoError(t, json.Unmarshal(b, &back))
		require.Equal(t, m, back)
	}
}

func TestTipSetJSONRefusesWhatIsNone(t *testing.T) {
	for _, text := range []string{`{}`, `{"Blocks":[null]}`, `{"Blocks":[{}]}`, `{"Blocks":[{"Height":1,"Ticket":{"VRFProof":"AA=="}}]}`, `{"Blocks":3}`} {
		var ts TipSet
		require.Error(t, json.Unmarshal([]byte(text), &ts), text)
	}
}

func FuzzTipSetJSON(f *testing.F) {
	miner, err := address.NewIDAddress(1000)
	if err != nil {
		f.Fatal(err)
	}
	h := BlockHeader{
		Miner: miner, Ticket: &Ticket{VRFProof: []byte{1}}, ElectionProof: &ElectionProof{WinCount: 1},
		ParentWeight: big.Zero(), ParentStateRoot: EmptyArrayCid, ParentMessageReceipts: EmptyArrayCid, Messages: EmptyArrayCid,
		ParentBaseFee: big.Zero(), Height: abi.ChainEpoch(3),
	}
	ts, err := NewTipSet([]*BlockHeader{&h})
	if err != nil {
		f.Fatal(err)
	}
	b, err := json.Marshal(ts)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var ts TipSet
		if json.Unmarshal(b, &ts) == nil {
			if _, err := json.Marshal(&ts); err != nil {
				t.Fatal(err)
			}
		}
	})
}
