package store

import (
	"context"
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/chain/types"
)

func TestGenesis(t *testing.T) {
	s := newStore(t, vfs.NewMem())
	ctx := t.Context()
	require.Nil(t, s.Head())
	require.Nil(t, s.Genesis())
	_, err := s.TipSetAt(ctx, 0, nil)
	require.ErrorIs(t, err, ErrNoGenesis)
	_, err = s.Follow(ctx, "x")
	require.ErrorIs(t, err, ErrNoGenesis)
	_, err = s.Offer(ctx, tipset(t, header(t, nil, 1, 1, 0, 1)), weigh)
	require.ErrorIs(t, err, ErrNoGenesis)

	g := genesis(t, s)
	require.Equal(t, g, genesis(t, s)) // again
	require.Equal(t, g.Key(), s.Head().Key())
	require.Equal(t, g.Key(), s.Genesis().Key())
	other := header(t, nil, 0, 0, 7, 0)
	require.ErrorIs(t, s.SetGenesis(ctx, other), ErrGenesisMismatch)
	require.ErrorIs(t, s.SetGenesis(ctx, header(t, g, 1, 1, 0, 1)), ErrGenesisMismatch)
	_, err = s.Offer(ctx, tipset(t, other), weigh)
	require.ErrorIs(t, err, ErrGenesisMismatch)

	// A heavier chain on another genesis is refused.
	foreign := tipset(t, header(t, tipset(t, other), 1, 1, 0, 9))
	require.NoError(t, s.PutHeaders(ctx, other))
	_, err = s.Offer(ctx, foreign, weigh)
	require.ErrorIs(t, err, ErrGenesisMismatch)
	require.Equal(t, g.Key(), s.Head().Key())
}

func TestOfferPrefers(t *testing.T) {
	ctx := t.Context()
	for name, c := range map[string]struct {
		headWins, wins int64
		moved          func(smaller bool) bool
	}{
		"heavier": {1, 2, func(bool) bool { return true }},
		"lighter": {2, 1, func(bool) bool { return false }},
		"equal":   {1, 1, func(smaller bool) bool { return smaller }},
	} {
		t.Run(name, func(t *testing.T) {
			seen := map[bool]bool{}
			for salt := range uint64(16) {
				s := newStore(t, vfs.NewMem())
				g := genesis(t, s)
				a := tipset(t, header(t, g, 1, 1, salt, c.headWins))
				moved, err := s.Offer(ctx, a, weigh)
				require.NoError(t, err)
				require.True(t, moved)
				// At another height, so that the two do not join.
				b := tipset(t, header(t, g, 1, 2, salt, c.wins))
				x, y := a.MinTicket().Hash(), b.MinTicket().Hash()
				smaller := string(y[:]) < string(x[:])
				seen[smaller] = true
				want := map[bool]*types.TipSet{true: b, false: a}[c.moved(smaller)]
				moved, err = s.Offer(ctx, b, weigh)
				require.NoError(t, err)
				require.Equal(t, want == b, moved)
				require.Equal(t, want.Key(), s.Head().Key())
				moved, err = s.Offer(ctx, b, weigh)
				require.NoError(t, err)
				require.False(t, moved, "offered again")
			}
			require.Len(t, seen, 2, "both orders of tickets were tried")
		})
	}
}

type noT struct{}

func (noT) Errorf(string, ...any) {}
func (noT) FailNow()              { panic("failed") }
func (noT) Helper()               {}

