package syncer_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/chain/store"
	"github.com/lodenet/lode/chain/sync/chaintest"
	"github.com/lodenet/lode/chain/sync/exchange"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/network/dispatch"
)

// swap gives messages by CID from a store.
type swap struct{ types.Blocks }

func (s swap) GetBlocks(ctx context.Context, cids []cid.Cid) (<-chan blocks.Block, error) {
	out := make(chan blocks.Block)
	go func() {
		defer close(out)
		for _, c := range cids {
			b, err := s.Get(ctx, c)
			if err != nil {
				<-ctx.Done() // bitswap waits for what nobody has
				return
			}
			select {
			case out <- b:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

// gossip brings a block the way the network does.
func (b *bench) gossip(from string, block *types.FullBlock) {
	bls, secp := store.MessageLists(block)
	dispatch.Publish(b.topic, dispatch.Envelope[*types.BlockMsg]{
		From: from, Size: 1000, Msg: &types.BlockMsg{Header: block.Header, BlsMessages: bls, SecpkMessages: secp},
	})
	synctest.Wait()
}

func (b *bench) putMessages(where *chaintest.Chain, block *types.FullBlock) {
	b.t.Helper()
	for _, m := range block.BlsMessages {
		if err := where.PutMessages(b.t.Context(), m); err != nil {
			b.t.Fatal(err)
		}
	}
	for _, m := range block.SecpkMessages {
		if err := where.PutMessages(b.t.Context(), m); err != nil {
			b.t.Fatal(err)
		}
	}
}

// A gossip block finds its messages wherever they are.
func TestGossipBlock(t *testing.T) {
	for name, prepare := range map[string]func(b *bench, block *types.FullBlock){
		"in the store": func(b *bench, block *types.FullBlock) { b.putMessages(b.chain, block) },
		"in the pool": func(b *bench, block *types.FullBlock) {
			b.opt.Pool = func(c cid.Cid) (types.ChainMsg, bool) {
				for _, m := range block.BlsMessages { // the pool has signed forms
					if m.Cid() == c {
						return chaintest.Signed(string(m.Params)), true
					}
				}
				for _, m := range block.SecpkMessages {
					if m.Cid() == c {
						return m, true
					}
				}
				return nil, false
			}
		},
		"by bitswap": func(b *bench, block *types.FullBlock) {
			b.remote.fail(exchange.ErrNoPeers)
			other := chaintest.New(b.t)
			b.putMessages(other, block)
			b.opt.Swap = swap{other}
		},
		"by exchange": func(b *bench, block *types.FullBlock) {
			b.opt.Swap = swap{chaintest.New(b.t)} // which never answers
			if err := b.remote.PutFullBlock(b.t.Context(), block); err != nil {
				b.t.Fatal(err)
			}
		},
		"by exchange alone, late": func(b *bench, block *types.FullBlock) {
			b.remote.fail(exchange.ErrUnavailable)
			time.AfterFunc(5*time.Second, func() {
				b.remote.fail(b.remote.PutFullBlock(b.t.Context(), block))
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			sub(t, func(t *testing.T, b *bench) {
				block := b.chain.Block(b.chain.Genesis(), 1, 1, "a")
				prepare(b, block)
				b.start()
				b.gossip("p", block)
				time.Sleep(10 * time.Second)
				ts, _ := types.NewTipSet([]*types.BlockHeader{block.Header})
				b.head(ts)
				if b.session.useful != 1 || len(b.session.faults) != 0 {
					t.Errorf("useful %d, faults %v", b.session.useful, b.session.faults)
				}
				// Again: it is known.
				b.gossip("q", block)
				if n := len(b.engine.Judged()); n != 1 {
					t.Errorf("judged %d times", n)
				}
			})
		})
	}
}

// A block whose parents are unknown leads to a sync; one that arrives while its parent is
// being validated waits for it.
func TestGossipAhead(t *testing.T) {
	sub(t, func(t *testing.T, b *bench) {
		head := b.remote.Extend(b.remote.Genesis(), 20, 1, "a")
		full, err := b.remote.FullBlock(t.Context(), head.Blocks()[0])
		if err != nil {
			t.Fatal(err)
		}
		b.start()
		b.gossip("p", full)
		b.head(head)
		if len(b.session.faults) != 0 {
			t.Errorf("faults %v", b.session.faults)
		}
	})
}

func TestGossipWaitsForItsParent(t *testing.T) {
	sub(t, func(t *testing.T, b *bench) {
		b.remote.fail(exchange.ErrNoPeers) // there is no other way to the child
		b.slow = time.Second               // judged is not yet placed
		parent := b.chain.Block(b.chain.Genesis(), 1, 1, "parent")
		ts, err := types.NewTipSet([]*types.BlockHeader{parent.Header})
		if err != nil {
			t.Fatal(err)
		}
		child := b.chain.Block(ts, 2, 1, "child")
		b.putMessages(b.chain, parent)
		b.putMessages(b.chain, child)
		release := b.engine.Hold(parent.Cid())
		b.start()
		b.gossip("p", parent)
		synctest.Wait()       // it is being judged
		b.gossip("p", parent) // again meanwhile: judged once
		b.gossip("p", child)
		b.head(b.chain.Genesis())
		release()
		time.Sleep(3 * b.slow) // both find their places
		top, err := types.NewTipSet([]*types.BlockHeader{child.Header})
		if err != nil {
			t.Fatal(err)
		}
		b.head(top)
		if n := len(b.engine.Judged()); n != 2 {
			t.Errorf("%d judgements of two blocks", n)
		}
	})
}

// An invalid gossip block is remembered, but the peer that passed it on did no wrong.
func TestGossipInvalid(t *testing.T) {
	sub(t, func(t *testing.T, b *bench) {
		block := b.chain.Block(b.chain.Genesis(), 1, 1, "a")
		b.putMessages(b.chain, block)
		b.engine.Forbid(block.Cid(), chaintest.ErrInvalid)
		b.start()
		b.gossip("p", block)
		b.gossip("q", block)
		time.Sleep(time.Minute)
		b.head(b.chain.Genesis())
		if n := len(b.engine.Judged()); n != 1 || b.badBlocks() != 1 || len(b.session.faults) != 0 || b.session.useful != 0 {
			t.Errorf("judged %d times, %d bad, faults %v, useful %d", n, b.badBlocks(), b.session.faults, b.session.useful)
		}
	})
}

// A block that is a moment too early is taken a moment later.
func TestGossipEarly(t *testing.T) {
	sub(t, func(t *testing.T, b *bench) {
		block := b.chain.Block(b.chain.Genesis(), 1, 1, "a")
		if err := b.remote.PutFullBlock(t.Context(), block); err != nil {
			t.Fatal(err)
		}
		b.putMessages(b.chain, block)
		b.engine.Forbid(block.Cid(), errEarly)
		b.start()
		b.gossip("p", block)
		b.head(b.chain.Genesis())
		b.engine.Allow(block.Cid())
		time.Sleep(5 * time.Second)
		ts, _ := types.NewTipSet([]*types.BlockHeader{block.Header})
		b.head(ts)
		if b.badBlocks() != 0 {
			t.Error("it was called bad")
		}
	})
}
