package outbox

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/lodenet/lode/chain/mpool"
	"github.com/lodenet/lode/chain/types"
	"github.com/stretchr/testify/require"
)

// bubble runs a test in virtual time.
func bubble(f func(t *testing.T)) func(t *testing.T) {
	return func(t *testing.T) { synctest.Test(t, f) }
}

func send(t *testing.T, p *process, in Intent) ID {
	t.Helper()
	id, err := p.Send(t.Context(), in)
	require.NoError(t, err)
	return id
}

func status(t *testing.T, p *process, id ID) *Status {
	t.Helper()
	s, err := p.Status(t.Context(), id)
	require.NoError(t, err)
	return s
}

func TestSendAndWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		p := w.start(nil).run()
		a, b := send(t, p, w.intent(0, 5)), send(t, p, w.intent(0, 6))
		sa, sb := status(t, p, a), status(t, p, b)
		require.Equal(t, StageSent, sa.Stage)
		require.Equal(t, w.chain.Accounts[0].Key, sa.From)
		require.Equal(t, []uint64{0, 1}, []uint64{sa.Nonce, sb.Nonce})
		require.Len(t, sa.Signed, 1)
		require.Equal(t, w.heard, []*types.SignedMessage{sa.Signed[0], sb.Signed[0]}, "published as stored")

		in := w.mine()
		p.settle()
		require.Equal(t, StageSent, status(t, p, a).Stage, "no receipt before the next tipset")
		child := w.mine()
		res, err := p.Wait(t.Context(), a, 1)
		require.NoError(t, err)
		require.Equal(t, sa.Signed[0].Cid(), res.Message)
		require.Equal(t, in.Key(), res.Included)
		require.Equal(t, in.Height(), res.IncludedHeight)
		require.Equal(t, child.Key(), res.TipSet)
		require.Equal(t, sa.Signed[0].Message.GasLimit, res.Receipt.GasUsed)
		require.Equal(t, res, status(t, p, a).Result)

		got := make(chan error, 1)
		go func() {
			_, err := p.Wait(t.Context(), b, 3)
			got <- err
		}()
		w.mine()
		p.settle()
		select {
		case <-got:
			t.Fatal("two epochs are not three")
		default:
		}
		w.mine()
		require.NoError(t, <-got)
	})
}

func TestKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		p := w.start(nil)
		id := send(t, p, w.intent(0, 5))
		require.Equal(t, id, send(t, p, w.intent(0, 5)), "the same key is the same send")
		dearer := w.intent(0, 5)
		dearer.MaxFee = fil(1)
		require.Equal(t, id, send(t, p, dearer), "what it may cost does not make it another")
		require.Len(t, w.heard, 1)
		for name, change := range map[string]func(*Intent){
			"value":  func(in *Intent) { in.Value = big.NewInt(6) },
			"to":     func(in *Intent) { in.To = in.From },
			"from":   func(in *Intent) { in.From = in.To },
			"method": func(in *Intent) { in.Method = 1 },
			"params": func(in *Intent) { in.Params = []byte{1} },
		} {
			in := w.intent(0, 5)
			change(&in)
			_, err := p.Send(t.Context(), in)
			require.ErrorIs(t, err, ErrKeyReused, name)
		}
		got, err := p.ByKey(t.Context(), "pay 5")
		require.NoError(t, err)
		require.Equal(t, id, got)
		for _, key := range []string{"pay 6", ""} {
			_, err = p.ByKey(t.Context(), key)
			require.ErrorIs(t, err, ErrUnknown)
		}
		_, err = p.Status(t.Context(), 99)
		require.ErrorIs(t, err, ErrUnknown)
		_, err = p.Wait(t.Context(), 99, 0)
		require.ErrorIs(t, err, ErrUnknown)

		none := w.intent(0, 5)
		none.Key = ""
		require.NotEqual(t, send(t, p, none), send(t, p, none), "without a key each is its own")
		all, err := p.Active(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 3)
	})
}

func fil(n int64) abi.TokenAmount { return big.Mul(big.NewInt(n), types.FilecoinPrecision) }

