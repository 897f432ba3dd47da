package types_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/network"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/lodenet/lode/chain/types"
	"github.com/minio/blake2b-simd"
	"github.com/stretchr/testify/require"
)

func TestConstantCids(t *testing.T) {
	require.Equal(t, "bafy2bzacebc3bt6cedhoyw34drrmjvazhu4oj25er2ebk4u445pzycvq4ta4a", types.EmptyArrayCid.String())
	require.Equal(t, "bafy2bzacedswlcz5ddgqnyo3sak3jmhmkxashisnlpq6ujgyhe4mlobzpnhs6", types.EmptyAMTCid.String())
}

func header(t testing.TB, miner uint64, ticket string, change ...func(*types.BlockHeader)) *types.BlockHeader {
	h := someHeader(t)
	h.Miner = idAddress(t, miner)
	h.Ticket = &types.Ticket{VRFProof: []byte(ticket)}
	for _, f := range change {
		f(h)
	}
	return h
}

func TestTipSetOrder(t *testing.T) {
	hash := func(s string) string { h := blake2b.Sum256([]byte(s)); return string(h[:]) }
	tickets := []string{"a", "b", "c", "d", "e", "f"}
	var blks []*types.BlockHeader
	for i, s := range tickets {
		blks = append(blks, header(t, uint64(1000+i), s))
	}
	slices.SortFunc(tickets, func(a, b string) int { return strings.Compare(hash(a), hash(b)) })
	for range 10 {
		rand.Shuffle(len(blks), func(i, j int) { blks[i], blks[j] = blks[j], blks[i] })
		before := slices.Clone(blks)
		ts, err := types.NewTipSet(blks)
		require.NoError(t, err)
		require.Equal(t, before, blks, "the argument stays as it was")
		for i, b := range ts.Blocks() {
			require.Equal(t, tickets[i], string(b.Ticket.VRFProof))
			require.Equal(t, b.Cid(), ts.Cids()[i])
		}
		require.Equal(t, tickets[0], string(ts.MinTicket().VRFProof))
		require.Same(t, ts.MinTicketBlock(), ts.Blocks()[0])
	}
	t.Run("equal tickets go by CID", func(t *testing.T) {
		a, b := header(t, 1, "same"), header(t, 2, "same")
		ts, err := types.NewTipSet([]*types.BlockHeader{a, b})
		require.NoError(t, err)
		require.Negative(t, strings.Compare(ts.Cids()[0].KeyString(), ts.Cids()[1].KeyString()))
		other, err := types.NewTipSet([]*types.BlockHeader{b, a})
		require.NoError(t, err)
		require.True(t, ts.Equals(other))
	})
}

func TestNotATipSet(t *testing.T) {
	sha := cid.MustParse("bafyreiaqpwbbyjo4a42saasj36kkrpv4tsherf2e7bvezkert2a7dhonoi")
	one := header(t, 1, "a")
	many := make([]*types.BlockHeader, 129)
	for i := range many {
		many[i] = header(t, uint64(i), "a")
	}
	for name, blks := range map[string][]*types.BlockHeader{
		"none":              {},
		"too many":          many,
		"missing":           {one, nil},
		"twice":             {one, one},
		"no ticket":         {header(t, 2, "b", func(h *types.BlockHeader) { h.Ticket = nil })},
		"heights":           {one, header(t, 2, "b", func(h *types.BlockHeader) { h.Height++ })},
		"parents":           {one, header(t, 2, "b", func(h *types.BlockHeader) { h.Parents = []cid.Cid{types.EmptyAMTCid} })},
		"kind of parent":    {header(t, 2, "b", func(h *types.BlockHeader) { h.Parents = []cid.Cid{sha} })},
		"number of parents": {header(t, 2, "b", func(h *types.BlockHeader) { h.Parents = slices.Repeat(h.Parents, 129) })},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := types.NewTipSet(blks)
			require.ErrorIs(t, err, types.ErrNoTipSet)
		})
	}
	t.Run("a genesis may have a placeholder", func(t *testing.T) {
		_, err := types.NewTipSet([]*types.BlockHeader{header(t, 2, "b", func(h *types.BlockHeader) { h.Parents, h.Height = []cid.Cid{sha}, 0 })})
		require.NoError(t, err)
	})
}

