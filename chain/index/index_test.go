package index_test

import (
	"context"
	"database/sql"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/lodenet/lode/chain/index"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/repo"
	"github.com/lodenet/lode/test/minichain"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) // a logging library starts one before main
}

func openDB(t *testing.T) *sql.DB {
	t.Helper()
	db := sql.OpenDB(repo.Connector(filepath.Join(t.TempDir(), "lode.db") + "?_pragma=journal_mode(wal)&_pragma=synchronous(off)"))
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, index.Migrate(t.Context(), db))
	require.NoError(t, index.Migrate(t.Context(), db), "again is fine")
	return db
}

func newIndex(t *testing.T, c *minichain.Chain) *index.Index {
	return index.New(openDB(t), c, slog.New(slog.DiscardHandler))
}

// catchUp runs the index until it covers the head.
func catchUp(t *testing.T, x *index.Index, c *minichain.Chain) {
	t.Helper()
	require.NoError(t, x.Sync(t.Context(), c.Head()))
}

func TestFind(t *testing.T) {
	// Every case holds for an index that has covered everything, nothing, and a part.
	for _, mode := range []string{"covered", "empty", "half", "on another fork"} {
		t.Run(mode, func(t *testing.T) {
			ctx := t.Context()
			c := minichain.New(t, 4)
			x := newIndex(t, c)
			if mode == "on another fork" {
				g := c.Head()
				other := c.On(c.On(g, 0, []*types.SignedMessage{c.Transfer(0, 1, 0)}), 0)
				c.Go(other)
				catchUp(t, x, c)
				c.Go(c.On(g, 2))
			}
			bls, secp := c.Transfer(0, 1, 0), c.Transfer(1, 0, 0)
			one := c.Mine([]*types.SignedMessage{bls, secp})
			if mode == "half" {
				catchUp(t, x, c)
			}
			two := c.On(one, 3, []*types.SignedMessage{c.Transfer(0, 1, 1)}, []*types.SignedMessage{c.Transfer(2, 1, 0)})
			c.Go(two)
			three := c.Mine([]*types.SignedMessage{c.Transfer(3, 1, 0)})
			if mode == "covered" {
				catchUp(t, x, c)
			}

			l, err := x.FindMessage(ctx, secp.Cid(), nil, index.NoLimit, false)
			require.NoError(t, err)
			require.Equal(t, secp.Cid(), l.Message)
			require.Equal(t, one.Key(), l.Included)
			require.Equal(t, one.Height(), l.IncludedHeight)
			require.Equal(t, two.Key(), l.TipSet, "the tipset with the receipt")
			require.Equal(t, two.Height(), l.Height)
			require.Equal(t, secp.Message.GasLimit, l.Receipt.GasUsed)

			l, err = x.FindNonce(ctx, c.Accounts[0].Key, 0, nil, index.NoLimit)
			require.NoError(t, err)
			require.Equal(t, bls.Cid(), l.Message)
			l, err = x.FindNonce(ctx, c.Accounts[0].ID, 1, nil, index.NoLimit)
			require.NoError(t, err, "by ID")
			require.Equal(t, two.Key(), l.Included)
			require.Equal(t, three.Key(), l.TipSet)

			_, err = x.FindNonce(ctx, c.Accounts[3].Key, 0, nil, index.NoLimit)
			require.ErrorIs(t, err, index.ErrNotFound, "nothing follows the tipset of this one")
			_, err = x.FindNonce(ctx, c.Accounts[0].Key, 2, nil, index.NoLimit)
			require.ErrorIs(t, err, index.ErrNotFound)
			_, err = x.FindMessage(ctx, c.Transfer(0, 1, 9).Cid(), nil, index.NoLimit, true)
			require.ErrorIs(t, err, index.ErrNotFound)

			depth := c.Head().Height() - one.Height()
			_, err = x.FindMessage(ctx, bls.Cid(), nil, depth, false)
			require.NoError(t, err)
			_, err = x.FindMessage(ctx, bls.Cid(), nil, depth-1, false)
			require.ErrorIs(t, err, index.ErrNotFound, "below the look-back")
			_, err = x.FindMessage(ctx, bls.Cid(), one, index.NoLimit, false)
			require.ErrorIs(t, err, index.ErrNotFound, "nothing follows it on the chain of one")
		})
	}
}

