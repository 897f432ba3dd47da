package consensus

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/ipfs/go-cid"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/blake2b"

	"github.com/lodenet/lode/chain/consensus"
	"github.com/lodenet/lode/chain/store"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/vm"
	"github.com/lodenet/lode/test/livechain"
)

// draw is spec chain.md d.10 written down a second time.
func draw(base []byte, tag int64, epoch abi.ChainEpoch, entropy []byte) []byte {
	d := blake2b.Sum256(base)
	b := binary.BigEndian.AppendUint64(nil, uint64(tag))
	b = append(b, d[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(epoch))
	out := blake2b.Sum256(append(b, entropy...))
	return out[:]
}

// nulls is a chain with blocks at 1, 2, 6 and 7.
func nulls(t *testing.T) (*livechain.Chain, map[abi.ChainEpoch]*types.TipSet) {
	c := livechain.New(t, 1)
	at := map[abi.ChainEpoch]*types.TipSet{0: c.Store.Genesis()}
	for _, h := range []abi.ChainEpoch{1, 2, 6, 7} {
		b := c.Block(t, c.Miners[0], c.Store.Head(), h)
		require.Equal(t, h, b.Header.Height, "the only miner wins this round")
		c.Add(t, b)
		at[h] = c.Store.Head()
	}
	return c, at
}

func TestRandomness(t *testing.T) {
	c, at := nulls(t)
	ctx := t.Context()
	head := at[7]
	entropy := []byte{1, 2, 3}
	beaconData := func(epoch abi.ChainEpoch) []byte {
		d := blake2b.Sum256(binary.BigEndian.AppendUint64(nil, uint64(epoch)+100))
		return d[:]
	}
	for epoch, ticketOf := range map[abi.ChainEpoch]abi.ChainEpoch{
		-3: 0, 0: 0, 1: 1, 2: 2, 3: 6, 5: 6, 6: 6, 7: 7,
	} {
		got, err := c.Engine.TicketRandomness(ctx, head, crypto.DomainSeparationTag_SealRandomness, epoch, entropy)
		require.NoError(t, err)
		require.Equal(t, draw(at[ticketOf].MinTicket().VRFProof, 5, epoch, entropy), got, "ticket at %d", epoch)

		want := beaconData(epoch)
		if epoch <= 0 {
			want = make([]byte, 32)
		}
		got, err = c.Engine.BeaconRandomness(ctx, head, crypto.DomainSeparationTag_WindowedPoStChallengeSeed, epoch, entropy)
		require.NoError(t, err)
		require.Equal(t, draw(want, 4, epoch, entropy), got, "beacon at %d", epoch)
	}
	for _, f := range []func(context.Context, *types.TipSet, crypto.DomainSeparationTag, abi.ChainEpoch, []byte) ([]byte, error){
		c.Engine.TicketRandomness, c.Engine.BeaconRandomness,
	} {
		_, err := f(ctx, at[6], 1, 7, nil)
		require.ErrorIs(t, err, consensus.ErrFutureDraw)
		old, err := f(ctx, at[6], 1, 2, nil)
		require.NoError(t, err)
		again, err := f(ctx, head, 1, 2, nil)
		require.NoError(t, err)
		require.Equal(t, old, again, "what is drawn from the past never changes")
	}
}

// counting counts how often the state of tipsets is noted.
type counting struct {
	*store.Store
	noted atomic.Int64
}

func (c *counting) SetStateOf(ctx context.Context, k types.TipSetKey, state, receipts cid.Cid) error {
	c.noted.Add(1)
	return c.Store.SetStateOf(ctx, k, state, receipts)
}

func (c *counting) StateOf(ctx context.Context, k types.TipSetKey) (cid.Cid, cid.Cid, bool, error) {
	if c.noted.Load() == 0 {
		return cid.Undef, cid.Undef, false, ctx.Err()
	}
	return c.Store.StateOf(ctx, k)
}

func TestStateIsComputedOnce(t *testing.T) {
	c := livechain.New(t, 1)
	c.Mine(t)
	ts := c.Mine(t, c.Transfer(t, 0, 1, 0))
	want, wantReceipts, err := c.Engine.State(t.Context(), ts)
	require.NoError(t, err)
	chain := &counting{Store: c.Store}
	e := c.NewEngine(chain)
	var wg sync.WaitGroup
	roots := make([]cid.Cid, 16)
	for i := range roots {
		wg.Go(func() {
			root, receipts, err := e.State(t.Context(), ts)
			if err == nil && receipts == wantReceipts {
				roots[i] = root
			}
		})
	}
	wg.Wait()
	for _, r := range roots {
		require.Equal(t, want, r)
	}
	require.Equal(t, int64(1), chain.noted.Load())
	_, _, err = c.NewEngine(chain).State(canceled(t), ts)
	require.ErrorIs(t, err, context.Canceled)
}

// stale is a chain whose first answer about a state is old when it arrives.
type stale struct {
	*counting
	asked   atomic.Int64
	arrives chan struct{}
}

func (s *stale) StateOf(ctx context.Context, k types.TipSetKey) (cid.Cid, cid.Cid, bool, error) {
	if s.asked.Add(1) == 1 {
		<-s.arrives
		return cid.Undef, cid.Undef, false, nil
	}
	return s.counting.StateOf(ctx, k)
}

// Who looked before another was done, and comes to execute after that, takes what is there.
func TestStateIsNotComputedAfterAStaleLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := livechain.New(t, 1)
		ts := c.Mine(t, c.Transfer(t, 0, 1, 0))
		chain := &stale{counting: &counting{Store: c.Store}, arrives: make(chan struct{})}
		e := c.NewEngine(chain)
		slow := make(chan cid.Cid, 1)
		go func() {
			root, _, err := e.State(t.Context(), ts)
			if err != nil {
				t.Error(err)
			}
			slow <- root
		}()
		synctest.Wait() // it looks
		root, _, err := e.State(t.Context(), ts)
		require.NoError(t, err)
		close(chain.arrives)
		require.Equal(t, root, <-slow)
		require.Equal(t, uint64(1), e.Executed())
	})
}