func TestTipSetJSON(t *testing.T) {
	ts, err := types.NewTipSet([]*types.BlockHeader{header(t, 1, "a"), header(t, 2, "b")})
	require.NoError(t, err)
	b, err := json.Marshal(ts)
	require.NoError(t, err)
	var again types.TipSet
	require.NoError(t, json.Unmarshal(b, &again))
	require.True(t, ts.Equals(&again))
	for name, in := range map[string]string{
		"null block":  `{"Blocks":[null]}`,
		"empty block": `{"Blocks":[{}]}`,
		"no CIDs":     `{"Blocks":[{"Miner":"f01","Ticket":{"VRFProof":"AA=="}}]}`,
		"no blocks":   `{}`,
	} {
		t.Run(name, func(t *testing.T) { require.Error(t, json.Unmarshal([]byte(in), &again)) })
	}
	var k types.TipSetKey
	for _, in := range []string{`[null]`, `[{"/":"bafyreiaqpwbbyjo4a42saasj36kkrpv4tsherf2e7bvezkert2a7dhonoi"}]`, `"x"`} {
		require.Error(t, json.Unmarshal([]byte(in), &k), in)
	}
	require.NoError(t, json.Unmarshal([]byte(`[]`), &k))
	require.True(t, k.IsEmpty())
}

func TestBetterTieBreak(t *testing.T) {
	single := func(ticket string) *types.TipSet {
		ts, err := types.NewTipSet([]*types.BlockHeader{header(t, 1, ticket)})
		require.NoError(t, err)
		return ts
	}
	a, b := single("a"), single("b")
	require.NotEqual(t, types.BetterTieBreak(a, b), types.BetterTieBreak(b, a))
	ha, hb := a.MinTicket().Hash(), b.MinTicket().Hash()
	require.Equal(t, string(ha[:]) < string(hb[:]), types.BetterTieBreak(a, b), "the smaller hash wins")
	both, err := types.NewTipSet([]*types.BlockHeader{a.Blocks()[0], b.Blocks()[0]})
	require.NoError(t, err)
	first, err := types.NewTipSet([]*types.BlockHeader{both.Blocks()[0]})
	require.NoError(t, err)
	require.False(t, types.BetterTieBreak(first, both), "a prefix is no better")
	require.False(t, types.BetterTieBreak(both, first))
}

func TestTrailingBytesAreRefused(t *testing.T) {
	m := append(bytesOf(t, someMessage(t)), 0)
	_, err := types.DecodeMessage(m)
	require.ErrorIs(t, err, types.ErrTrailingBytes)
	_, err = types.DecodeBlockMsg(append(bytesOf(t, &types.BlockMsg{Header: someHeader(t)}), 0))
	require.ErrorIs(t, err, types.ErrTrailingBytes)
	_, err = types.DecodeBlockMsg(bytesOf(t, &types.BlockMsg{}))
	require.Error(t, err, "a header is needed")
}

func TestMessageVersion(t *testing.T) {
	m := someMessage(t)
	m.Version = 1
	_, err := types.DecodeMessage(bytesOf(t, m))
	require.ErrorIs(t, err, types.ErrMessageVersion)
	_, err = types.DecodeSignedMessage(bytesOf(t, &types.SignedMessage{Message: *m, Signature: crypto.Signature{Type: crypto.SigTypeBLS}}))
	require.ErrorIs(t, err, types.ErrMessageVersion)
}