// When Send fails, nothing is left behind: not a row, not a nonce, not a message.
func TestFailedSendLeavesNothing(t *testing.T) {
	stranger, err := address.NewIDAddress(4711)
	require.NoError(t, err)
	var call *mpool.CallError
	for name, c := range map[string]struct {
		change func(*Intent)
		check  func(error)
	}{
		"it would fail":  {func(in *Intent) { in.Value = big.NewInt(13) }, func(err error) { require.ErrorAs(t, err, &call) }},
		"no gas money":   {func(in *Intent) { in.GasLimit, in.GasFeeCap, in.MaxFee = 1_000_000, fil(1), fil(1_000_000) }, func(err error) { require.ErrorIs(t, err, mpool.ErrFunds) }},
		"no such sender": {func(in *Intent) { in.From = stranger }, nil},
		"bad message": {func(in *Intent) {
			in.GasLimit, in.GasFeeCap, in.MaxFee = types.BlockGasLimit+1, big.NewInt(100), fil(10)
		}, func(err error) { require.ErrorIs(t, err, mpool.ErrInvalid) }},
		"no recipient": {func(in *Intent) { in.To = address.Undef }, nil},
		"negative":     {func(in *Intent) { in.Value = big.NewInt(-1) }, nil},
		"params":       {func(in *Intent) { in.Params = make([]byte, 3<<20) }, nil},
	} {
		t.Run(name, bubble(func(t *testing.T) {
			w := newWorld(t, 3)
			p := w.start(nil)
			p.estimate = func(m *types.Message) exitcode.ExitCode {
				if m.Value.Equals(big.NewInt(13)) {
					return exitcode.ErrForbidden
				}
				return exitcode.Ok
			}
			in := w.intent(0, 5)
			c.change(&in)
			_, err := p.Send(t.Context(), in)
			require.Error(t, err)
			require.NotErrorIs(t, err, ErrUncertain)
			if c.check != nil {
				c.check(err)
			}
			all, err := p.Active(t.Context())
			require.NoError(t, err)
			require.Empty(t, all)
			require.Empty(t, w.heard)
			require.Empty(t, p.pool.Pending())
			s := status(t, p, send(t, p, w.intent(0, 5)))
			require.Zero(t, s.Nonce, "the key and the nonce are free")
		}))
	}
}

func TestInterruptedSendGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		p := w.start(nil)
		ctx, cancel := context.WithCancel(t.Context())
		p.wallet.before = func(ctx context.Context) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}
		_, err := p.Send(ctx, w.intent(0, 5))
		require.ErrorIs(t, err, ErrUncertain)
		require.ErrorIs(t, err, context.Canceled)
		p.wallet.before = nil
		_, err = p.Send(ctx, w.intent(0, 6))
		require.ErrorIs(t, err, context.Canceled)
		p.run()
		p.settle()
		id, err := p.ByKey(t.Context(), "pay 5")
		require.NoError(t, err)
		require.Equal(t, StageSent, status(t, p, id).Stage)
		_, err = p.ByKey(t.Context(), "pay 6")
		require.ErrorIs(t, err, ErrUnknown)
		_, err = p.Wait(ctx, id, 0)
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestGivingUpAnUnsignedIntent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		p := w.start(nil)
		ctx, cancel := context.WithCancel(t.Context())
		p.wallet.before = func(context.Context) error { cancel(); return errors.New("no passphrase") }
		_, err := p.Send(ctx, w.intent(0, 5))
		require.ErrorIs(t, err, ErrUncertain)
		p.run()
		p.settle()
		id, err := p.ByKey(t.Context(), "pay 5")
		require.NoError(t, err)
		require.Equal(t, StageNew, status(t, p, id).Stage)
		require.Contains(t, status(t, p, id).Problem, "no passphrase")
		w.chain.Go(w.chain.On(w.chain.Head(), 20))
		_, err = p.Wait(t.Context(), id, 0)
		require.ErrorIs(t, err, ErrNotSent)

		_, err = p.ByKey(t.Context(), "pay 5")
		require.ErrorIs(t, err, ErrUnknown)

		p.stop()
		p = w.start(nil)
		other := w.intent(0, 6)
		other.Key = "pay 5"
		require.Equal(t, id, send(t, p, other), "its key can be used again, for anything")
		s := status(t, p, id)
		require.Equal(t, StageSent, s.Stage)
		require.Equal(t, big.NewInt(6), s.Signed[0].Message.Value)
	})
}

func TestNoncesOfOthersAreNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		p := w.start(nil)
		require.NoError(t, p.pool.Add(t.Context(), w.chain.Transfer(0, 1, 0), true))
		w.chain.Mine([]*types.SignedMessage{w.chain.Transfer(1, 0, 0)})
		require.Equal(t, uint64(1), status(t, p, send(t, p, w.intent(0, 5))).Nonce)
		require.Equal(t, uint64(1), status(t, p, send(t, p, w.intent(1, 6))).Nonce)
		byID := w.intent(0, 7)
		byID.From = w.chain.Accounts[0].ID
		s := status(t, p, send(t, p, byID))
		require.Equal(t, uint64(2), s.Nonce)
		require.Equal(t, w.chain.Accounts[0].Key, s.From)
	})
}

func TestConcurrentSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		p := w.start(nil).run()
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				if _, err := p.Send(t.Context(), w.intent(0, int64(100+i/2))); err != nil { // each key twice
					t.Error(err)
				}
			})
		}
		w.mine()
		wg.Wait()
		quiesce(p)
		for i := range 10 {
			require.Equal(t, 1, w.calls(int64(100+i)))
		}
	})
}

func TestReorganization(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		p := w.start(nil).run()
		id := send(t, p, w.intent(0, 5))
		base := w.chain.Head()
		w.mine()
		w.mine()
		first, err := p.Wait(t.Context(), id, 1)
		require.NoError(t, err)

		w.chain.Go(w.chain.On(w.chain.On(base, 3), 0)) // without it
		p.settle()
		s := status(t, p, id)
		require.Equal(t, StageSent, s.Stage)
		require.Nil(t, s.Result)
		require.Len(t, p.pool.Pending(), 1)

		w.mine()
		w.mine()
		w.mine()
		second, err := p.Wait(t.Context(), id, 2)
		require.NoError(t, err)
		require.Equal(t, first.Message, second.Message)
		require.NotEqual(t, first.Included, second.Included)
		require.Equal(t, 1, w.calls(5))

		// The tipset with the receipt changes, the one that includes it does not.
		old, err := w.chain.TipSetAt(t.Context(), second.IncludedHeight, nil)
		require.NoError(t, err)
		w.chain.Go(w.chain.On(w.chain.On(old, 5), 0))
		p.settle()
		third, err := p.Wait(t.Context(), id, 1)
		require.NoError(t, err)
		require.Equal(t, second.Included, third.Included)
		require.NotEqual(t, second.TipSet, third.TipSet)
	})
}

func TestDoneIsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		p := w.start(nil).run()
		id := send(t, p, w.intent(0, 5))
		w.mine()
		w.mine()
		res, err := p.Wait(t.Context(), id, 1)
		require.NoError(t, err)
		w.chain.Go(w.chain.On(w.chain.Head(), int(finality)))
		p.settle()
		require.Equal(t, StageDone, status(t, p, id).Stage)
		p.stop()

		p = w.start(nil) // not even running
		got, err := p.Wait(t.Context(), id, 5)
		require.NoError(t, err)
		require.Equal(t, res, got)
		require.Equal(t, id, send(t, p, w.intent(0, 5)))
		require.Len(t, w.heard, 1)
	})
}

func TestNonceUsedByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		p := w.start(nil).run()
		id := send(t, p, w.intent(0, 5))
		base := w.chain.Head()
		usurper := w.chain.Sign(w.chain.Plain(0, 2, 0))
		w.chain.Mine([]*types.SignedMessage{usurper})
		w.chain.Mine()
		w.chain.Mine()
		_, err := p.Wait(t.Context(), id, 2)
		require.ErrorIs(t, err, ErrReplaced)
		require.ErrorContains(t, err, usurper.Cid().String())
		s := status(t, p, id)
		require.Equal(t, StageReplaced, s.Stage)
		require.Nil(t, s.Result, "the result is not its own")

		// The other branch has ours.
		w.chain.Go(w.mineOn(base, 4))
		w.mine()
		w.mine()
		p.settle()
		res, err := p.Wait(t.Context(), id, 1)
		require.NoError(t, err)
		require.Equal(t, s.Signed[0].Cid(), res.Message)

		// And back again, for good.
		other := w.chain.On(base, 9, []*types.SignedMessage{usurper})
		w.chain.Go(w.chain.On(w.chain.On(other, 0), int(finality)-2)) // one short of final
		p.settle()
		require.Equal(t, StageReplaced, status(t, p, id).Stage)
		w.chain.Mine()
		p.settle()
		require.Equal(t, StageFailed, status(t, p, id).Stage)
		_, err = p.Wait(t.Context(), id, 0)
		require.ErrorIs(t, err, ErrReplaced)
		require.Equal(t, id, send(t, p, w.intent(0, 5)), "a key stays used")
	})
}

