package outbox

import (
	"fmt"
	"testing"

	"github.com/lodenet/lode/chain/types"
	"github.com/stretchr/testify/require"
)

// A new head, with two thousand intents on chain that are not final yet, or two thousand that
// wait for a miner; and the first head after a start, when all are looked at.
func BenchmarkNewHead(b *testing.B) {
	const intents, senders = 2000, 8
	for _, c := range []struct {
		name         string
		mined, first bool
	}{{"on chain", true, false}, {"on chain, first look", true, true}, {"waiting", false, false}} {
		mined := c.mined
		b.Run(fmt.Sprint(intents, " ", c.name), func(b *testing.B) {
			w := newWorld(b, senders)
			p := w.start(nil).runPool()
			p.opt.StuckAfter = 1 << 40
			var at *types.TipSet
			pass := func() {
				var err error
				at, err = p.pass(b.Context(), at, w.chain.Head())
				require.NoError(b, err)
			}
			for i := range intents {
				in := w.intent(i%senders, int64(1+i))
				in.GasLimit, in.GasFeeCap, in.GasPremium = 1_000_000, w.chain.Fee, w.chain.Fee // no estimate
				_, err := p.Send(b.Context(), in)
				require.NoError(b, err)
				if mined && i%40 == 39 {
					w.mine()
					w.mu.Lock()
					w.heard = nil
					w.mu.Unlock()
					pass()
				}
			}
			if !mined {
				w.ignores()
			}
			w.mine()
			pass()
			st, err := p.Active(b.Context())
			require.NoError(b, err)
			require.Len(b, st, intents)
			for _, s := range st {
				require.Equal(b, mined, s.Stage == StageIncluded, "%+v", s)
			}
			// Miners hear nothing more: what comes are empty blocks.
			w.heard = nil
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				w.mine()
				if c.first {
					at = nil
				}
				b.StartTimer()
				pass()
			}
		})
	}
}