func TestCheckSyntax(t *testing.T) {
	require.NoError(t, someMessage(t).CheckSyntax(1000, types.NetworkVersion))
	zero, err := address.NewFromString("f3" + "y" + strings.Repeat("a", 75) + "by2smx7a")
	require.NoError(t, err)
	delegated, err := address.NewDelegatedAddress(10, []byte("x"))
	require.NoError(t, err)
	for name, change := range map[string]func(*types.Message){
		"version":             func(m *types.Message) { m.Version = 1 },
		"no recipient":        func(m *types.Message) { m.To = address.Undef },
		"zero BLS recipient":  func(m *types.Message) { m.To = zero },
		"delegated recipient": func(m *types.Message) { m.To = delegated },
		"no sender":           func(m *types.Message) { m.From = address.Undef },
		"delegated sender":    func(m *types.Message) { m.From = delegated },
		"no value":            func(m *types.Message) { m.Value = big.Int{} },
		"negative value":      func(m *types.Message) { m.Value = big.NewInt(-1) },
		"more than all":       func(m *types.Message) { m.Value = big.Add(types.TotalFilecoin, big.NewInt(1)) },
		"no fee cap":          func(m *types.Message) { m.GasFeeCap = big.Int{} },
		"negative fee cap":    func(m *types.Message) { m.GasFeeCap, m.GasPremium = big.NewInt(-1), big.NewInt(-2) },
		"no premium":          func(m *types.Message) { m.GasPremium = big.Int{} },
		"negative premium":    func(m *types.Message) { m.GasPremium = big.NewInt(-1) },
		"premium above cap":   func(m *types.Message) { m.GasPremium = big.NewInt(201) },
		"no gas":              func(m *types.Message) { m.GasLimit = 0 },
		"more than a block":   func(m *types.Message) { m.GasLimit = types.BlockGasLimit + 1 },
		"less than minimum":   func(m *types.Message) { m.GasLimit = 999 },
	} {
		t.Run(name, func(t *testing.T) {
			m := someMessage(t)
			change(m)
			require.Error(t, m.CheckSyntax(1000, types.NetworkVersion))
		})
	}
	m := someMessage(t)
	m.To, m.From, m.Value = delegated, delegated, types.TotalFilecoin
	require.NoError(t, m.CheckSyntax(0, network.Version18))
}

func TestEqualCall(t *testing.T) {
	a, b := someMessage(t), someMessage(t)
	b.GasLimit, b.GasFeeCap, b.GasPremium = 1, big.NewInt(1), big.NewInt(1)
	require.True(t, a.EqualCall(b))
	require.Equal(t, int64(1), b.GasLimit, "arguments stay as they were")
	for name, change := range map[string]func(*types.Message){
		"to":     func(m *types.Message) { m.To = m.From },
		"from":   func(m *types.Message) { m.From = m.To },
		"nonce":  func(m *types.Message) { m.Nonce++ },
		"value":  func(m *types.Message) { m.Value = big.NewInt(6) },
		"method": func(m *types.Message) { m.Method++ },
		"params": func(m *types.Message) { m.Params = []byte{1} },
	} {
		t.Run(name, func(t *testing.T) {
			b := someMessage(t)
			change(b)
			require.False(t, a.EqualCall(b))
		})
	}
}

func TestMessageIdentity(t *testing.T) {
	m := someMessage(t)
	bls := types.SignedMessage{Message: *m, Signature: crypto.Signature{Type: crypto.SigTypeBLS, Data: make([]byte, 96)}}
	secp := types.SignedMessage{Message: *m, Signature: crypto.Signature{Type: crypto.SigTypeSecp256k1, Data: make([]byte, 65)}}
	require.Equal(t, m.Cid(), bls.Cid())
	require.Equal(t, m.ChainLength(), bls.ChainLength())
	require.NotEqual(t, m.Cid(), secp.Cid())
	require.Equal(t, len(bytesOf(t, &secp)), secp.ChainLength())
	require.Equal(t, len(bytesOf(t, &bls)), bls.Size())
}

