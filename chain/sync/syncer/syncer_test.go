package syncer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/lodenet/lode/chain/sync/chaintest"
	"github.com/lodenet/lode/chain/sync/exchange"
	"github.com/lodenet/lode/chain/sync/syncer"
	"github.com/lodenet/lode/chain/types"
)

func TestCatchUp(t *testing.T) {
	sub(t, func(t *testing.T, b *bench) {
		head := b.remote.Extend(b.remote.Genesis(), 130, 3, "a")
		b.start()
		b.offer("p", head)
		b.head(head)
		// Oldest first, each once.
		judged := b.engine.Judged()
		if len(judged) != 390 {
			t.Errorf("%d blocks judged, want 390", len(judged))
		}
		var last abi.ChainEpoch
		for _, c := range judged {
			h, err := b.chain.Header(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if h.Height < last {
				t.Fatalf("height %d was judged after %d", h.Height, last)
			}
			last = h.Height
		}
		st := b.Status()
		if st.Stage != syncer.StageComplete || st.Validated != 130 || st.Headers != 130 || st.Base != 0 ||
			st.Height != head.Height() || st.TargetHeight != head.Height() || st.Pending != 0 || st.Ended.IsZero() {
			t.Errorf("status %+v", st)
		}
		if len(b.session.faults) != 0 {
			t.Errorf("faults %v", b.session.faults)
		}
		// The messages are here as well.
		if _, err := b.chain.TipSetMessages(t.Context(), head); err != nil {
			t.Error(err)
		}
		// A little later the same again: only what is new is fetched.
		fetched := b.remote.messages
		more := b.remote.Extend(head, 5, 2, "b")
		b.offer("p", more)
		b.head(more)
		if n := b.remote.messages - fetched; n != 5 {
			t.Errorf("messages of %d tipsets were fetched for 5", n)
		}
	})
}

// A sync that was interrupted goes on where it was: nothing is validated or fetched twice.
func TestResume(t *testing.T) {
	sub(t, func(t *testing.T, b *bench) {
		head := b.remote.Extend(b.remote.Genesis(), 100, 2, "a")
		mid, err := b.remote.TipSetAt(t.Context(), 60, nil)
		if err != nil {
			t.Fatal(err)
		}
		b.engine.Forbid(mid.Cids()[0], errors.New("disk full"))
		stop := b.start()
		b.offer("p", head)
		synctest.Wait()
		stop()
		if h := b.chain.Head().Height(); h < 55 || h >= 60 {
			t.Fatalf("interrupted at %d", h)
		}
		if b.badBlocks() != 0 {
			t.Error("our own trouble made a block bad")
		}
		judged, headers := len(b.engine.Judged()), b.remote.headers
		b.engine.Allow(mid.Cids()[0])
		b.start()
		b.offer("p", head)
		b.head(head)
		if n := len(b.engine.Judged()) - judged; n > 200-judged+2 { // the tipset that failed comes again
			t.Errorf("%d blocks judged after the restart, %d before", n, judged)
		}
		if b.remote.headers != headers {
			t.Errorf("%d headers were fetched again", b.remote.headers-headers)
		}
	})
}

func TestRetriesByItself(t *testing.T) {
	for name, trouble := range map[string]error{
		"disk full": errors.New("disk full"), "too early": errEarly, "state is missing": ipld.ErrNotFound{},
	} {
		t.Run(name, func(t *testing.T) {
			sub(t, func(t *testing.T, b *bench) {
				head := b.remote.Extend(b.remote.Genesis(), 10, 1, "a")
				b.engine.Forbid(head.Cids()[0], trouble)
				b.start()
				b.offer("p", head)
				synctest.Wait()
				if st := b.Status(); st.Stage != syncer.StageWaiting || st.Error == "" {
					t.Errorf("status %+v", st)
				}
				b.engine.Allow(head.Cids()[0])
				time.Sleep(5 * time.Second)
				b.head(head)
				if b.badBlocks() != 0 || len(b.session.faults) != 0 {
					t.Errorf("%d bad blocks, faults %v", b.badBlocks(), b.session.faults)
				}
			})
		})
	}
	t.Run("no peers", func(t *testing.T) {
		sub(t, func(t *testing.T, b *bench) {
			head := b.remote.Extend(b.remote.Genesis(), 10, 1, "a")
			b.remote.fail(exchange.ErrNoPeers)
			b.start()
			b.offer("p", head)
			time.Sleep(20 * time.Second)
			b.remote.fail(nil)
			time.Sleep(30 * time.Second)
			b.head(head)
		})
	})
}

func TestInvalidBlock(t *testing.T) {
	sub(t, func(t *testing.T, b *bench) {
		good := b.remote.Extend(b.remote.Genesis(), 10, 1, "a")
		bad := b.remote.Add(b.remote.Block(good, good.Height()+1, 1, "bad"))
		head := b.remote.Extend(bad, 10, 1, "b")
		b.engine.Forbid(bad.Cids()[0], fmt.Errorf("%w: nonsense", chaintest.ErrInvalid))
		b.start()
		b.offer("liar", head)
		b.head(good) // what came before it is fine
		if st := b.Status(); st.Stage != syncer.StageRefused {
			t.Errorf("status %+v", st)
		}
		if n := b.badBlocks(); n != 11 {
			t.Errorf("%d bad blocks, want the block and its ten descendants", n)
		}
		if !slices.Equal(b.session.faults, []string{"liar forged"}) {
			t.Errorf("faults %v", b.session.faults)
		}
		// Another head on top is refused without asking for it all.
		judged := len(b.engine.Judged())
		b.offer("other", b.remote.Extend(head, 3, 1, "c"))
		b.head(good)
		if len(b.engine.Judged()) != judged {
			t.Error("descendants of a bad block were judged")
		}
		// The honest branch wins all the same.
		honest := b.remote.Extend(good, 3, 1, "honest")
		b.offer("p", honest)
		b.head(honest)
	})
}

func TestForks(t *testing.T) {
	sub(t, func(t *testing.T, b *bench) {
		base := b.remote.Extend(b.remote.Genesis(), 20, 1, "base")
		short := b.remote.Extend(base, 5, 1, "short")
		b.start()
		b.offer("p", short)
		b.head(short)
		long := b.remote.Extend(base, 9, 1, "long")
		b.offer("q", long)
		b.head(long)
		// Lighter than the head: of no interest.
		judged := len(b.engine.Judged())
		b.offer("r", b.remote.Extend(base, 2, 1, "lighter"))
		b.head(long)
		if len(b.engine.Judged()) != judged || b.Status().Stage != syncer.StageComplete {
			t.Errorf("a lighter head was synced, status %+v", b.Status())
		}
	})
}

func TestForkBeyondFinality(t *testing.T) {
	sub(t, func(t *testing.T, b *bench) {
		base := b.remote.Extend(b.remote.Genesis(), 3, 1, "base")
		ours := b.remote.Extend(base, 800, 1, "ours") // more than 900 epochs
		b.start()
		b.offer("p", ours)
		b.head(ours)
		theirs := b.remote.Extend(base, 810, 1, "theirs")
		b.offer("q", theirs)
		b.head(ours)
		if st := b.Status(); st.Stage != syncer.StageRefused || b.badBlocks() != 0 || len(b.session.faults) != 0 {
			t.Errorf("status %+v, %d bad blocks, faults %v", st, b.badBlocks(), b.session.faults)
		}
	})
}

func TestRefusedTargets(t *testing.T) {
	for name, c := range map[string]struct {
		head func(b *bench) *types.TipSet
		bad  bool
	}{
		"ahead of time": {func(b *bench) *types.TipSet {
			now := chaintest.Epochs().At(time.Now())
			return b.remote.Add(b.remote.Block(b.remote.Genesis(), now+100, 1, "future"))
		}, false},
		"another genesis": {func(b *bench) *types.TipSet {
			b.remote = &remote{Chain: chaintest.NewWith(b.t, "other")}
			return b.remote.Extend(b.remote.Genesis(), 3, 1, "a")
		}, true},
		"wrong timestamp": {func(b *bench) *types.TipSet {
			block := b.remote.Block(b.remote.Genesis(), 1, 1, "late")
			block.Header.Timestamp++
			return b.remote.Add(block)
		}, true},
		"invalid weight": {func(b *bench) *types.TipSet {
			block := b.remote.Block(b.remote.Genesis(), 1, 1, "heavy")
			block.Header.ParentWeight = big.NewInt(1_000_000)
			return b.remote.Add(block)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			sub(t, func(t *testing.T, b *bench) {
				head := c.head(b)
				b.start()
				b.offer("p", head)
				time.Sleep(time.Minute)
				b.head(b.chain.Genesis())
				if st := b.Status(); st.Stage != syncer.StageRefused || (b.badBlocks() > 0) != c.bad || (len(b.session.faults) > 0) != c.bad {
					t.Errorf("status %+v, %d bad blocks, faults %v", st, b.badBlocks(), b.session.faults)
				}
			})
		})
	}
}

func TestOwnBlocks(t *testing.T) {
	sub(t, func(t *testing.T, b *bench) {
		b.start()
		g := b.chain.Genesis()
		one, two := b.chain.Block(g, 1, 1, "one"), b.chain.Block(g, 1, 2, "two")
		for _, own := range []*types.FullBlock{one, two, one} {
			if err := b.InBlock(t.Context(), own, ""); err != nil {
				t.Fatal(err)
			}
		}
		both, err := types.NewTipSet([]*types.BlockHeader{one.Header, two.Header})
		if err != nil {
			t.Fatal(err)
		}
		b.head(both) // siblings make one tipset
		if n := len(b.engine.Judged()); n != 2 {
			t.Errorf("%d blocks judged", n)
		}
		elsewhere := b.remote.Extend(g, 3, 1, "a")
		orphan := b.remote.Block(elsewhere, 5, 1, "orphan")
		if err := b.InBlock(t.Context(), orphan, ""); !errors.Is(err, syncer.ErrNoParent) {
			t.Errorf("a block without parents: %v", err)
		}
		wrong := b.chain.Block(both, 2, 1, "wrong")
		b.engine.Forbid(wrong.Cid(), chaintest.ErrInvalid)
		for range 2 {
			if err := b.InBlock(t.Context(), wrong, ""); !errors.Is(err, syncer.ErrInvalid) {
				t.Errorf("an invalid block: %v", err)
			}
		}
	})
}

// An own block of which the weighing was cut short is in the store and not the head. When it
// comes again, as it does from a miner that could publish no other, it becomes the head.
func TestOwnBlockCutShort(t *testing.T) {
	sub(t, func(t *testing.T, b *bench) {
		b.start()
		own := b.chain.Block(b.chain.Genesis(), 1, 1, "own")
		if err := b.chain.PutFullBlock(t.Context(), own); err != nil {
			t.Fatal(err)
		}
		ts, err := types.NewTipSet([]*types.BlockHeader{own.Header})
		if err != nil {
			t.Fatal(err)
		}
		cut := func(context.Context, *types.TipSet) (big.Int, error) { return big.Int{}, context.Canceled }
		if _, err := b.chain.Offer(t.Context(), ts, cut); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		b.head(b.chain.Genesis())
		if err := b.InBlock(t.Context(), own, ""); err != nil {
			t.Fatal(err)
		}
		b.head(ts)
	})
}

func TestSynced(t *testing.T) {
	sub(t, func(t *testing.T, b *bench) {
		now := chaintest.Epochs().At(time.Now())
		b.start()
		select {
		case <-b.Synced():
			t.Fatal("a genesis of long ago counts as synced")
		case <-time.After(3 * time.Second):
		}
		if err := b.InBlock(t.Context(), b.chain.Block(b.chain.Genesis(), now-3, 1, "a"), ""); err != nil {
			t.Fatal(err)
		}
		select {
		case <-b.Synced():
		case <-time.After(3 * time.Second):
			t.Error("not synced with a young head")
		}
	})
}
