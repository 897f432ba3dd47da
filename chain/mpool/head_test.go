package mpool

import (
	"context"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/big"
	"github.com/lodenet/lode/chain/types"
	"github.com/stretchr/testify/require"
)

func TestAppliedLeaveAndRevertedReturn(t *testing.T) {
	r := newRig(t, 3, Options{})
	bls, secp := r.chain.Transfer(0, 1, 0), r.chain.Transfer(1, 0, 0)
	later := r.chain.Transfer(0, 1, 1)
	for _, m := range []*types.SignedMessage{bls, secp, later} {
		require.NoError(t, r.add(m))
	}
	base := r.chain.Head()
	r.chain.Mine([]*types.SignedMessage{bls, secp})
	r.follow()
	require.Equal(t, []*types.SignedMessage{later}, r.pool.Pending())
	require.ErrorIs(t, r.add(bls), ErrNonceTooLow)

	r.chain.Go(r.chain.On(base, 1))
	r.follow()
	require.Len(t, r.pool.Pending(), 3)
	for _, m := range []*types.SignedMessage{bls, secp, later} {
		got, ok := r.pool.Message(m.Cid())
		require.True(t, ok)
		require.Equal(t, m.Signature, got.Signature, "with its signature, also when it is in an aggregate")
	}
}

func TestOtherMessageWithTheNonceIsApplied(t *testing.T) {
	r := newRig(t, 3, Options{})
	ours := r.chain.Transfer(0, 1, 0)
	theirs := r.chain.Transfer(0, 2, 0)
	require.NoError(t, r.push(ours))
	base := r.chain.Head()
	r.chain.Mine([]*types.SignedMessage{theirs})
	r.follow()
	require.Empty(t, r.pool.Pending())

	r.chain.Go(r.chain.On(base, 1))
	r.follow()
	got := r.pool.Pending()
	require.Len(t, got, 1, "one of them is back")
	require.Equal(t, ours.Cid(), got[0].Cid(), "our own, which is stored")
}

func TestAMessageMovesBetweenBranches(t *testing.T) {
	r := newRig(t, 2, Options{})
	m := r.chain.Transfer(0, 1, 0)
	require.NoError(t, r.add(m))
	base := r.chain.Head()
	r.chain.Mine([]*types.SignedMessage{m})
	r.follow()
	r.chain.Go(r.chain.On(r.chain.On(base, 1), 0, []*types.SignedMessage{m}))
	r.follow()
	require.Empty(t, r.pool.Pending(), "it is on the new branch as well")
}