func TestMessageJSON(t *testing.T) {
	m := someMessage(t)
	b, err := json.Marshal(m)
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(b, &fields))
	require.Equal(t, map[string]any{"/": m.Cid().String()}, fields["CID"])
	require.Equal(t, "5", fields["Value"])
	var again types.Message
	require.NoError(t, json.Unmarshal(b, &again))
	require.Equal(t, m.Cid(), again.Cid())

	sm := types.SignedMessage{Message: *m, Signature: crypto.Signature{Type: crypto.SigTypeSecp256k1, Data: []byte{1}}}
	b, err = json.Marshal(sm)
	require.NoError(t, err)
	require.Contains(t, string(b), sm.Cid().String())
	var smAgain types.SignedMessage
	require.NoError(t, json.Unmarshal(b, &smAgain))
	require.Equal(t, sm.Cid(), smAgain.Cid())

	require.NoError(t, json.Unmarshal([]byte(`{}`), &smAgain))
	require.Zero(t, smAgain.Message.RequiredFunds().Sign())
	require.NotNil(t, smAgain.Message.Value.Int)
	again = types.Message{}
	require.NoError(t, json.Unmarshal([]byte(`{"To":"f01000","From":"f01001"}`), &again))
	require.Zero(t, again.RequiredFunds().Sign(), "what is missing counts as zero")
	require.Error(t, again.CheckSyntax(0, types.NetworkVersion))
}

func TestAddressRules(t *testing.T) {
	t.Run("binary", func(t *testing.T) {
		for name, in := range map[string]string{
			"one byte":                 "00",
			"ID not minimal":           "008000",
			"ID of 2^63":               "0080808080808080808001",
			"ID with more":             "000101",
			"secp256k1 too short":      "01" + strings.Repeat("00", 19),
			"actor too long":           "02" + strings.Repeat("00", 21),
			"BLS too short":            "03" + strings.Repeat("00", 47),
			"delegated too long":       "040a" + strings.Repeat("00", 55),
			"delegated without number": "0480",
			"unknown protocol":         "0500",
		} {
			b, err := hex.DecodeString(in)
			require.NoError(t, err)
			_, err = address.NewFromBytes(b)
			require.Error(t, err, name)
		}
	})
	t.Run("text", func(t *testing.T) {
		good := "f1pyfq7dg6sq65acyomqvzvbgwni4zllglqffw5dy"
		a, err := address.NewFromString(good)
		require.NoError(t, err)
		b, err := address.NewFromString("t" + good[1:])
		require.NoError(t, err)
		require.Equal(t, a, b, "both network letters are read")
		for name, in := range map[string]string{
			"other letter":  "x" + good[1:],
			"checksum":      good[:len(good)-1] + "z",
			"upper case":    "f1" + strings.ToUpper(good[2:]),
			"ID of 20 more": "f010000000000000000000",
			"ID of 2^63":    "f09223372036854775808",
			"protocol":      "f5" + good[2:],
			"too long":      "f4" + strings.Repeat("1", 120),
		} {
			_, err := address.NewFromString(in)
			require.Error(t, err, name)
		}
	})
	t.Run("an object without an address has no encoding, and none decodes", func(t *testing.T) {
		m := someMessage(t)
		raw := bytesOf(t, m)
		to := m.To.Bytes()
		at := strings.Index(string(raw), string(to))
		without := append(append(slices.Clone(raw[:at-1]), 0x40), raw[at+len(to):]...)
		_, err := types.DecodeMessage(without)
		require.Error(t, err)
		m.To = address.Undef
		_, err = m.Serialize()
		require.Error(t, err)
	})
}