// One who gives up does not take the others down.
func TestStateOutlivesACancelledCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := livechain.New(t, 1)
		ts := c.Mine(t, c.Transfer(t, 0, 1, 0))
		gate := &gated{Store: c.Store, reached: make(chan struct{}, 8), open: make(chan struct{})}
		e := c.NewEngine(gate)
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { _, _, err := e.State(ctx, ts); first <- err }()
		<-gate.reached
		go func() { _, _, err := e.State(t.Context(), ts); second <- err }()
		synctest.Wait() // it waits for the first
		require.Empty(t, gate.reached)
		cancel()
		require.ErrorIs(t, <-first, context.Canceled)
		close(gate.open)
		require.NoError(t, <-second)
	})
}

type gated struct {
	*store.Store
	reached, open chan struct{}
}

func (g *gated) StateOf(context.Context, types.TipSetKey) (cid.Cid, cid.Cid, bool, error) {
	return cid.Undef, cid.Undef, false, nil
}

func (g *gated) TipSetMessages(ctx context.Context, ts *types.TipSet) ([]types.BlockMessages, error) {
	g.reached <- struct{}{}
	select {
	case <-g.open:
		return g.Store.TipSetMessages(ctx, ts)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestStateIsComputedAgainWhenItIsGone(t *testing.T) {
	c := livechain.New(t, 1)
	ts := c.Mine(t, c.Transfer(t, 0, 1, 0))
	root, _, err := c.Engine.State(t.Context(), ts)
	require.NoError(t, err)
	require.NoError(t, c.Store.DeleteBlock(t.Context(), root))
	again, _, err := c.Engine.State(t.Context(), ts)
	require.NoError(t, err)
	require.Equal(t, root, again)
	has, err := c.Store.Has(t.Context(), root)
	require.NoError(t, err)
	require.True(t, has)
}

func TestReplayTellsEachMessage(t *testing.T) {
	c := livechain.New(t, 1)
	msgs := []*types.SignedMessage{c.Transfer(t, 0, 1, 0), c.Transfer(t, 1, 2, 0)}
	ts := c.Mine(t, msgs...)
	var seen []cid.Cid
	root, receipts, err := c.Engine.Replay(t.Context(), ts, func(m types.ChainMsg, r *vm.Result) {
		require.Equal(t, int64(exitcode.Ok), r.Receipt.ExitCode, r.Err)
		seen = append(seen, m.Cid())
	})
	require.NoError(t, err)
	require.Equal(t, []cid.Cid{msgs[0].Cid(), msgs[1].Cid()}, seen)
	want, wantReceipts, err := c.Engine.State(t.Context(), ts)
	require.NoError(t, err)
	require.Equal(t, []cid.Cid{want, wantReceipts}, []cid.Cid{root, receipts})
	list, err := c.Store.Receipts(t.Context(), receipts)
	require.NoError(t, err)
	require.Len(t, list, 2)
}

func TestCalls(t *testing.T) {
	c := livechain.New(t, 1)
	ctx := t.Context()
	ts := c.Mine(t)
	before, _, err := c.Engine.State(ctx, ts)
	require.NoError(t, err)

	res, err := c.Engine.Call(ctx, ts, &types.Message{From: c.Accounts[0].Address, To: c.Accounts[1].Address, Value: types.FilecoinPrecision})
	require.NoError(t, err)
	require.Equal(t, int64(exitcode.Ok), res.Receipt.ExitCode, res.Err)
	res, err = c.Engine.Call(ctx, ts, &types.Message{From: c.Accounts[0].Address, To: c.Accounts[1].Address, Value: types.TotalFilecoin})
	require.NoError(t, err)
	require.NotEqual(t, int64(exitcode.Ok), res.Receipt.ExitCode)

	// The second message of a sender needs the first, as in a pool.
	first, second := c.Transfer(t, 0, 1, 0), c.Transfer(t, 0, 1, 1)
	res, err = c.Engine.CallAfter(ctx, ts, nil, second)
	require.NoError(t, err)
	require.Equal(t, int64(exitcode.SysErrSenderStateInvalid), res.Receipt.ExitCode)
	res, err = c.Engine.CallAfter(ctx, ts, []types.ChainMsg{first}, second)
	require.NoError(t, err)
	require.Equal(t, int64(exitcode.Ok), res.Receipt.ExitCode, res.Err)
	require.Positive(t, res.Receipt.GasUsed)

	after, _, err := c.Engine.State(ctx, ts)
	require.NoError(t, err)
	require.Equal(t, before, after, "calls leave nothing behind")
	v, err := c.Engine.View(ctx, ts)
	require.NoError(t, err)
	act, err := v.Actor(ctx, c.Accounts[0].Address)
	require.NoError(t, err)
	require.Zero(t, act.Nonce)
}

func TestBaseFeeFollowsMessages(t *testing.T) {
	c := livechain.New(t, 2, 2)
	ctx := t.Context()
	full := func(from int, nonce uint64, gas int64) *types.SignedMessage {
		m := c.Transfer(t, from, 1, nonce).Message
		m.GasLimit = gas
		return c.Accounts[from].Sign(t, m)
	}
	// Two blocks with one message in common: it counts once, the rest twice.
	const target = types.BlockGasTarget
	common, other := full(0, 0, target), full(2, 0, target)
	round := abi.ChainEpoch(1)
	for c.Template(t, c.Miners[0], c.Store.Head(), round) == nil || c.Template(t, c.Miners[1], c.Store.Head(), round) == nil {
		round++
	}
	base := c.Store.Head()
	a := c.Block(t, c.Miners[0], base, round, common)
	b := c.Block(t, c.Miners[1], base, round, common, other)
	c.Add(t, a)
	c.Add(t, b)
	head := c.Store.Head()
	require.Len(t, head.Blocks(), 2)
	fee, err := c.Engine.BaseFee(ctx, head)
	require.NoError(t, err)
	require.Equal(t, head.BaseFee(), fee, "2 targets over 2 blocks is on target")
	fee, err = c.Engine.BaseFee(ctx, c.Store.Genesis())
	require.NoError(t, err)
	require.Equal(t, big.NewInt(87_500_000), fee)
	c.Mine(t) // and the next block is valid on the two
}

func TestMiningBase(t *testing.T) {
	c := livechain.New(t, 2, 1)
	ctx := t.Context()
	ts := c.Mine(t)
	for i, sectors := range []int{2, 1} {
		m := c.Miners[i]
		b, err := c.Engine.MiningBase(ctx, ts, ts.Height()+3, m.Address)
		require.NoError(t, err)
		require.True(t, b.Eligible, b.Reason)
		require.Equal(t, m.Worker.Address, b.Worker)
		require.Len(t, b.Sectors, sectors)
		require.Equal(t, big.NewInt(int64(sectors)*2048), b.MinerPower)
		require.Equal(t, big.NewInt(3*2048), b.TotalPower)
		require.Equal(t, abi.RegisteredPoStProof_StackedDrgWinning2KiBV1, b.PoStProof)
		require.Len(t, b.Beacons, 3)
		require.Equal(t, *ts.Blocks()[0].LastBeacon(), b.PrevBeacon)
		require.Equal(t, b.Beacons[2], b.LastBeacon())
	}
	for name, a := range map[string]uint64{"no such actor": 4000, "an account": 100, "the power actor": 4} {
		id, err := address.NewIDAddress(a)
		require.NoError(t, err)
		b, err := c.Engine.MiningBase(ctx, ts, ts.Height()+1, id)
		require.NoError(t, err, name)
		require.False(t, b.Eligible, name)
		require.NotEmpty(t, b.Reason, name)
	}
	_, err := c.Engine.MiningBase(ctx, ts, ts.Height(), c.Miners[0].Address)
	require.Error(t, err)

	indebted := onState(t, c, ts, withFeeDebt(t, c, ts.ParentState(), c.Miners[0].Address))
	b, err := c.Engine.MiningBase(ctx, indebted, ts.Height()+1, c.Miners[0].Address)
	require.NoError(t, err)
	require.False(t, b.Eligible)
	b, err = c.Engine.MiningBase(ctx, indebted, ts.Height()+1, c.Miners[1].Address)
	require.NoError(t, err)
	require.True(t, b.Eligible, b.Reason)
}

// After more null rounds than the look-back is deep, a block can still be made. (Sectors that
// nobody proved meanwhile lose their power, so a network gets no second chance.)
func TestBlockAfterALongSilence(t *testing.T) {
	c := livechain.New(t, 2)
	c.Mine(t)
	head := c.Store.Head()
	b := c.Block(t, c.Miners[0], head, head.Height()+950)
	c.Add(t, b)
	require.Equal(t, b.Cid(), c.Store.Head().Cids()[0])
}

func TestNoPowerIsAnError(t *testing.T) {
	c := livechain.New(t, 1)
	ts := c.Mine(t)
	dead := onState(t, c, ts, withoutPower(t, c, ts.ParentState()))
	_, err := c.Engine.Weight(t.Context(), dead)
	require.ErrorIs(t, err, consensus.ErrNoPower)
	require.False(t, errors.Is(err, consensus.ErrInvalid))
}

func TestCirculatingSupply(t *testing.T) {
	c := livechain.New(t, 1)
	ts := c.Mine(t)
	got, err := c.Engine.CirculatingSupply(t.Context(), ts)
	require.NoError(t, err)
	root, _, err := c.Engine.State(t.Context(), ts)
	require.NoError(t, err)
	atGenesis, err := c.Network.Circulating()
	require.NoError(t, err)
	want, err := vm.CirculatingSupply(t.Context(), c.Store, root, atGenesis)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.True(t, got.GreaterThan(big.Zero()))
}