func TestOwnMessagesSurviveARestart(t *testing.T) {
	ctx := t.Context()
	r := newRig(t, 3, Options{})
	first, replaced, other := r.chain.Transfer(0, 1, 0), r.chain.Transfer(0, 1, 1), r.chain.Transfer(1, 0, 0)
	final := r.edit(0, 1, 1, withPremium(1000))
	for _, m := range []*types.SignedMessage{first, replaced, final} {
		require.NoError(t, r.push(m))
	}
	require.NoError(t, r.add(other))
	r.restart()
	n, err := r.pool.NextNonce(ctx, r.chain.Accounts[0].Key)
	require.NoError(t, err)
	require.Equal(t, uint64(2), n, "known before Run")
	require.Equal(t, []*types.SignedMessage{first, final}, r.pool.Pending(), "those of others are not kept")
	require.True(t, r.pool.Local(r.chain.Accounts[0].Key))

	base := r.chain.Head()
	r.chain.Mine([]*types.SignedMessage{first})
	r.follow()
	r.restart()
	r.follow()
	require.Equal(t, []*types.SignedMessage{final}, r.pool.Pending())

	t.Run("reverted while the pool was down", func(t *testing.T) {
		r.chain.Go(r.chain.On(base, 1))
		r.restart()
		r.follow()
		require.Equal(t, []*types.SignedMessage{first, final}, r.pool.Pending())
	})
	t.Run("removed for good", func(t *testing.T) {
		require.NoError(t, r.pool.Remove(ctx, final.Cid()))
		r.restart()
		r.follow()
		require.Equal(t, []*types.SignedMessage{first}, r.pool.Pending())
		require.NoError(t, r.pool.Clear(ctx, false))
		require.Equal(t, 1, r.pool.Len(), "our own stay")
		require.NoError(t, r.pool.Clear(ctx, true))
		require.Zero(t, r.pool.Len())
	})
	t.Run("rows end when they are final", func(t *testing.T) {
		m := r.chain.Transfer(0, 1, 0)
		require.NoError(t, r.push(m))
		r.chain.Mine([]*types.SignedMessage{m})
		r.follow()
		rows := func() (n int) {
			require.NoError(t, r.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM mpool_own`).Scan(&n))
			return n
		}
		require.Equal(t, 1, rows())
		r.chain.Go(r.chain.On(r.chain.Head(), int(finality)))
		r.follow()
		require.Zero(t, rows())
	})
}

func TestRunFollowsAndRepublishes(t *testing.T) {
	r := newRig(t, 3, Options{RepublishEvery: time.Minute})
	mine, low, others := r.chain.Transfer(0, 1, 0), r.edit(2, 1, 0, func(m *types.Message) {
		m.GasFeeCap, m.GasPremium = big.NewInt(100), big.NewInt(1)
	}), r.chain.Transfer(1, 0, 0)
	r.chain.Fee = big.NewInt(5000) // a tenth of it is above the low fee cap
	r.chain.Mine()
	require.NoError(t, r.push(mine))
	require.NoError(t, r.push(low))
	require.NoError(t, r.add(others))
	require.Equal(t, mine, <-r.published)
	require.Equal(t, low, <-r.published)

	sub := r.pool.Subscribe(10)
	defer sub.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.pool.Run(ctx) }()
	for _, wait := range []time.Duration{5 * time.Second, time.Minute} {
		<-r.clk.arrived
		r.clk.advance(wait)
		require.Equal(t, mine, <-r.published)
		<-r.clk.arrived // the pause after it
		require.Empty(t, r.published, "not those of others, and not what no block would take soon")
		r.clk.advance(republishPause)
	}

	r.chain.Mine([]*types.SignedMessage{mine})
	require.Equal(t, mine.Cid(), (<-sub.C).Message.Cid())
	require.Len(t, r.pool.Pending(), 2)
	cancel()
	require.NoError(t, <-done)
}

func TestPrune(t *testing.T) {
	r := newRig(t, 8, Options{SizeHigh: 10, SizeLow: 6, PruneCooldown: time.Minute})
	r.pool.opt.Priority = append(r.pool.opt.Priority, r.chain.Accounts[1].Key)
	own, prior := r.edit(0, 1, 0, withPremium(1)), r.edit(1, 2, 0, withPremium(1))
	require.NoError(t, r.push(own))
	require.NoError(t, r.add(prior))
	for i := 2; i < 6; i++ {
		for n := range uint64(2) {
			require.NoError(t, r.add(r.edit(i, 0, n, withPremium(int64(100*i)))))
		}
	}
	require.Equal(t, 10, r.pool.Len())
	require.NoError(t, r.add(r.edit(6, 0, 0, withPremium(1000))))
	require.Equal(t, 7, r.pool.Len(), "pruned down to 6, then one more")
	for _, m := range []*types.SignedMessage{own, prior} {
		_, ok := r.pool.Message(m.Cid())
		require.True(t, ok)
	}
	require.Empty(t, r.pool.Pending(r.chain.Accounts[2].Key), "the worst are gone")
	require.Len(t, r.pool.Pending(r.chain.Accounts[5].Key), 2, "the best are not")

	for n := range uint64(8) {
		require.NoError(t, r.add(r.edit(7, 0, n, withPremium(1))))
	}
	require.Equal(t, 15, r.pool.Len(), "no pruning again within the cooldown")
	require.ErrorIs(t, r.add(r.edit(7, 0, 8, withPremium(1))), ErrFull)
	require.NoError(t, r.push(r.chain.Transfer(0, 1, 1)), "our own always have room")
	r.clk.advance(time.Minute)
	require.NoError(t, r.add(r.edit(7, 0, 8, withPremium(1))))
	require.LessOrEqual(t, r.pool.Len(), 7)
}

// moving is a chain whose head moves, once, when the messages of a tipset are read.
type moving struct {
	Chain
	meanwhile func()
}

func (m *moving) TipSetMessages(ctx context.Context, ts *types.TipSet) ([]types.BlockMessages, error) {
	msgs, err := m.Chain.TipSetMessages(ctx, ts)
	if f := m.meanwhile; f != nil {
		m.meanwhile = nil
		f()
	}
	return msgs, err
}

// The head takes a sender's pending messages between the look at its nonce on chain and that at
// what is pending: the next nonce is after them, and none of theirs.
func TestNextNonceWhileTheHeadMoves(t *testing.T) {
	r := newRig(t, 2, Options{})
	msgs := []*types.SignedMessage{r.chain.Transfer(0, 1, 0), r.chain.Transfer(0, 1, 1)}
	for _, m := range msgs {
		require.NoError(t, r.push(m))
	}
	r.chain.Mine(nil)
	r.follow() // what the pool knew of the sender was of another head
	r.pool.chain = &moving{r.chain, func() {
		r.chain.Mine(msgs)
		r.follow()
	}}
	next, err := r.pool.NextNonce(t.Context(), r.chain.Accounts[0].Key)
	require.NoError(t, err)
	require.EqualValues(t, 2, next)
}
