package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/lodenet/lode/chain/types"
)

// world is the naive model: all blocks ever offered, a head chosen by looking at everything,
// and chains as plain lists.
type world struct {
	tipsets map[types.TipSetKey]*types.TipSet // all that were offered or formed
	offered []*types.BlockHeader
	head    *types.TipSet
}

func (w *world) chain(ts *types.TipSet) []*types.TipSet {
	var out []*types.TipSet
	for {
		out = append(out, ts)
		if ts.Height() == 0 {
			slices.Reverse(out)
			return out
		}
		ts = w.tipsets[ts.Parents()]
	}
}

// best forms the heaviest tipset of a range of heights.
func (w *world) best(t T, from, to abi.ChainEpoch) *types.TipSet {
	var best *types.TipSet
	for h := from; h <= to; h++ {
		count := map[string]int{}
		for _, b := range w.offered {
			if b.Height == h {
				count[b.Miner.String()]++
			}
		}
		groups := map[types.TipSetKey][]*types.BlockHeader{}
		for _, b := range w.offered {
			if b.Height == h && count[b.Miner.String()] == 1 {
				k := types.NewTipSetKey(b.Parents...)
				groups[k] = append(groups[k], b)
			}
		}
		for _, g := range groups {
			ts := tipset(t, g...)
			w.tipsets[ts.Key()] = ts
			if best == nil || heavier(ts, best) {
				best = ts
			}
		}
	}
	return best
}

func heavier(a, b *types.TipSet) bool {
	x, _ := weigh(context.Background(), a)
	y, _ := weigh(context.Background(), b)
	if c := big.Cmp(x, y); c != 0 {
		return c > 0
	}
	return types.BetterTieBreak(a, b)
}

func (w *world) offer(t T, h *types.BlockHeader) {
	for _, b := range w.offered {
		if b.Cid() == h.Cid() {
			return
		}
	}
	w.offered = append(w.offered, h)
	count := map[string]int{}
	for _, b := range w.offered {
		if b.Height == w.head.Height() {
			count[b.Miner.String()]++
		}
	}
	for _, a := range w.head.Blocks() {
		if h.Height == w.head.Height() && count[a.Miner.String()] > 1 {
			parent := w.tipsets[w.head.Parents()]
			if w.head = w.best(t, max(w.head.Height()-4, 0), w.head.Height()+5); w.head == nil {
				w.head = parent
			}
			return
		}
	}
	if best := w.best(t, h.Height, h.Height); best != nil && heavier(best, w.head) {
		w.head = best
	}
}

// walker is a user of a follower that checks what it is told.
type walker struct {
	f    *Follower
	name string
	at   []*types.TipSet // the chain as it believes, from the genesis
}

func (k *walker) step(t *rapid.T, s *Store, done bool) {
	c, err := k.f.Next(context.Background())
	require.NoError(t, err)
	require.LessOrEqual(t, len(c.Revert)+len(c.Apply), maxChange)
	at := slices.Clone(k.at)
	for _, r := range c.Revert {
		require.Equal(t, at[len(at)-1].Key(), r.Key(), "%s reverts what it is not on", k.name)
		at = at[:len(at)-1]
	}
	for _, a := range c.Apply {
		require.Equal(t, at[len(at)-1].Key(), a.Parents(), "%s applies what does not connect", k.name)
		at = append(at, a)
	}
	require.Equal(t, at[len(at)-1].Key(), c.End())
	if done {
		require.NoError(t, k.f.Done(context.Background(), c))
		k.at = at
	}
}

