package mining

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/chain/mining"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/test/livechain"
)

var errBroken = errors.New("broken")

// One miner makes a block in every epoch that it wins, on time, on the block before, with the
// messages of the pool.
func TestBlocksEveryEpoch(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		nonce := uint64(0)
		w.pool = func(*types.TipSet) ([]*types.SignedMessage, error) {
			nonce++
			return []*types.SignedMessage{w.Transfer(t, 0, 1, nonce-1), w.Transfer(t, 1, 2, nonce-1)}, nil
		}
		m := w.miner(0)
		w.run(30, m)
		want := append([]abi.ChainEpoch{0}, w.wins(0, 1, 30)...)
		require.Greater(t, len(want), 25)
		require.Equal(t, want, w.heights())
		for i, ts := range w.chain()[1:] {
			p := w.published[i]
			require.Equal(t, ts.Cids()[0], p.block.Cid())
			require.Equal(t, int64(p.block.Header.Timestamp), p.at.Unix(), "published at its time")
			require.Len(t, p.block.BlsMessages, 1)
			require.Len(t, p.block.SecpkMessages, 1)
		}
		s := m.Stats()
		wins := uint64(len(want) - 1)
		require.Equal(t, mining.Stats{Rounds: s.Rounds, Won: wins, Nulls: 30 - wins, Published: wins}, s)
		w.noFaults()
	}, 1)
}

// Two miners on one chain: their blocks of an epoch join in one tipset.
func TestTwoMiners(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		a, b := w.miner(0), w.miner(1)
		w.run(30, a, b)
		first, second := w.wins(0, 1, 30), w.wins(1, 1, 30)
		blocks := 0
		for _, ts := range w.chain()[1:] {
			blocks += len(ts.Blocks())
		}
		require.Equal(t, len(first)+len(second), blocks, "no block is lost")
		all := slices.Compact(slices.Sorted(slices.Values(append(first, second...))))
		require.Equal(t, append([]abi.ChainEpoch{0}, all...), w.heights())
		require.Equal(t, uint64(len(first)), a.Stats().Published)
		require.Equal(t, uint64(len(second)), b.Stats().Published)
		w.noFaults()
	}, 2, 1)
}

func TestRunAgainAndAgain(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		m := w.miner(0)
		for i := range abi.ChainEpoch(10) {
			w.run(2*(i+1), m)
		}
		require.Equal(t, append([]abi.ChainEpoch{0}, w.wins(0, 1, 20)...), w.heights())
		require.Zero(t, m.Stats().Failed)
		w.noFaults()
	}, 1)
}

// What fails costs its round and nothing else.
func TestTroubleCostsOneRound(t *testing.T) {
	for name, c := range map[string]struct {
		spoil   func(w *world)
		lost    int    // blocks that are missing in the chain
		failed  uint64 // rounds
		emptied uint64
	}{
		"prover": {spoil: func(w *world) {
			w.prove = func(n int) error {
				if n == 3 {
					return errBroken
				}
				return nil
			}
		}, lost: 1, failed: 1},
		"pool": {spoil: func(w *world) {
			w.pool = func(ts *types.TipSet) ([]*types.SignedMessage, error) { return nil, errBroken }
		}, emptied: 20},
		"bad messages": {spoil: func(w *world) {
			w.pool = func(ts *types.TipSet) ([]*types.SignedMessage, error) {
				return []*types.SignedMessage{w.Transfer(w.t, 0, 1, 77)}, nil
			}
		}, emptied: 20},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, w *world) {
				c.spoil(w)
				m := w.miner(0)
				w.run(20, m)
				wins := w.wins(0, 1, 20)
				require.Len(t, w.heights(), 1+len(wins)-c.lost)
				s := m.Stats()
				require.Equal(t, c.failed, s.Failed)
				require.Equal(t, min(c.emptied, uint64(len(wins))), s.Emptied)
				w.noFaults()
			}, 1)
		})
	}
}

// A block that was signed and not published is published later: nothing else may be signed on
// its parents, and the only miner would be stuck.
func TestPublishingFailsOnce(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		failed := 0
		w.publish = func(b *types.FullBlock) error {
			if b.Header.Height == 5 && failed < 2 {
				failed++
				return errBroken
			}
			return nil
		}
		m := w.miner(0)
		w.run(20, m)
		require.Equal(t, 2, failed)
		require.Contains(t, w.heights(), abi.ChainEpoch(5))
		require.Greater(t, w.Store.Head().Height(), abi.ChainEpoch(17))
		w.noFaults()
	}, 1)
}

// Killed after a block was claimed and before it was published, a new process publishes that
// very block.
func TestKilledBeforePublishing(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		var lost *types.FullBlock
		ctx, kill := context.WithCancel(t.Context())
		w.publish = func(b *types.FullBlock) error {
			if b.Header.Height < 5 {
				return nil
			}
			lost = b
			kill()
			return errBroken
		}
		require.NoError(t, w.miner(0).Run(ctx))
		require.NotNil(t, lost)
		w.publish = nil
		w.run(20, w.miner(0))
		require.Equal(t, append([]abi.ChainEpoch{0}, w.wins(0, 1, 20)...), w.heights())
		at, err := w.Store.TipSetAt(t.Context(), lost.Header.Height, nil)
		require.NoError(t, err)
		require.Equal(t, lost.Cid(), at.Cids()[0])
		w.noFaults()
	}, 1)
}

