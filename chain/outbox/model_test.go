package outbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/lodenet/lode/chain/types"
	"github.com/stretchr/testify/require"
)

// flaky is a chain that sometimes cannot be read.
type flaky struct {
	Chain
	fails func() bool // nil: never
}

func (f *flaky) TipSetAt(ctx context.Context, h abi.ChainEpoch, from *types.TipSet) (*types.TipSet, error) {
	if f.fails != nil && f.fails() {
		return nil, errors.New("the disk says no")
	}
	return f.Chain.TipSetAt(ctx, h, from)
}

// Over random reorganizations, with messages that miners take on one branch and not on the
// other, usurped nonces, null rounds, restarts and unreadable chains, a pass that looks only
// at the rows that a head may concern leaves nothing for one that looks at all of them.
func TestNarrowLookMissesNothing(t *testing.T) {
	runs := 8
	if os.Getenv("LODE_LONG") != "" {
		runs = 200
	}
	var seen tally
	for seed := range uint64(runs) {
		if !t.Run(fmt.Sprint("seed ", seed), bubble(func(t *testing.T) { narrowAgainstWide(t, seed, &seen) })) {
			break
		}
	}
	require.Positive(t, seen.reverted, "messages were reverted")
	require.Positive(t, seen.final, "messages became final")
	require.Positive(t, seen.replaced, "nonces were used by others")
	require.Positive(t, seen.blind, "the chain could not be read")
	require.Positive(t, seen.spared, "rows were not looked at")
	t.Logf("%+v", seen)
}

// tally says that the model test met what it is for.
type tally struct{ reverted, final, replaced, blind, spared int }

func narrowAgainstWide(t *testing.T, seed uint64, seen *tally) {
	rng := rand.New(rand.NewPCG(seed, 0x0b0))
	w := newWorld(t, 4)
	p := w.start(nil)
	chain := &flaky{Chain: w.chain}
	p.Outbox.chain = chain
	p.runPool()
	var at *types.TipSet
	sent := int64(0)
	for range 40 {
		for range rng.IntN(3) {
			sent++
			_, err := p.Send(t.Context(), w.intent(rng.IntN(3), 1000+sent))
			require.NoError(t, err)
		}
		if rng.IntN(12) == 0 { // someone has our key
			m := w.chain.Plain(rng.IntN(3), 3, 0)
			next, err := p.pool.StateNonce(t.Context(), m.From, w.chain.Head())
			require.NoError(t, err)
			m.Nonce, m.Value = next, big.NewInt(rng.Int64N(1000))
			w.hears(w.chain.Sign(m))
		}
		w.chain.Go(w.branch(rng))
		synctest.Wait()

		switch rng.IntN(10) {
		case 0:
			at = nil // as after a restart
		case 1:
			chain.fails = func() bool { return rng.IntN(4) == 0 }
		}
		before := p.stages()
		looked, err := p.rowsFor(t.Context(), at, w.chain.Head())
		require.NoError(t, err)
		for id, stage := range before {
			onChain := stage == StageIncluded || stage == StageReplaced
			if onChain && !slices.ContainsFunc(looked, func(r *row) bool { return r.id == id }) {
				seen.spared++
			}
		}
		at, err = p.pass(t.Context(), at, w.chain.Head())
		require.NoError(t, err)
		if chain.fails != nil {
			chain.fails = nil
			seen.blind++
			if at == nil {
				continue // some row has a problem; the next pass finds out
			}
		}
		narrow := p.rows()
		_, err = p.pass(t.Context(), nil, w.chain.Head())
		require.NoError(t, err)
		for i, row := range p.rows() {
			require.Equal(t, row, narrow[i], "at %s", w.chain.Head())
		}
		after := p.stages()
		for id, stage := range before {
			switch now := after[id]; {
			case stage == StageIncluded && now == StageSent:
				seen.reverted++
			case stage != now && now == StageDone:
				seen.final++
			case stage != now && now == StageReplaced:
				seen.replaced++
			}
		}
	}
}

// branch grows a chain on the head or on one of its ancestors, longer than what it leaves.
// Of what was heard some is not taken.
func (w *world) branch(rng *rand.Rand) *types.TipSet {
	w.t.Helper()
	ts, left := w.chain.Head(), 0
	if rng.IntN(3) == 0 {
		for range rng.IntN(8) {
			if ts.Height() == 0 {
				break
			}
			var err error
			ts, err = w.chain.TipSet(w.t.Context(), ts.Parents())
			require.NoError(w.t, err)
			left++
		}
	}
	w.mu.Lock()
	clear(w.deaf)
	for _, m := range w.heard {
		w.deaf[m.Cid()] = rng.IntN(4) == 0
	}
	w.mu.Unlock()
	for range left + 1 + rng.IntN(2) {
		nulls := max(0, rng.IntN(6)-4)
		if rng.IntN(40) == 0 {
			nulls = 950
		}
		ts = w.mineOn(ts, nulls)
	}
	return ts
}

// rows are all rows as they are stored.
func (p *process) rows() []string {
	p.t.Helper()
	got, err := p.db.QueryContext(p.t.Context(), `SELECT id || ' ' || stage || ' ' || ifnull(nonce, '') || ' ' || ifnull(pushed, '') || ' ' || ifnull(result, '') || ' ' || problem FROM outbox_intent ORDER BY id`)
	require.NoError(p.t, err)
	defer got.Close() // read only
	var out []string
	for got.Next() {
		var s string
		require.NoError(p.t, got.Scan(&s))
		out = append(out, s)
	}
	require.NoError(p.t, got.Err())
	return out
}

// stages are those of all rows.
func (p *process) stages() map[ID]Stage {
	p.t.Helper()
	all, err := p.scanAll(p.t.Context(), `SELECT `+columns+` FROM outbox_intent`)
	require.NoError(p.t, err)
	out := make(map[ID]Stage)
	for _, r := range all {
		out[r.id] = r.stage
	}
	return out
}