func TestFollowsReorgs(t *testing.T) {
	ctx := t.Context()
	c := minichain.New(t, 2)
	x := newIndex(t, c)
	base := c.Mine()
	m := c.Transfer(0, 1, 0)
	a := c.On(c.On(base, 0, []*types.SignedMessage{m}), 0)
	c.Go(a)
	catchUp(t, x, c)
	l, err := x.FindMessage(ctx, m.Cid(), nil, index.NoLimit, false)
	require.NoError(t, err)
	require.Equal(t, base.Height()+1, l.IncludedHeight)

	// The other branch has it later.
	b := c.On(c.On(c.On(base, 1), 0, []*types.SignedMessage{m}), 0)
	c.Go(b)
	catchUp(t, x, c)
	l, err = x.FindMessage(ctx, m.Cid(), nil, index.NoLimit, false)
	require.NoError(t, err)
	require.Equal(t, base.Height()+3, l.IncludedHeight)
	l, err = x.FindMessage(ctx, m.Cid(), a, index.NoLimit, false)
	require.NoError(t, err, "the old branch can still be asked")
	require.Equal(t, base.Height()+1, l.IncludedHeight)

	// And a third, shorter one does not have it.
	c.Go(c.On(base, 0))
	catchUp(t, x, c)
	_, err = x.FindMessage(ctx, m.Cid(), nil, index.NoLimit, false)
	require.ErrorIs(t, err, index.ErrNotFound)
}

func TestReplacedMessages(t *testing.T) {
	ctx := t.Context()
	c := minichain.New(t, 4)
	x := newIndex(t, c)
	bump := func(m types.Message) *types.SignedMessage {
		m.GasPremium = big.Add(m.GasPremium, big.NewInt(100))
		return c.Sign(m)
	}
	first := c.Transfer(0, 1, 0)
	second := bump(first.Message)
	other := c.Plain(1, 2, 0)
	usurper := c.Sign(c.Plain(1, 3, 0))
	require.NoError(t, c.PutMessages(ctx, first, c.Sign(other)))
	c.Mine([]*types.SignedMessage{second, usurper})
	c.Mine()

	_, err := x.FindMessage(ctx, first.Cid(), nil, index.NoLimit, false)
	require.ErrorIs(t, err, index.ErrNotFound)
	l, err := x.FindMessage(ctx, first.Cid(), nil, index.NoLimit, true)
	require.NoError(t, err)
	require.Equal(t, second.Cid(), l.Message)
	_, err = x.FindMessage(ctx, c.Sign(other).Cid(), nil, index.NoLimit, true)
	require.ErrorIs(t, err, index.ErrReplaced)
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := minichain.New(t, 2)
		x := newIndex(t, c)
		c.Mine()
		m := c.Transfer(0, 1, 0)
		type answer struct {
			l   *index.Lookup
			err error
		}
		got := make(chan answer, 1)
		wait := func(ctx context.Context, lookback abi.ChainEpoch) {
			go func() {
				l, err := x.Wait(ctx, m.Cid(), 2, lookback, true)
				got <- answer{l, err}
			}()
		}
		none := func() {
			t.Helper()
			synctest.Wait() // it has looked, and waits for another head
			select {
			case a := <-got:
				t.Fatalf("too early: %+v", a)
			default:
			}
		}
		wait(t.Context(), 0)
		none()
		at := c.Mine([]*types.SignedMessage{m})
		none()
		c.Mine()
		none()
		c.Mine()
		a := <-got
		require.NoError(t, a.err)
		require.Equal(t, at.Key(), a.l.Included)

		ctx, cancel := context.WithCancel(t.Context())
		wait(ctx, 0)
		none()
		cancel()
		require.ErrorIs(t, (<-got).err, context.Canceled, "it is below, and was not to be looked for there")
		wait(t.Context(), 10)
		require.NoError(t, (<-got).err)
	})
}

// dropper drops the index when the chain is asked for what comes next.
type dropper struct {
	*minichain.Chain
	drop func()
}

func (d *dropper) TipSetAfter(ctx context.Context, h abi.ChainEpoch, from *types.TipSet) (*types.TipSet, error) {
	if f := d.drop; f != nil {
		d.drop = nil
		f()
	}
	return d.Chain.TipSetAfter(ctx, h, from)
}