func TestSiblingsJoin(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, vfs.NewMem())
	g := genesis(t, s)
	a, b := header(t, g, 1, 1, 0, 1), header(t, g, 2, 1, 0, 1)
	_, err := s.Offer(ctx, tipset(t, a), weigh)
	require.NoError(t, err)
	moved, err := s.Offer(ctx, tipset(t, b), weigh)
	require.NoError(t, err)
	require.True(t, moved)
	require.Equal(t, tipset(t, a, b).Key(), s.Head().Key())
	sib, err := s.Siblings(ctx, 1, g.Key())
	require.NoError(t, err)
	require.Len(t, sib, 2)
	for h, want := range map[*types.BlockHeader]bool{a: true, header(t, g, 3, 1, 0, 1): false} {
		got, err := s.IsValid(ctx, h)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

// A miner that shows two blocks at one height loses both, even if the head gets lighter.
func TestEquivocationReformsTheHead(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, vfs.NewMem())
	g := genesis(t, s)
	honest, liar := header(t, g, 1, 1, 0, 1), header(t, g, 2, 1, 0, 3)
	for _, h := range []*types.BlockHeader{honest, liar} {
		_, err := s.Offer(ctx, tipset(t, h), weigh)
		require.NoError(t, err)
	}
	require.Equal(t, tipset(t, honest, liar).Key(), s.Head().Key())
	second := header(t, g, 2, 1, 1, 3)
	moved, err := s.Offer(ctx, tipset(t, second), weigh)
	require.NoError(t, err)
	require.True(t, moved)
	require.Equal(t, tipset(t, honest).Key(), s.Head().Key())

	// A block that was built on the old head is a candidate as any other.
	child := tipset(t, header(t, tipset(t, honest, liar), 1, 2, 0, 1))
	moved, err = s.Offer(ctx, child, weigh)
	require.NoError(t, err)
	require.True(t, moved)
	require.Equal(t, child.Key(), s.Head().Key())
}

func TestEquivocationOfAllFallsBack(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, vfs.NewMem())
	g := genesis(t, s)
	base := chain(t, s, g, 1, 1)[0]
	for salt := range uint64(2) {
		_, err := s.Offer(ctx, tipset(t, header(t, base, 2, 2, salt, 1)), weigh)
		require.NoError(t, err)
	}
	require.Equal(t, base.Key(), s.Head().Key())
}

func TestReorgLimits(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, vfs.NewMem())
	g := genesis(t, s)
	main := chain(t, s, g, 1, Finality+1)
	head := s.Head()
	require.Equal(t, main[Finality].Key(), head.Key())

	fork := tipset(t, header(t, g, 2, 1, 0, 5000))
	_, err := s.Offer(ctx, fork, weigh)
	require.ErrorIs(t, err, ErrForkTooLong)
	require.Equal(t, head.Key(), s.Head().Key())

	fork = tipset(t, header(t, main[0], 2, main[0].Height()+7, 0, 5000))
	moved, err := s.Offer(ctx, fork, weigh)
	require.NoError(t, err)
	require.True(t, moved, "exactly %d tipsets back is allowed", Finality)
	require.Equal(t, fork.Key(), s.Head().Key())

	require.NoError(t, s.SetHead(ctx, head)) // an operator may
	require.Equal(t, head.Key(), s.Head().Key())
}

func TestCheckpoint(t *testing.T) {
	ctx := t.Context()
	fs := vfs.NewMem()
	s := open(t, fs)
	g := genesis(t, s)
	main := chain(t, s, g, 1, 5)
	require.NoError(t, s.SetCheckpoint(ctx, main[2], weigh))
	require.NoError(t, s.SetCheckpoint(ctx, main[1], weigh), "below is fine")
	require.Equal(t, main[2].Key(), s.Checkpoint().Key())

	// Two chains fork at a height: the heavier drops the checkpoint, the lighter does not.
	bad := header(t, main[1], 2, 20, 0, 1000)
	good := header(t, main[3], 3, 20, 0, 10)
	_, err := s.Offer(ctx, tipset(t, bad), weigh)
	require.ErrorIs(t, err, ErrCheckpoint)
	require.Equal(t, main[4].Key(), s.Head().Key())
	moved, err := s.Offer(ctx, tipset(t, good), weigh)
	require.NoError(t, err)
	require.True(t, moved)
	require.Equal(t, tipset(t, good).Key(), s.Head().Key())
	require.ErrorIs(t, s.SetHead(ctx, tipset(t, bad)), ErrCheckpoint)
	require.ErrorIs(t, s.SetCheckpoint(ctx, tipset(t, bad), weigh), ErrCheckpoint)

	// Finality on a lighter fork moves the head to the heaviest on top of it.
	lone := tipset(t, header(t, main[2], 4, 10, 0, 1))
	top := tipset(t, header(t, lone, 4, 12, 0, 1))
	for _, ts := range []*types.TipSet{lone, top} {
		moved, err := s.Offer(ctx, ts, weigh)
		require.NoError(t, err)
		require.False(t, moved)
	}
	require.NoError(t, s.SetCheckpoint(ctx, lone, weigh))
	require.Equal(t, top.Key(), s.Head().Key())
	require.NoError(t, s.Close())

	s = open(t, fs)
	require.Equal(t, lone.Key(), s.Checkpoint().Key())
	require.Equal(t, top.Key(), s.Head().Key())
	require.NoError(t, s.Close())
}

