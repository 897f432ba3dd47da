package mining

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/chain/consensus"
	"github.com/lodenet/lode/chain/mining"
	"github.com/lodenet/lode/chain/types"
)

// foresight knows the entries of the epochs up to one.
type foresight struct {
	until  abi.ChainEpoch
	rounds int
}

// Known implements mining.Foresight.
func (f foresight) Known(epoch abi.ChainEpoch) bool { return epoch <= f.until }

// Rounds implements mining.Foresight.
func (f foresight) Rounds() int { return f.rounds }

var always = foresight{1 << 40, 2}

// slow is a prover that takes its time and tells how it was asked.
type slow struct {
	mining.Prover
	takes time.Duration
	fails func(r abi.PoStRandomness) bool

	mu       sync.Mutex
	calls    int
	running  int
	together int // the most that ran at the same time
}

// WinningPoSt implements mining.Prover. As a real one, it cannot be stopped halfway.
func (s *slow) WinningPoSt(ctx context.Context, m address.Address, sectors []proof.SectorInfo, r abi.PoStRandomness) ([]proof.PoStProof, error) {
	s.mu.Lock()
	s.calls++
	s.running++
	s.together = max(s.together, s.running)
	fails := s.fails != nil && s.fails(r)
	s.mu.Unlock()
	time.Sleep(s.takes)
	s.mu.Lock()
	s.running--
	s.mu.Unlock()
	if fails {
		return nil, errBroken
	}
	return s.Prover.WinningPoSt(ctx, m, sectors, r)
}

// seer is a miner of a world with foresight and a slow prover.
func (w *world) seer(f mining.Foresight, takes time.Duration, change func(*mining.Deps, *slow)) (*mining.Miner, *slow) {
	d := w.deps(0)
	p := &slow{Prover: d.Prover, takes: takes}
	d.Prover, d.Foresight = p, f
	if change != nil {
		change(&d, p)
	}
	return mining.New(d), p
}

// A prover that takes all of an epoch makes no block late when the beacon is known ahead, and
// makes one after the other when it is not.
func TestProvenAhead(t *testing.T) {
	for name, c := range map[string]struct {
		f    mining.Foresight
		late bool
	}{
		"known ahead":     {always, false},
		"not known ahead": {foresight{-1, 2}, true},
		"no foresight":    {nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, w *world) {
				m, p := w.seer(c.f, 3900*time.Millisecond, nil)
				w.run(30, m)
				s := m.Stats()
				require.Equal(t, 1, p.together, "proofs at the same time")
				require.Zero(t, s.Failed)
				w.noFaults()
				if c.late {
					require.Zero(t, s.Ahead)
					for _, b := range w.published {
						require.GreaterOrEqual(t, b.at.Unix(), int64(b.block.Header.Timestamp))
						require.NotZero(t, b.at.Nanosecond(), "published when its proof was made")
					}
					return
				}
				require.Equal(t, append([]abi.ChainEpoch{0}, w.wins(0, 1, 30)...), w.heights())
				require.Equal(t, mining.Stats{Rounds: s.Rounds, Won: s.Won, Nulls: s.Nulls, Published: s.Won, Ahead: s.Won}, s)
				for _, b := range w.published {
					require.Equal(t, int64(b.block.Header.Timestamp), b.at.Unix(), "published at its time")
				}
				require.LessOrEqual(t, p.calls, int(s.Won)+2, "no more than the two rounds to come are proven in vain")
			}, 1)
		})
	}
}

// busy is foresight that other work makes short for some rounds.
type busy struct {
	foresight
	now func() bool
}

// Rounds implements mining.Foresight.
func (b busy) Rounds() int {
	if b.now() {
		return 0
	}
	return b.rounds
}

