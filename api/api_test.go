package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/types"
)

// TestJSONForms holds the encodings of spec api.md A.5.
func TestJSONForms(t *testing.T) {
	a, err := address.NewIDAddress(1000)
	require.NoError(t, err)
	c := types.EmptyArrayCid
	link := `{"/":"` + c.String() + `"}`
	for name, v := range map[string]struct {
		value any
		want  string
	}{
		"undefined cid":  {&api.ParentMessage{}, `{"Cid":null,"Message":null}`},
		"cid":            {&api.ParentMessage{Cid: c}, `{"Cid":` + link + `,"Message":null}`},
		"empty key":      {types.TipSetKey{}, `[]`},
		"key":            {types.NewTipSetKey(c), `[` + link + `]`},
		"amounts":        {&api.MarketBalance{Escrow: big.NewInt(-5), Locked: big.Zero()}, `{"Escrow":"-5","Locked":"0"}`},
		"empty bitfield": {&api.Deadline{PostSubmissions: bitfield.New(), DailyFee: big.Zero()}, `{"PostSubmissions":[0],"DisputableProofCount":0,"DailyFee":"0"}`},
		"bitfield":       {bitfield.NewFromSet([]uint64{0, 1, 2}), `[0,3]`},
		"text label":     {api.DealLabel{Text: "x"}, `"x"`},
		"empty label":    {api.DealLabel{}, `""`},
		"bytes label":    {api.DealLabel{Bytes: []byte{1, 2}}, `{"/":{"bytes":"AQI"}}`},
		"no bytes label": {api.DealLabel{Bytes: []byte{}}, `{"/":{"bytes":""}}`},
		"key info":       {api.KeyInfo{Type: api.KeyBLS, PrivateKey: []byte{1}}, `{"Type":"bls","PrivateKey":"AQ=="}`},
		"deal state":     {api.MarketDealState{SectorStartEpoch: -1, LastUpdatedEpoch: -1, SlashEpoch: -1}, `{"SectorNumber":0,"SectorStartEpoch":-1,"LastUpdatedEpoch":-1,"SlashEpoch":-1}`},
		"sector": {&api.SectorOnChainInfo{PowerBaseEpoch: 7, SectorOnChainInfo: miner.SectorOnChainInfo{
			SectorNumber: 3, SealProof: 6, SealedCID: c, Activation: 7, Expiration: 9, DealWeight: big.Zero(), VerifiedDealWeight: big.Zero(), InitialPledge: big.NewInt(4),
			ExpectedDayReward: big.Zero(), ExpectedStoragePledge: big.Zero(), ReplacedDayReward: big.Zero(),
		}}, `{"SectorNumber":3,"SealProof":6,"SealedCID":` + link + `,"DealIDs":null,"Activation":7,"Expiration":9,"DealWeight":"0","VerifiedDealWeight":"0",
			"InitialPledge":"4","ExpectedDayReward":"0","ExpectedStoragePledge":"0","ReplacedSectorAge":0,"ReplacedDayReward":"0","SectorKeyCID":null,"PowerBaseEpoch":7}`},
		"lookup":  {&api.MsgLookup{Message: c, Height: 4}, `{"Message":` + link + `,"Receipt":{"ExitCode":0,"Return":null,"GasUsed":0},"ReturnDec":null,"TipSet":[],"Height":4}`},
		"address": {a, `"` + a.String() + `"`},
	} {
		b, err := json.Marshal(v.value)
		require.NoError(t, err, name)
		require.JSONEq(t, v.want, string(b), name)
	}
}

func TestLabelRoundTrip(t *testing.T) {
	for _, l := range []api.DealLabel{{}, {Text: "é"}, {Bytes: []byte{}}, {Bytes: []byte{0xff, 0}}} {
		b, err := json.Marshal(l)
		require.NoError(t, err)
		var back api.DealLabel
		require.NoError(t, json.Unmarshal(b, &back))
		require.Equal(t, l, back)
	}
	for _, text := range []string{`5`, `{"/":{"bytes":"*"}}`, `[]`} {
		var l api.DealLabel
		require.Error(t, json.Unmarshal([]byte(text), &l), text)
	}
}

func TestKeyInfo(t *testing.T) {
	k := api.KeyInfo{Type: api.KeySecp256k1, PrivateKey: make([]byte, 32)}
	text, err := k.Hex()
	require.NoError(t, err)
	for _, form := range []string{text, " " + text + "\n", `{"Type":1,"PrivateKey":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`} {
		got, err := api.ParseKeyInfo(form)
		require.NoError(t, err, form)
		require.Equal(t, k, *got)
	}
	for _, bad := range []string{"", "xyz", "{}", `{"Type":"bls"}`, `{"Type":3}`, `{"Type":"bls","PrivateKey":"AA=="}`, "7b7d"} {
		_, err := api.ParseKeyInfo(bad)
		require.Error(t, err, bad)
		require.NotContains(t, err.Error(), "'x'", "a part of what may be a secret")
	}
	_, err = api.ParseKeyInfo(" \n")
	require.ErrorContains(t, err, "nothing there")
}

func TestErrors(t *testing.T) {
	err := fmt.Errorf("balance: %w", api.ErrActorNotFound.With("t0%d", 5))
	require.ErrorIs(t, err, api.ErrActorNotFound)
	require.NotErrorIs(t, err, api.ErrNullRound)
	require.Equal(t, "balance: actor not found: t05", err.Error())
	plain := &api.Error{Code: api.CodeError, Message: "x"}
	require.NotErrorIs(t, plain, &api.Error{Code: api.CodeError, Message: "x"})
	require.ErrorIs(t, plain, plain)
	var e *api.Error
	require.True(t, errors.As(err, &e))
}

// Bans of ranges have no peer, and an empty peer id cannot be read back.
func TestBanRoundTrip(t *testing.T) {
	id, err := peer.Decode("12D3KooWERnvgQMjdPUAu935g9NZURgr8xLu9gQ6nyxjpizRCdct")
	require.NoError(t, err)
	for _, want := range []api.NetBan{{Peer: &id, Reason: "genesis"}, {Net: "192.0.2.0/24"}} {
		b, err := json.Marshal(want)
		require.NoError(t, err)
		var got api.NetBan
		require.NoError(t, json.Unmarshal(b, &got), string(b))
		require.Equal(t, want, got)
	}
}

func FuzzKeyInfo(f *testing.F) {
	f.Add(`{"Type":"bls","PrivateKey":"AA=="}`)
	f.Add("7b7d")
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := api.ParseKeyInfo(s); err == nil && len(k.PrivateKey) != 32 {
			t.Fatalf("%q", s)
		}
	})
}

func TestUndefinedCidParam(t *testing.T) {
	var c cid.Cid
	require.NoError(t, json.Unmarshal([]byte("null"), &c))
	require.Equal(t, cid.Undef, c)
}