func TestOfferNeedsAncestors(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, vfs.NewMem())
	g := genesis(t, s)
	missing := tipset(t, header(t, g, 1, 1, 0, 1))
	_, err := s.Offer(ctx, tipset(t, header(t, missing, 1, 2, 0, 1)), weigh)
	require.True(t, ipld.IsNotFound(err), "%v", err)
	require.Equal(t, g.Key(), s.Head().Key())

	boom := errors.New("boom")
	_, err = s.Offer(ctx, missing, func(context.Context, *types.TipSet) (big.Int, error) { return big.Zero(), boom })
	require.ErrorIs(t, err, boom)
	moved, err := s.Offer(ctx, missing, weigh)
	require.NoError(t, err)
	require.True(t, moved, "trouble with weighing does not lose the tipset")
}

func TestBrokenChainEnds(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, vfs.NewMem())
	g := genesis(t, s)
	up := tipset(t, header(t, g, 1, 5, 0, 1))
	bad := tipset(t, header(t, up, 1, 5, 0, 50)) // not above its parents
	require.NoError(t, s.PutTipSet(ctx, up))
	_, err := s.Offer(ctx, bad, weigh)
	require.ErrorIs(t, err, ErrBrokenChain)
	_, err = s.TipSetAt(ctx, 2, bad)
	require.ErrorIs(t, err, ErrBrokenChain)
}

func TestTipSetAtAndAfter(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, vfs.NewMem())
	g := genesis(t, s)
	main := append([]*types.TipSet{g}, chain(t, s, g, 1, 40)...)
	forkBase := 25
	fork := append([]*types.TipSet{}, main[:forkBase+1]...)
	on := main[forkBase]
	for i := range 10 { // light, never the head
		on = tipset(t, header(t, on, 2, on.Height()+abi.ChainEpoch(1+i%3), 0, 0))
		require.NoError(t, s.PutTipSet(ctx, on))
		fork = append(fork, on)
	}
	for name, c := range map[string][]*types.TipSet{"main": main, "fork": fork} {
		t.Run(name, func(t *testing.T) {
			top := c[len(c)-1]
			for h := abi.ChainEpoch(-2); h <= top.Height()+2; h++ {
				at, after := g, (*types.TipSet)(nil)
				for i := len(c) - 1; i >= 0; i-- {
					if c[i].Height() >= h {
						after = c[i]
					}
				}
				for _, ts := range c {
					if ts.Height() <= h {
						at = ts
					}
				}
				got, err := s.TipSetAt(ctx, h, top)
				require.NoError(t, err)
				require.Equal(t, at.Key(), got.Key(), "at %d", h)
				got, err = s.TipSetAfter(ctx, h, top)
				if after == nil {
					require.ErrorIs(t, err, ErrNotYet)
					continue
				}
				require.NoError(t, err)
				require.Equal(t, after.Key(), got.Key(), "after %d", h)
			}
		})
	}
	got, err := s.TipSetAt(ctx, 7, nil)
	require.NoError(t, err)
	want, err := s.TipSetAt(ctx, 7, s.Head())
	require.NoError(t, err)
	require.Equal(t, want.Key(), got.Key())
}

// A fork that cannot be weighed does not hold up the chain beside it.
func TestTroubleWithOneForkOnly(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, vfs.NewMem())
	g := genesis(t, s)
	main := chain(t, s, g, 1, 3)
	boom := errors.New("boom")
	bad := tipset(t, header(t, main[0], 2, 9, 0, 5))
	good := tipset(t, header(t, main[2], 3, 9, 0, 1))
	picky := func(ctx context.Context, ts *types.TipSet) (big.Int, error) {
		if ts.Equals(bad) {
			return big.Zero(), boom
		}
		return weigh(ctx, ts)
	}
	_, err := s.Offer(ctx, bad, picky)
	require.ErrorIs(t, err, boom)
	moved, err := s.Offer(ctx, good, picky)
	require.NoError(t, err)
	require.True(t, moved)
	require.Equal(t, good.Key(), s.Head().Key())
}