func TestReplacementByTheOwnerCounts(t *testing.T) {
	for name, viaPool := range map[string]bool{"through this node": true, "elsewhere": false} {
		t.Run(name, bubble(func(t *testing.T) {
			w := newWorld(t, 2)
			p := w.start(nil).run()
			id := send(t, p, w.intent(0, 5))
			old := status(t, p, id).Signed[0]
			m := old.Message
			m.GasPremium = big.Mul(m.GasPremium, big.NewInt(2))
			m.GasFeeCap = big.Mul(m.GasFeeCap, big.NewInt(2))
			replacement := w.chain.Sign(m)
			if viaPool {
				require.NoError(t, p.pool.Add(t.Context(), replacement, true))
				w.chain.Mine()
				p.settle()
				require.Equal(t, []string{old.Cid().String(), replacement.Cid().String()}, cidsOf(status(t, p, id).Signed))
				_, pending := p.pool.Message(replacement.Cid())
				require.True(t, pending, "it is left alone")
			} else {
				w.ignores(old)
				w.hears(replacement)
			}
			w.mine()
			w.mine()
			res, err := p.Wait(t.Context(), id, 1)
			require.NoError(t, err)
			require.Equal(t, replacement.Cid(), res.Message)
		}))
	}
}

func TestPendingUsurperIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		p := w.start(nil).run()
		id := send(t, p, w.intent(0, 5))
		m := w.chain.Plain(0, 2, 0)
		m.GasPremium, m.GasFeeCap = big.NewInt(1_000_000), big.NewInt(1_000_000)
		usurper := w.chain.Sign(m)
		require.NoError(t, p.pool.Add(t.Context(), usurper, true))
		w.chain.Mine()
		p.settle()
		require.Contains(t, status(t, p, id).Problem, usurper.Cid().String())
	})
}

func TestLostMessageIsPushedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		p := w.start(nil).run()
		id := send(t, p, w.intent(0, 5))
		m := status(t, p, id).Signed[0]
		require.NoError(t, p.pool.Remove(t.Context(), m.Cid()))
		w.chain.Mine()
		p.settle()
		_, pending := p.pool.Message(m.Cid())
		require.True(t, pending)
		require.Len(t, w.heard, 2)
	})
}

func TestStuckMessageIsRaisedToItsCeiling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		p := w.start(nil).run()
		in := w.intent(0, 5)
		in.MaxFee = big.NewInt(1_250_000 * 250_000) // the gas limit, times a fee
		id, behind := send(t, p, in), send(t, p, w.intent(0, 6))
		var premiums []int64
		for range 8 {
			w.ignores()
			w.chain.Go(w.chain.On(w.chain.Head(), 9))
			p.settle()
		}
		s := status(t, p, id)
		for _, m := range s.Signed {
			premiums = append(premiums, m.Message.GasPremium.Int64())
			require.Equal(t, s.Nonce, m.Message.Nonce)
			require.False(t, m.Message.RequiredFunds().GreaterThan(in.MaxFee))
		}
		require.Equal(t, []int64{100_000, 125_000, 156_250, 195_312, 244_140}, premiums)
		require.Contains(t, s.Problem, "ceiling")
		require.Len(t, status(t, p, behind).Signed, 1, "only the first in line is raised")

		// A miner takes an old form after all.
		w.mu.Lock()
		clear(w.deaf)
		w.mu.Unlock()
		w.ignores(s.Signed[1:]...)
		w.mine()
		w.mine()
		res, err := p.Wait(t.Context(), id, 1)
		require.NoError(t, err)
		require.Equal(t, s.Signed[0].Cid(), res.Message)
		require.Equal(t, 1, w.calls(5))
	})
}

func TestGivenFeeIsACeiling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		p := w.start(nil).run()
		in := w.intent(0, 5)
		in.GasLimit, in.GasFeeCap, in.GasPremium = 2_000_000, big.NewInt(1000), big.NewInt(900)
		id := send(t, p, in)
		first := status(t, p, id).Signed[0].Message
		require.Equal(t, []int64{2_000_000, 1000, 900}, []int64{first.GasLimit, first.GasFeeCap.Int64(), first.GasPremium.Int64()})
		for range 3 {
			w.ignores()
			w.chain.Go(w.chain.On(w.chain.Head(), 9))
			p.settle()
		}
		s := status(t, p, id)
		require.Len(t, s.Signed, 2)
		require.Equal(t, int64(1000), s.Signed[1].Message.GasPremium.Int64())
		require.Equal(t, int64(1000), s.Signed[1].Message.GasFeeCap.Int64())
	})
}