// A prover slower than an epoch makes late blocks and leaves rounds out; the chain goes on.
func TestSlowProver(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.prove = func(int) error { time.Sleep(10 * time.Second); return nil }
		m := w.miner(0)
		w.run(60, m)
		s := m.Stats()
		require.Greater(t, s.Published, uint64(15))
		require.Equal(t, s.Published, s.Late)
		require.Greater(t, s.Skipped, s.Published)
		require.Zero(t, s.Failed)
		require.Len(t, w.heights(), 1+int(s.Published))
		w.noFaults()
	}, 1)
}

// A devnet that was off for a night goes on at its next epoch: its clock stood still.
func TestPausedClock(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.run(10, w.miner(0))
		time.Sleep(8 * time.Hour)
		w.at(clock.System{Pause: 8 * time.Hour})
		w.run(20, w.miner(0))
		require.Equal(t, append([]abi.ChainEpoch{0}, w.wins(0, 1, 20)...), w.heights())
	}, 1)
}

// Without a pause, rounds that nobody mined stay null, and the next is that of the clock.
func TestStoppedAndStarted(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.run(5, w.miner(0))
		time.Sleep(100 * 4 * time.Second)
		w.run(115, w.miner(0))
		want := append([]abi.ChainEpoch{0}, w.wins(0, 1, 5)...)
		require.Equal(t, append(want, w.wins(0, 106, 115)...), w.heights())
	}, 1)
}

// Started long before the genesis, a miner waits.
func TestBeforeTheGenesis(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.at(clock.System{Pause: time.Hour})
		w.run(5, w.miner(0))
		require.Equal(t, append([]abi.ChainEpoch{0}, w.wins(0, 1, 5)...), w.heights())
		for _, p := range w.published {
			require.GreaterOrEqual(t, p.at.Unix(), int64(p.block.Header.Timestamp))
		}
	}, 1)
}

// A block that shows up with a second face while a round is prepared is left out of its
// parents; one that merely comes late is not taken in.
func TestEquivocatorIsLeftOut(t *testing.T) {
	for name, c := range map[string]struct {
		twoFaced bool
		parents  int
	}{
		"two-faced": {true, 1},
		"late":      {false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, w *world) {
				// A round that both win, and the next won by the first.
				round := abi.ChainEpoch(1)
				for {
					a, b := w.wins(0, round, round+1), w.wins(1, round, round)
					if len(a) == 2 && len(b) == 1 {
						break
					}
					round++
				}
				g := w.Store.Genesis()
				ours := w.Block(t, w.Miners[0], g, round)
				theirs := w.Block(t, w.Miners[1], g, round)
				face := w.Block(t, w.Miners[1], g, round, w.Transfer(t, 0, 1, 0))
				require.NotEqual(t, theirs.Cid(), face.Cid())
				start := time.Unix(int64(ours.Header.Timestamp), 0)
				require.NoError(t, w.clk.Until(t.Context(), start))
				add := func(b *types.FullBlock) { require.NoError(t, w.Publish(t.Context(), b)) }
				add(ours)
				if c.twoFaced {
					add(theirs)
				}
				w.prove = func(int) error { // the round is being prepared
					if c.twoFaced {
						add(face)
					} else {
						add(theirs)
					}
					return nil
				}
				w.published = nil
				w.run(round+1, w.miner(0))
				mined := w.published[len(w.published)-1].block.Header
				require.Equal(t, round+1, mined.Height)
				require.Len(t, mined.Parents, c.parents)
				require.Equal(t, ours.Cid(), mined.Parents[0])
			}, 1, 1)
		})
	}
}

func TestIneligibleMinerMakesNothing(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		stranger := *w.Miners[0]
		stranger.Address = w.Accounts[0].Address
		w.Miners = append(w.Miners, &stranger)
		m := w.miner(1)
		w.run(10, m)
		require.Equal(t, mining.Stats{Rounds: m.Stats().Rounds, Nulls: 10}, m.Stats())
		require.Equal(t, []abi.ChainEpoch{0}, w.heights())
	}, 1)
}

func TestBlockIsPure(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		tpl := w.Template(t, w.Miners[0], w.Store.Genesis(), w.wins(0, 1, 20)[0])
		tpl.Messages = []*types.SignedMessage{w.Transfer(t, 0, 1, 0), w.Transfer(t, 1, 0, 0), w.Transfer(t, 2, 0, 0)}
		var a, b types.MemBlocks
		x, err := mining.Block(t.Context(), &a, *tpl)
		require.NoError(t, err)
		y, err := mining.Block(t.Context(), &b, *tpl)
		require.NoError(t, err)
		require.Equal(t, x.Header.Messages, y.Header.Messages)
		require.Equal(t, x.Header.BLSAggregate, y.Header.BLSAggregate)
		require.Len(t, x.BlsMessages, 2)
		require.Len(t, x.SecpkMessages, 1)
		require.Equal(t, livechain.BlockMsg(x).BlsMessages[0], tpl.Messages[0].Cid())
		tpl.Messages[1].Signature.Type = 3
		_, err = mining.Block(t.Context(), &a, *tpl)
		require.Error(t, err)
	}, 1)
}