// An index that is dropped while it grows begins again: what it covers has no gaps.
func TestDropWhileGrowing(t *testing.T) {
	c := minichain.New(t, 2)
	d := &dropper{Chain: c}
	x := index.New(openDB(t), d, slog.New(slog.DiscardHandler))
	old := c.Transfer(0, 1, 0)
	c.Mine([]*types.SignedMessage{old})
	c.Mine()
	catchUp(t, x, c)
	c.Mine()
	d.drop = func() { require.NoError(t, x.Drop(t.Context())) }
	catchUp(t, x, c)
	require.Nil(t, d.drop)
	_, err := x.FindMessage(t.Context(), old.Cid(), nil, index.NoLimit, false)
	require.NoError(t, err)
}

func TestRunFollowsTheHeadAndStops(t *testing.T) {
	c := minichain.New(t, 2)
	x := newIndex(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx) }()
	m := c.Transfer(0, 1, 0)
	c.Mine([]*types.SignedMessage{m})
	c.Mine()
	_, err := x.Wait(ctx, m.Cid(), 1, index.NoLimit, false)
	require.NoError(t, err)
	require.NoError(t, x.Drop(ctx), "also while it runs")
	_, err = x.Wait(ctx, m.Cid(), 1, index.NoLimit, false)
	require.NoError(t, err)
	cancel()
	require.NoError(t, <-done)
}

// Two blocks of a tipset may hold the same message, or messages of one sender under two
// names: what runs, and in what order, is a rule of the chain.
func TestExecuted(t *testing.T) {
	c := minichain.New(t, 4)
	a, b := c.Transfer(0, 1, 0), c.Transfer(0, 1, 1)
	s := c.Transfer(1, 0, 0)
	ts := c.On(c.Head(), 0, []*types.SignedMessage{s, a}, []*types.SignedMessage{a, b, s})
	msgs, err := index.Executed(t.Context(), c, ts)
	require.NoError(t, err)
	var cids []string
	for _, m := range msgs {
		cids = append(cids, m.Cid().String())
	}
	require.Len(t, cids, 3)
	require.ElementsMatch(t, []string{a.Cid().String(), b.Cid().String(), s.Cid().String()}, cids)

	byID := c.Plain(0, 1, 1)
	byID.From = c.Accounts[0].ID
	sm := &types.SignedMessage{Message: byID, Signature: a.Signature}
	ts = c.On(c.Head(), 0, []*types.SignedMessage{a, sm}, []*types.SignedMessage{a, b})
	msgs, err = index.Executed(t.Context(), c, ts)
	require.NoError(t, err)
	require.Len(t, msgs, 2, "nonce 1 of the sender runs once, whatever it is called")
}

// Random branches and head changes: the index always says what a walk over the chain says.
func TestIndexAgreesWithTheChain(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ctx := t.Context()
		c := minichain.New(t, 3)
		x := newIndex(t, c)
		tips := []*types.TipSet{c.Head()}
		all := map[string]*types.SignedMessage{}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			parent := rapid.SampledFrom(tips).Draw(rt, "parent")
			v, err := c.View(ctx, parent)
			require.NoError(t, err)
			var block []*types.SignedMessage
			for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, 2), 0, 2, rapid.ID[int]).Draw(rt, "senders") {
				act, err := v.Actor(ctx, c.Accounts[i].Key)
				require.NoError(t, err)
				m := c.Transfer(i, rapid.IntRange(0, 2).Draw(rt, "to"), act.Nonce)
				all[m.Cid().String()] = m
				block = append(block, m)
			}
			ts := c.On(parent, rapid.IntRange(0, 1).Draw(rt, "nulls"), block)
			tips = append(tips, ts)
			if rapid.Bool().Draw(rt, "head") {
				c.Go(ts)
			}
			if rapid.Bool().Draw(rt, "sync") {
				catchUp(t, x, c)
			}
		}
		for _, from := range tips {
			want := map[string]types.TipSetKey{}
			for ts := from; ts.Height() > 0; {
				p, err := c.TipSet(ctx, ts.Parents())
				if p != nil && p.Height() > 0 {
					require.NoError(t, err)
					msgs, err := index.Executed(ctx, c, p)
					require.NoError(t, err)
					for _, m := range msgs {
						want[m.Cid().String()] = p.Key()
					}
				}
				ts = p
			}
			for key, m := range all {
				l, err := x.FindMessage(ctx, m.Cid(), from, index.NoLimit, false)
				if at, ok := want[key]; ok {
					require.NoError(t, err)
					require.Equal(t, at, l.Included)
				} else {
					require.ErrorIs(t, err, index.ErrNotFound)
				}
			}
		}
	})
}
