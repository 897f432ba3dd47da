package vm

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"
	runtime8 "github.com/filecoin-project/specs-actors/v8/actors/runtime"
	"github.com/ipfs/go-cid"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/types/sigs"
)

// signedHeader makes a signed header of a miner; salt tells two of a kind apart.
func signedHeader(t *testing.T, m address.Address, key []byte, height abi.ChainEpoch, salt uint64, parents ...cid.Cid) *types.BlockHeader {
	h := &types.BlockHeader{
		Miner: m, Ticket: &types.Ticket{VRFProof: []byte{1}}, ElectionProof: &types.ElectionProof{WinCount: 1, VRFProof: []byte{2}},
		Parents: parents, ParentWeight: big.Zero(), Height: height, ParentStateRoot: types.EmptyArrayCid,
		ParentMessageReceipts: types.EmptyArrayCid, Messages: types.EmptyArrayCid, Timestamp: salt, ParentBaseFee: big.Zero(),
	}
	msg, err := h.SigningBytes()
	require.NoError(t, err)
	h.BlockSig, err = sigs.Sign(crypto.SigTypeBLS, key, msg)
	require.NoError(t, err)
	return h
}

func encoded(t *testing.T, h *types.BlockHeader) []byte {
	if h == nil {
		return nil
	}
	b, err := h.Serialize()
	require.NoError(t, err)
	return b
}

func someCid(b byte) cid.Cid {
	c, err := types.CidBuilder.Sum([]byte{b})
	if err != nil {
		panic(err)
	}
	return c
}

func TestFaultKinds(t *testing.T) {
	m, other := id(1000), id(1001)
	key := sigs.KeyFromSeed([]byte("k"))
	p, q := someCid(1), someCid(2)
	at := func(height abi.ChainEpoch, salt uint64, parents ...cid.Cid) *types.BlockHeader {
		return signedHeader(t, m, key, height, salt, parents...)
	}
	a := at(10, 1, p)
	sibling := signedHeader(t, other, key, 10, 3, p)
	for _, c := range []struct {
		name    string
		a, b, c *types.BlockHeader
		want    runtime8.ConsensusFaultType
	}{
		{"double fork", a, at(10, 2, q), nil, runtime8.ConsensusFaultDoubleForkMining},
		{"double fork, same parents", a, at(10, 2, p), nil, runtime8.ConsensusFaultDoubleForkMining},
		{"time offset", a, at(11, 1, p), nil, runtime8.ConsensusFaultTimeOffsetMining},
		{"time offset, parents in another order", at(10, 1, p, q), at(12, 1, q, p), nil, runtime8.ConsensusFaultTimeOffsetMining},
		{"parent grinding", a, at(11, 1, sibling.Cid()), sibling, runtime8.ConsensusFaultParentGrinding},
		{"grinding without the sibling", a, at(11, 1, sibling.Cid()), nil, 0},
		{"grinding, but both are parents", a, at(11, 1, sibling.Cid(), a.Cid()), sibling, 0},
		{"honest child", a, at(11, 1, a.Cid()), nil, 0},
		{"same header", a, a, nil, 0},
		{"lower second", at(11, 1, p), a, nil, 0},
		{"two miners", a, sibling, nil, 0},
		{"parents doubled", at(10, 1, p, p), at(11, 1, p, q), nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := faultOf(c.a, c.b, c.c)
			require.Equal(t, c.want, got)
			require.Equal(t, c.want == 0, err != nil)
		})
	}
}

// lookbackTo answers one state for all heights and notes them.
func lookbackTo(root cid.Cid, asked *[]abi.ChainEpoch) func(context.Context, abi.ChainEpoch) (cid.Cid, error) {
	return func(_ context.Context, h abi.ChainEpoch) (cid.Cid, error) {
		*asked = append(*asked, h)
		return root, nil
	}
}

