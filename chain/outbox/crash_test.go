package outbox

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lodenet/lode/chain/types"
	"github.com/stretchr/testify/require"
)

// quiesce lets the chain and the outbox go on until all intents are on chain.
func quiesce(p *process) {
	p.t.Helper()
	var rows []*Status
	for range 50 {
		p.settle()
		var err error
		rows, err = p.Active(p.t.Context())
		require.NoError(p.t, err)
		if !slices.ContainsFunc(rows, func(s *Status) bool { return s.Stage != StageIncluded }) {
			return
		}
		time.Sleep(time.Second) // for what is published again after a while
		p.w.mine()
	}
	p.t.Fatalf("nothing happens any more: %+v", rows)
}

// The process dies at every moment of a send: the call is on chain exactly once when the
// caller comes again, and exactly once, or never with nothing recorded, when it does not.
func TestSendIsOnceWheneverTheProcessDies(t *testing.T) {
	for _, again := range []bool{true, false} {
		name := "caller comes again"
		if !again {
			name = "caller does not come again"
		}
		t.Run(name, bubble(func(t *testing.T) {
			survived := false
			moments := 0
			for ; !survived; moments++ {
				require.Less(t, moments, 200)
				w := newWorld(t, 2)
				w.eager = true
				w.start(nil).stop() // makes the tables
				f := &fuse{left: moments}
				first := w.start(f)
				_, err := first.Send(t.Context(), w.intent(0, 77))
				survived = !f.blown()
				if survived {
					require.NoError(t, err)
				}
				first.stop()

				second := w.start(nil).run()
				want := 0
				if again {
					_, err := second.Send(t.Context(), w.intent(0, 77))
					require.NoError(t, err)
					want = 1
				} else if _, err := second.ByKey(t.Context(), "pay 77"); err == nil {
					want = 1
				}
				quiesce(second)
				require.Equal(t, want, w.calls(77), "dead at moment %d", moments)
				if want == 1 {
					id, err := second.ByKey(t.Context(), "pay 77")
					require.NoError(t, err)
					w.mine()
					res, err := second.Wait(t.Context(), id, 2)
					require.NoError(t, err)
					require.Equal(t, int64(1_250_000), res.Receipt.GasUsed)
				}
				second.stop()
			}
			require.Greater(t, moments, 10, "there are moments to die at")
		}))
	}
}

// The process dies at every moment of a longer story: three intents of two senders, one of
// them stuck until its fee is raised, a reorganization, and an end.
func TestStoryIsTheSameWheneverTheProcessDies(t *testing.T) {
	synctest.Test(t, testStory)
}

func testStory(t *testing.T) {
	story := func(p *process) (ok bool) {
		w := p.w
		var at *types.TipSet
		step := func() bool {
			var err error
			at, err = p.pass(w.t.Context(), at, w.chain.Head())
			return err == nil
		}
		send := func(from int, value int64) bool {
			_, err := p.Send(w.t.Context(), w.intent(from, value))
			return err == nil
		}
		if !send(0, 71) || !send(0, 72) || !send(1, 73) || !step() {
			return false
		}
		base := w.chain.Head()
		w.mine()
		if !step() {
			return false
		}
		w.chain.Go(w.chain.On(base, 2)) // without them
		if !step() {
			return false
		}
		w.ignores()
		w.chain.Go(w.chain.On(w.chain.Head(), 15)) // now they are stuck
		if !step() {
			return false
		}
		w.mine()
		w.mine()
		return step()
	}
	survived := false
	moments := 0
	for ; !survived; moments += 1 {
		require.Less(t, moments, 1000)
		w := newWorld(t, 2)
		w.eager = true
		w.start(nil).stop()
		f := &fuse{left: moments}
		first := w.start(f)
		survived = story(first) && !f.blown()
		first.stop()
		if survived {
			require.Equal(t, 1, w.calls(71))
		}

		w.mu.Lock()
		clear(w.deaf) // whatever was stuck goes on
		w.mu.Unlock()
		second := w.start(nil).run()
		var ids []ID
		for i, value := range []int64{71, 72, 73} {
			id, err := second.Send(t.Context(), w.intent(i/2, value))
			require.NoError(t, err)
			ids = append(ids, id)
		}
		quiesce(second)
		for i, value := range []int64{71, 72, 73} {
			require.Equal(t, 1, w.calls(value), "dead at moment %d", moments)
			st, err := second.Status(t.Context(), ids[i])
			require.NoError(t, err)
			require.Equal(t, StageIncluded, st.Stage)
			require.Contains(t, cidsOf(st.Signed), st.Result.Message.String())
		}
		second.stop()
	}
	require.Greater(t, moments, 40)
}

func cidsOf(ms []*types.SignedMessage) (out []string) {
	for _, m := range ms {
		out = append(out, m.Cid().String())
	}
	return out
}