func TestNetworkFile(t *testing.T) {
	n := types.Devnet()
	require.NoError(t, n.Check())
	b, err := n.Encode()
	require.NoError(t, err)
	again, err := types.ParseNetwork(b)
	require.NoError(t, err)
	require.Equal(t, n.Policy, again.Policy)
	_, err = types.ParseNetwork(append(b, "\nextra = 1\n"...))
	require.Error(t, err)
	for name, change := range map[string]func(*types.Network){
		"no name":            func(n *types.Network) { n.Name = "" },
		"name of a path":     func(n *types.Network) { n.Name = "../x" },
		"long name":          func(n *types.Network) { n.Name = strings.Repeat("x", 65) },
		"prefix":             func(n *types.Network) { n.AddressPrefix = "x" },
		"epoch":              func(n *types.Network) { n.EpochSeconds = 0 },
		"epoch overflow":     func(n *types.Network) { n.EpochSeconds = 1 << 63 },
		"delays":             func(n *types.Network) { n.PropagationMillis = 4000 },
		"delays overflow":    func(n *types.Network) { n.PropagationMillis, n.EquivocationMillis = 1<<63, 1<<63 },
		"genesis time":       func(n *types.Network) { n.GenesisTime = 1 << 62 },
		"proofs":             func(n *types.Network) { n.Proofs = "" },
		"beacon":             func(n *types.Network) { n.Beacon = "moon" },
		"window":             func(n *types.Network) { n.Policy.ChallengeWindow, n.Policy.ProvingPeriod = 20, 48*20 },
		"period":             func(n *types.Network) { n.Policy.ProvingPeriod++ },
		"dispute":            func(n *types.Network) { n.Policy.DisputeWindow = 900 },
		"overflowing window": func(n *types.Network) { n.Policy.ChallengeWindow, n.Policy.ProvingPeriod = 1<<62, 0 },
		"delay":              func(n *types.Network) { n.Policy.PreCommitChallengeDelay = 0 },
		"sector":             func(n *types.Network) { n.Policy.SectorSize = 1 },
		"circulating":        func(n *types.Network) { n.CirculatingAtGenesis = "-1" },
		"circulating long":   func(n *types.Network) { n.CirculatingAtGenesis = strings.Repeat("9", 1<<20) },
		"genesis":            func(n *types.Network) { n.Genesis = "x" },
		"key without name":   func(n *types.Network) { n.Keys.Verifying = map[string]types.KeyBytes{"": {1}} },
		"key without bytes":  func(n *types.Network) { n.Keys.Verifying = map[string]types.KeyBytes{"a": nil} },
		"key name":           func(n *types.Network) { n.Keys.Verifying = map[string]types.KeyBytes{strings.Repeat("a", 129): {1}} },
		"long seed":          func(n *types.Network) { n.Keys.InsecureSeed = strings.Repeat("a", 257) },
	} {
		t.Run(name, func(t *testing.T) {
			n := types.Devnet()
			change(&n)
			require.Error(t, n.Check())
		})
	}
}

func TestNetworkKeys(t *testing.T) {
	n := types.Devnet()
	n.Proofs = types.ProofsGroth16
	n.Keys = types.Keys{InsecureSeed: "everybody knows", Verifying: map[string]types.KeyBytes{"b-1": {1, 2, 3}, "a": bytes.Repeat([]byte{0xff}, 9000)}}
	b, err := n.Encode()
	require.NoError(t, err)
	again, err := types.ParseNetwork(b)
	require.NoError(t, err)
	require.Equal(t, n.Keys, again.Keys)
	for _, bad := range []string{"b-1 = \"AQI\"", "b-1 = \"A\\u0000\"", "b-1 = 1", "b-1 = \"\""} {
		_, err := types.ParseNetwork(bytes.Replace(b, []byte("b-1 = \"AQID\""), []byte(bad), 1))
		require.Error(t, err, bad)
	}
}

func TestMemBlocks(t *testing.T) {
	var s types.MemBlocks
	blk, err := someMessage(t).ToStorageBlock()
	require.NoError(t, err)
	_, err = s.Get(t.Context(), blk.Cid())
	require.True(t, ipld.IsNotFound(err))
	require.NoError(t, s.Put(t.Context(), blk))
	has, err := s.Has(t.Context(), blk.Cid())
	require.NoError(t, err)
	require.True(t, has)
	require.Equal(t, 1, s.Len())
}