func TestReportConsensusFault(t *testing.T) {
	n := newTestNet(t)
	n.tick()
	before := n.root
	m := n.miner()
	n.skipTo(2000)
	n.tick()
	at := n.epoch - 5
	a := signedHeader(t, m, n.aliceKey, at, 1, someCid(1))
	b := signedHeader(t, m, n.aliceKey, at, 2, someCid(1))
	forged := signedHeader(t, m, n.bobKey, at, 2, someCid(1))
	old := n.epoch - miner.ChainFinality - 1
	root := n.root
	var asked []abi.ChainEpoch
	look := lookbackTo(root, &asked)
	report := func(h1, h2 *types.BlockHeader) *types.Message {
		n.nonces[n.bob] = 0
		return n.message(n.bob, m, big.Zero(), builtin.MethodsMiner.ReportConsensusFault, &miner.ReportConsensusFaultParams{
			BlockHeader1: encoded(t, h1), BlockHeader2: encoded(t, h2),
		})
	}
	apply := func(msg *types.Message) (*Result, error) { return n.vm().Apply(t.Context(), msg) }

	for _, c := range []struct {
		name   string
		h1, h2 *types.BlockHeader
		look   func(context.Context, abi.ChainEpoch) (cid.Cid, error)
		want   exitcode.ExitCode
	}{
		{"proven", a, b, look, exitcode.Ok},
		{"forged signature", a, forged, look, exitcode.ErrIllegalArgument},
		{"too old", signedHeader(t, m, n.aliceKey, old, 1), signedHeader(t, m, n.aliceKey, old, 2), look, exitcode.ErrIllegalArgument},
		{"far ahead", signedHeader(t, m, n.aliceKey, n.epoch+lookback, 1), signedHeader(t, m, n.aliceKey, n.epoch+lookback, 2), look, exitcode.ErrIllegalArgument},
		{"end of time", signedHeader(t, m, n.aliceKey, math.MaxInt64, 1), signedHeader(t, m, n.aliceKey, math.MaxInt64, 2), look, exitcode.ErrIllegalArgument},
		{"start of time", signedHeader(t, m, n.aliceKey, math.MinInt64, 1), signedHeader(t, m, n.aliceKey, math.MinInt64, 2), look, exitcode.ErrIllegalArgument},
		{"no rule for the height", a, b, func(context.Context, abi.ChainEpoch) (cid.Cid, error) { return cid.Undef, ErrNoLookback }, exitcode.ErrIllegalArgument},
		{"no look-back", a, b, nil, exitcode.ErrIllegalArgument},
		{"nonsense", nil, b, look, exitcode.ErrIllegalArgument},
		{"miner unknown then", a, b, func(context.Context, abi.ChainEpoch) (cid.Cid, error) { return before, nil }, exitcode.ErrIllegalArgument},
	} {
		t.Run(c.name, func(t *testing.T) {
			n.env.Lookback = c.look
			r, err := apply(report(c.h1, c.h2))
			require.NoError(t, err)
			require.Equal(t, c.want, r.Code(), r.Err)
		})
	}
	for _, h := range asked {
		require.Equal(t, at, h)
	}
	require.NotEmpty(t, asked)

	broken := errors.New("disk is broken")
	n.env.Lookback = func(context.Context, abi.ChainEpoch) (cid.Cid, error) { return cid.Undef, broken }
	_, err := apply(report(a, b))
	require.ErrorIs(t, err, broken, "a node that cannot know must not guess")
	n.env.Lookback = func(context.Context, abi.ChainEpoch) (cid.Cid, error) { return someCid(77), nil }
	_, err = apply(report(a, b))
	require.Error(t, err, "state that this node does not have")

	n.env.Lookback = look
	n.nonces[n.bob] = 0
	r := n.send(n.bob, m, big.Zero(), builtin.MethodsMiner.ReportConsensusFault, &miner.ReportConsensusFaultParams{
		BlockHeader1: encoded(t, a), BlockHeader2: encoded(t, b),
	})
	require.Equal(t, exitcode.Ok, r.Code(), r.Err)
	info, err := n.view().MinerInfo(t.Context(), m)
	require.NoError(t, err)
	require.Equal(t, n.epoch+miner.ConsensusFaultIneligibilityDuration, info.ConsensusFaultElapsed)
}
