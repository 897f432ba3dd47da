package vm

import (
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/chain/state/amt"
	"github.com/lodenet/lode/chain/types"
)

// bobSigned wraps a message as a secp256k1 sender's; the VM does not check signatures.
func bobSigned(m *types.Message) *types.SignedMessage {
	return &types.SignedMessage{Message: *m, Signature: crypto.Signature{Type: crypto.SigTypeSecp256k1, Data: make([]byte, 65)}}
}

// A hundred epochs, most of them null rounds, keep every invariant and every attoFIL.
func TestApplyTipSetHundredEpochs(t *testing.T) {
	n := newTestNet(t)
	n.tick() // epoch 0, which the genesis stands for
	first := n.miner()
	n.tick()
	n.commitSector(first, 1, n.epoch+miner.MinSectorExpiration+100_000)
	start := n.epoch
	for height := start + 2; height <= start+101; height += 3 {
		var applied []types.ChainMsg
		m := n.message(n.alice, n.bob, fil(1), builtin.MethodSend, nil)
		ts := TipSet{
			Parent: n.root, ParentHeight: height - 3, Height: height, BaseFee: baseFee,
			Blocks: []types.BlockMessages{{Miner: first, WinCount: 1, BlsMessages: []types.ChainMsg{m}}},
		}
		implicit := 0
		n.env.Implicit = func(*types.Message, *Result) { implicit++ }
		root, receipts, err := ApplyTipSet(t.Context(), n.env, ts, func(m types.ChainMsg, r *Result) {
			applied = append(applied, m)
			require.Equal(t, exitcode.Ok, r.Code(), r.Err)
		})
		require.NoError(t, err)
		require.Len(t, applied, 1)
		require.Equal(t, 4, implicit, "two null crons, a reward and a cron")
		list, err := amt.Receipts(t.Context(), n.bs, receipts, 10)
		require.NoError(t, err)
		require.Len(t, list, 1)
		n.root, n.epoch = root, height+1
	}
	n.checkInvariants()
}

// miner makes, once, a miner of alice's without sectors.
func (n *testNet) miner() address.Address {
	n.t.Helper()
	if n.minerAddr == address.Undef {
		n.minerAddr = n.createMiner(n.alice)
	}
	return n.minerAddr
}

func TestApplyTipSetFollowsItsRules(t *testing.T) {
	n := newTestNet(t)
	n.tick()
	second := n.createMiner(n.bob)
	first := n.miner()
	n.tick()
	for i, m := range []address.Address{first, second} { // rewards belong to miners with sectors
		n.commitSector(m, abi.SectorNumber(i), n.epoch+miner.MinSectorExpiration+100_000)
	}
	a0 := n.message(n.alice, n.bob, big.NewInt(10), builtin.MethodSend, nil)
	a1 := n.message(n.alice, n.bob, big.NewInt(20), builtin.MethodSend, nil)
	aID := *a1 // the same nonce again, from the ID form of the sender
	aID.From = id(100)
	b0 := n.message(n.bob, n.alice, big.NewInt(30), builtin.MethodSend, nil)
	gap := n.message(n.bob, n.alice, big.NewInt(40), builtin.MethodSend, nil)
	gap.Nonce += 5
	ts := TipSet{
		Parent: n.root, ParentHeight: n.epoch - 1, Height: n.epoch, BaseFee: baseFee,
		Blocks: []types.BlockMessages{
			{Miner: first, WinCount: 1, BlsMessages: []types.ChainMsg{a0, a1}, SecpkMessages: []types.ChainMsg{bobSigned(b0)}},
			{Miner: second, WinCount: 2, BlsMessages: []types.ChainMsg{a0, a1, &aID}, SecpkMessages: []types.ChainMsg{bobSigned(b0), bobSigned(gap)}},
		},
	}
	var got []uint64
	tips := big.Zero()
	root, _, err := ApplyTipSet(t.Context(), n.env, ts, func(m types.ChainMsg, r *Result) {
		require.Equal(t, exitcode.Ok, r.Code(), r.Err)
		got = append(got, m.VMMessage().Value.Uint64())
		tips = big.Add(tips, r.MinerTip)
	})
	require.NoError(t, err)
	require.Equal(t, []uint64{10, 20, 30}, got)
	require.True(t, tips.Sign() > 0)

	again, _, err := ApplyTipSet(t.Context(), n.env, ts, nil)
	require.NoError(t, err)
	require.Equal(t, root, again, "the same input gives the same state")

	n.root, n.epoch = root, n.epoch+1
	n.checkInvariants()

	ts.Blocks[1].Miner = first
	_, _, err = ApplyTipSet(t.Context(), n.env, ts, nil)
	require.ErrorIs(t, err, ErrDuplicateMiner)
	ts.ParentHeight = ts.Height
	_, _, err = ApplyTipSet(t.Context(), n.env, ts, nil)
	require.Error(t, err)
}

// A fee was raised: one block has the old form of a message, another the new one. The old
// one counts, it alone has a receipt, and what follows in the second block goes on from it.
func TestRaisedFeeInAnotherBlockIsSkipped(t *testing.T) {
	n := newTestNet(t)
	n.tick()
	second := n.createMiner(n.bob)
	first := n.miner()
	n.tick()
	for i, m := range []address.Address{first, second} {
		n.commitSector(m, abi.SectorNumber(i), n.epoch+miner.MinSectorExpiration+100_000)
	}
	old := n.message(n.alice, n.bob, big.NewInt(10), builtin.MethodSend, nil)
	raised := *old
	raised.GasPremium = big.Add(raised.GasPremium, big.NewInt(1))
	require.NotEqual(t, old.Cid(), raised.Cid())
	next := n.message(n.alice, n.bob, big.NewInt(20), builtin.MethodSend, nil)
	ts := TipSet{
		Parent: n.root, ParentHeight: n.epoch - 1, Height: n.epoch, BaseFee: baseFee,
		Blocks: []types.BlockMessages{
			{Miner: first, WinCount: 1, BlsMessages: []types.ChainMsg{old}},
			{Miner: second, WinCount: 1, BlsMessages: []types.ChainMsg{&raised, next}},
		},
	}
	var applied []string
	root, receipts, err := ApplyTipSet(t.Context(), n.env, ts, func(m types.ChainMsg, r *Result) {
		require.Equal(t, exitcode.Ok, r.Code(), r.Err)
		applied = append(applied, m.Cid().String())
	})
	require.NoError(t, err)
	require.Equal(t, []string{old.Cid().String(), next.Cid().String()}, applied)
	list, err := amt.Receipts(t.Context(), n.bs, receipts, 10)
	require.NoError(t, err)
	require.Len(t, list, 2, "three distinct messages, two receipts")
	n.root, n.epoch = root, n.epoch+1
	n.checkInvariants()
}

func BenchmarkApplyEmptyTipSet(b *testing.B) {
	n := newTestNet(b)
	n.tick()
	first := n.miner()
	n.tick()
	n.commitSector(first, 1, n.epoch+miner.MinSectorExpiration+100_000)
	ts := TipSet{
		Parent: n.root, ParentHeight: n.epoch - 1, Height: n.epoch, BaseFee: baseFee,
		Blocks: []types.BlockMessages{{Miner: first, WinCount: 1}},
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := ApplyTipSet(b.Context(), n.env, ts, nil); err != nil {
			b.Fatal(err)
		}
	}
}