// Proofs made while the machine is idle leave it alone while it has other work.
func TestStock(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		begin := time.Now()
		working := func() bool { s := time.Since(begin); return s > 50*time.Second && s < 80*time.Second }
		begun := 0
		m, p := w.seer(busy{foresight{1 << 40, 8}, working}, 2*time.Second, func(_ *mining.Deps, p *slow) {
			p.fails = func(abi.PoStRandomness) bool {
				if working() {
					begun++
				}
				return false
			}
		})
		w.run(40, m)
		s := m.Stats()
		require.Equal(t, append([]abi.ChainEpoch{0}, w.wins(0, 1, 40)...), w.heights())
		require.Equal(t, s.Won, s.Ahead)
		require.LessOrEqual(t, begun, 1, "begun while there was other work for 7 epochs")
		require.LessOrEqual(t, p.calls, int(s.Won)+9)
		w.noFaults()
	}, 1)
}

// What the beacon tells only up to an epoch is proven ahead up to it.
func TestForesightEnds(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		m, p := w.seer(foresight{10, 2}, time.Second, nil)
		w.run(20, m)
		require.Equal(t, append([]abi.ChainEpoch{0}, w.wins(0, 1, 20)...), w.heights())
		require.Equal(t, uint64(len(w.wins(0, 1, 10))), m.Stats().Ahead)
		require.Equal(t, uint64(len(w.wins(0, 11, 20))), m.Stats().Unaware)
		require.Equal(t, len(w.wins(0, 1, 20)), p.calls)
	}, 1)
}

// farsighted rules give another proving set to who asks more than a round ahead, as after a
// reorg or when sectors came meanwhile.
type farsighted struct{ *consensus.Engine }

func (f farsighted) MiningBase(ctx context.Context, base *types.TipSet, round abi.ChainEpoch, miner address.Address) (*consensus.MiningBase, error) {
	b, err := f.Engine.MiningBase(ctx, base, round, miner)
	if err == nil && round > base.Height()+1 {
		b.Sectors = b.Sectors[:1]
	}
	return b, err
}

// A proof of another proving set is not taken: the round proves for itself, and nothing else
// is begun meanwhile.
func TestProvingSetChanges(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		m, p := w.seer(always, 500*time.Millisecond, func(d *mining.Deps, _ *slow) { d.Rules = farsighted{w.engine} })
		w.run(30, m)
		s := m.Stats()
		require.Zero(t, s.Failed)
		require.Zero(t, s.Late)
		require.Equal(t, s.Won, s.Published)
		require.Equal(t, s.Won, s.Ahead+s.Unaware)
		require.Equal(t, append([]abi.ChainEpoch{0}, w.wins(0, 1, 30)...), w.heights(), "every block is valid")
		require.LessOrEqual(t, p.together, 2)
		w.noFaults()
	}, 2)
}

// A proof that fails ahead is made by its round.
func TestFailsAhead(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		tried := map[string]bool{}
		m, _ := w.seer(always, 100*time.Millisecond, func(_ *mining.Deps, p *slow) {
			p.fails = func(r abi.PoStRandomness) bool {
				first := !tried[string(r)]
				tried[string(r)] = true
				return first && len(tried)%3 == 0
			}
		})
		w.run(30, m)
		s := m.Stats()
		require.Equal(t, append([]abi.ChainEpoch{0}, w.wins(0, 1, 30)...), w.heights())
		require.Zero(t, s.Failed)
		require.Equal(t, s.Won/3, s.Unaware)
		require.Equal(t, s.Won-s.Won/3, s.Ahead)
		w.noFaults()
	}, 1)
}

// A prover slower than an epoch gets no slower by looking ahead.
func TestSlowProverAhead(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		m, p := w.seer(always, 10*time.Second, nil)
		w.run(60, m)
		s := m.Stats()
		require.Greater(t, s.Published, uint64(15))
		require.Equal(t, 1, p.together)
		require.Zero(t, s.Failed)
		w.noFaults()
	}, 1)
}

// Run ends when the proof under way has, and can be run again.
func TestStoppedWhileProvingAhead(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		m, p := w.seer(always, 3*time.Second, nil)
		for i := range abi.ChainEpoch(5) {
			w.run(3*(i+1), m)
			require.Zero(t, p.running, "a proof outlived its miner")
		}
		require.Greater(t, w.Store.Head().Height(), abi.ChainEpoch(8))
		require.Zero(t, m.Stats().Failed)
		w.noFaults()
	}, 1)
}