// The store and a naive model see the same random blocks. Heads agree after every offer, and
// followers of every kind, fast, stalled, killed and reopened, end on the same chain.
func TestFollowersModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		fs := vfs.NewMem()
		s := open(t, fs)
		defer func() { require.NoError(t, s.Close()) }()
		g := genesis(t, s)
		w := &world{tipsets: map[types.TipSetKey]*types.TipSet{g.Key(): g}, offered: g.Blocks(), head: g}
		var walkers []*walker
		follow := func(name string, opts ...FollowOption) *Follower {
			f, err := s.Follow(ctx, name, opts...)
			require.NoError(t, err)
			return f
		}
		for _, name := range []string{"index", "pool", ""} {
			walkers = append(walkers, &walker{f: follow(name), name: name, at: []*types.TipSet{g}})
		}
		salt := uint64(0)
		t.Repeat(map[string]func(*rapid.T){
			"block": func(t *rapid.T) {
				all := make([]*types.TipSet, 0, len(w.tipsets))
				for _, ts := range w.tipsets {
					all = append(all, ts)
				}
				slices.SortFunc(all, func(a, b *types.TipSet) int {
					if a.Height() != b.Height() {
						return int(b.Height() - a.Height())
					}
					return slices.Compare(a.Key().Bytes(), b.Key().Bytes())
				})
				// Mostly near the top, so that chains grow.
				on := all[min(rapid.IntRange(0, 6).Draw(t, "on"), len(all)-1)]
				salt += rapid.Uint64Range(0, 1).Draw(t, "salt")
				h := header(t, on, rapid.Uint64Range(1, 4).Draw(t, "miner"), on.Height()+abi.ChainEpoch(rapid.IntRange(1, 3).Draw(t, "up")), salt, int64(rapid.IntRange(1, 3).Draw(t, "wins")))
				one := tipset(t, h)
				w.tipsets[one.Key()] = one
				w.offer(t, h)
				_, err := s.Offer(ctx, one, weigh)
				require.NoError(t, err)
				require.Equal(t, w.head.Key(), s.Head().Key())
			},
			"walk": func(t *rapid.T) {
				k := walkers[rapid.IntRange(0, len(walkers)-1).Draw(t, "who")]
				if k.f.Cursor() == s.Head().Key() {
					t.Skip("nothing to do")
				}
				k.step(t, s, rapid.Bool().Draw(t, "done"))
			},
			"late follower": func(t *rapid.T) {
				if len(walkers) > 6 {
					t.Skip("enough")
				}
				name := fmt.Sprint("late", len(walkers))
				walkers = append(walkers, &walker{f: follow(name, FromGenesis()), name: name, at: []*types.TipSet{g}})
			},
			"reopen": func(t *rapid.T) {
				require.NoError(t, s.Close())
				s = open(t, fs)
				for _, k := range walkers {
					if k.name == "" {
						k.f = follow("", From(k.at[len(k.at)-1].Key()))
					} else {
						k.f = follow(k.name)
					}
					require.Equal(t, k.at[len(k.at)-1].Key(), k.f.Cursor())
				}
			},
			"": func(t *rapid.T) {
				require.Equal(t, w.head.Key(), s.Head().Key())
				h := abi.ChainEpoch(rapid.Int64Range(0, int64(w.head.Height())).Draw(t, "height"))
				got, err := s.TipSetAt(ctx, h, nil)
				require.NoError(t, err)
				var want *types.TipSet
				for _, ts := range w.chain(w.head) {
					if ts.Height() <= h {
						want = ts
					}
				}
				require.Equal(t, want.Key(), got.Key())
			},
		})
		want := w.chain(w.head)
		for _, k := range walkers {
			for k.f.Cursor() != s.Head().Key() {
				k.step(t, s, true)
			}
			require.Equal(t, len(want), len(k.at), k.name)
			for i := range want {
				require.Equal(t, want[i].Key(), k.at[i].Key())
			}
		}
	})
}

// Whatever of the unsynced data a crash leaves, the store opens with the last head that was
// announced, its whole chain, and cursors that were acknowledged.
func TestCrash(t *testing.T) {
	for seed := range uint64(25) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			ctx := t.Context()
			rng := rand.New(rand.NewPCG(seed, 1))
			fs := vfs.NewCrashableMem()
			s := open(t, fs)
			on := genesis(t, s)
			f, err := s.Follow(ctx, "f")
			require.NoError(t, err)
			cursor := f.Cursor()
			for round := range 4 {
				for i := range 5 + rng.IntN(60) {
					if rng.IntN(10) == 0 && on.Height() > 2 {
						on, err = s.TipSetAt(ctx, on.Height()-2, on)
						require.NoError(t, err)
					}
					// Written before the head change and needed by it.
					h := header(t, on, 1+uint64(rng.IntN(3)), on.Height()+1, uint64(round*1000+i), 1+int64(rng.IntN(3)))
					state := header(t, on, 99, 1, uint64(i), 1)
					require.NoError(t, s.PutHeaders(ctx, state))
					require.NoError(t, s.SetStateOf(ctx, on.Key(), state.Cid(), types.EmptyAMTCid))
					ts := tipset(t, h)
					moved, err := s.Offer(ctx, ts, weigh)
					require.NoError(t, err)
					if moved {
						on = s.Head()
					}
					if rng.IntN(3) == 0 && f.Cursor() != s.Head().Key() {
						c, err := f.Next(ctx)
						require.NoError(t, err)
						require.NoError(t, f.Done(ctx, c))
						cursor = f.Cursor()
					}
				}
				head := s.Head()
				crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
				require.NoError(t, s.Close())
				fs = crashed
				s = open(t, fs)
				require.Equal(t, head.Key(), s.Head().Key())
				for cur := head; cur.Height() > 0; {
					at, err := s.TipSetAt(ctx, cur.Height()-1, nil)
					require.NoError(t, err)
					require.Equal(t, cur.Parents(), at.Key())
					if st, _, ok, err := s.StateOf(ctx, at.Key()); assertNoErr(t, err) && ok {
						has, err := s.Has(ctx, st)
						require.NoError(t, err)
						require.True(t, has, "a noted state is on disk")
					}
					cur = at
				}
				f, err = s.Follow(ctx, "f")
				require.NoError(t, err)
				require.Equal(t, cursor, f.Cursor())
				on = head
			}
			require.NoError(t, s.Close())
		})
	}
}

func assertNoErr(t *testing.T, err error) bool {
	require.NoError(t, err)
	return true
}
