package chaintest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/chain/store"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
)

// Epochs of the test network: it began long ago, and time in a test never runs out. Virtual
// time starts at 2000-01-01.
func Epochs() clock.Epochs { return clock.Epochs{Genesis: 946_684_800 - 10_000*4, Seconds: 4} }

// Chain is a store with a genesis. Every Chain has the same genesis unless told otherwise.
type Chain struct {
	*store.Store
	t testing.TB
}

// New makes a chain; it is closed at the end of the test.
func New(t testing.TB) *Chain { return NewWith(t, "genesis") }

// NewWith makes a chain whose genesis depends on a name.
func NewWith(t testing.TB, name string) *Chain {
	t.Helper()
	s, err := store.Open("chain", store.Options{FS: vfs.NewMem(), CacheBytes: 1 << 20, MemTableBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	c := &Chain{Store: s, t: t}
	g := c.Block(nil, 0, 0, name)
	g.Header.Parents = nil
	if err := s.PutFullBlock(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if err := s.SetGenesis(t.Context(), g.Header); err != nil {
		t.Fatal(err)
	}
	return c
}

// signature is well formed and signs nothing.
func signature(n int) *crypto.Signature {
	return &crypto.Signature{Type: crypto.SigTypeBLS, Data: make([]byte, n)}
}

func idAddress(id uint64) address.Address {
	a, err := address.NewIDAddress(id)
	if err != nil {
		panic(err)
	}
	return a
}

// Message makes a message; different names are different messages.
func Message(name string) *types.Message {
	return &types.Message{
		To: idAddress(100), From: idAddress(101), Value: big.NewInt(1), GasLimit: 1000,
		GasFeeCap: big.NewInt(1), GasPremium: big.NewInt(1), Params: []byte(name),
	}
}

// Signed makes a message that a secp256k1 key might have signed.
func Signed(name string) *types.SignedMessage {
	return &types.SignedMessage{
		Message: *Message(name), Signature: crypto.Signature{Type: crypto.SigTypeSecp256k1, Data: make([]byte, 65)},
	}
}

// Block makes a block that is not stored. Its messages are named after it and one is shared
// by all blocks of a height.
func (c *Chain) Block(parent *types.TipSet, h abi.ChainEpoch, miner uint64, name string) *types.FullBlock {
	c.t.Helper()
	b := &types.FullBlock{
		BlsMessages:   []*types.Message{Message(fmt.Sprint("shared ", h)), Message(name)},
		SecpkMessages: []*types.SignedMessage{Signed(name)},
	}
	bls, secp := store.MessageLists(b)
	meta, err := store.PutMsgMeta(context.WithoutCancel(c.t.Context()), &types.MemBlocks{}, bls, secp)
	if err != nil {
		c.t.Fatal(err)
	}
	b.Header = &types.BlockHeader{
		Miner:                 idAddress(1000 + miner),
		Ticket:                &types.Ticket{VRFProof: binary.BigEndian.AppendUint64([]byte(name), miner)},
		ElectionProof:         &types.ElectionProof{WinCount: 1, VRFProof: []byte{1}},
		Height:                h,
		ParentStateRoot:       types.EmptyArrayCid,
		ParentMessageReceipts: types.EmptyAMTCid,
		Messages:              meta,
		ParentWeight:          big.Zero(),
		BLSAggregate:          signature(96),
		BlockSig:              signature(96),
		Timestamp:             Epochs().Timestamp(h),
		ParentBaseFee:         big.NewInt(100),
	}
	if parent != nil {
		b.Header.Parents = parent.Cids()
		b.Header.ParentWeight = weight(parent)
	}
	return b
}

// weight counts blocks.
func weight(ts *types.TipSet) big.Int {
	return big.Add(ts.ParentWeight(), big.NewInt(int64(len(ts.Blocks()))))
}

// Add stores blocks of one tipset as validated and moves the head when that is heavier.
func (c *Chain) Add(blocks ...*types.FullBlock) *types.TipSet {
	c.t.Helper()
	ts, err := (&types.FullTipSet{Blocks: blocks}).TipSet()
	if err != nil {
		c.t.Fatal(err)
	}
	for _, b := range blocks {
		if err := c.PutFullBlock(c.t.Context(), b); err != nil {
			c.t.Fatal(err)
		}
	}
	if _, err := c.Offer(c.t.Context(), ts, Weigh); err != nil {
		c.t.Fatal(err)
	}
	return ts
}

// Extend adds n tipsets of some blocks each on a tipset, with a null round now and then. The
// name tells branches apart.
func (c *Chain) Extend(on *types.TipSet, n, blocks int, name string) *types.TipSet {
	c.t.Helper()
	for i := range n {
		h := on.Height() + 1
		if i%5 == 4 {
			h++
		}
		var bs []*types.FullBlock
		for m := range blocks {
			bs = append(bs, c.Block(on, h, uint64(m), fmt.Sprint(name, " ", h, " ", m)))
		}
		on = c.Add(bs...)
	}
	return on
}

// Weigh is the weight rule of test chains.
func Weigh(_ context.Context, ts *types.TipSet) (big.Int, error) { return weight(ts), nil }

// ErrInvalid is what Engine says of an invalid block.
var ErrInvalid = errors.New("breaks the test chain's rule")

// Engine is a consensus with two rules: the parents are stored whole, and no block was
// named in Forbid.
type Engine struct {
	Chain *store.Store

	mu     sync.Mutex
	forbid map[cid.Cid]error         // guarded by mu
	hold   map[cid.Cid]chan struct{} // guarded by mu
	seen   []cid.Cid                 // guarded by mu: what was judged, in order
}

// Forbid makes a block fail with an error.
func (e *Engine) Forbid(c cid.Cid, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.forbid == nil {
		e.forbid = make(map[cid.Cid]error)
	}
	e.forbid[c] = err
}

// Hold makes the judgement of a block wait until release is called.
func (e *Engine) Hold(c cid.Cid) (release func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.hold == nil {
		e.hold = make(map[cid.Cid]chan struct{})
	}
	gate := make(chan struct{})
	e.hold[c] = gate
	return func() { close(gate) }
}

// Allow takes a Forbid back.
func (e *Engine) Allow(c cid.Cid) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.forbid, c)
}

// Judged lists the blocks that were validated, in order.
func (e *Engine) Judged() []cid.Cid {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]cid.Cid(nil), e.seen...)
}

// ValidateBlock implements syncer.Engine.
func (e *Engine) ValidateBlock(ctx context.Context, b *types.FullBlock) error {
	e.mu.Lock()
	e.seen = append(e.seen, b.Cid())
	err := e.forbid[b.Cid()]
	gate := e.hold[b.Cid()]
	e.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err != nil {
		return err
	}
	parent, err := e.Chain.TipSet(ctx, types.NewTipSetKey(b.Header.Parents...))
	if err != nil {
		return err
	}
	if _, err := e.Chain.TipSetMessages(ctx, parent); err != nil {
		return fmt.Errorf("messages of the parents: %w", err)
	}
	if !b.Header.ParentWeight.Equals(weight(parent)) {
		return fmt.Errorf("%w: parent weight", ErrInvalid)
	}
	return nil
}

// Weight implements syncer.Engine.
func (e *Engine) Weight(ctx context.Context, ts *types.TipSet) (big.Int, error) {
	return Weigh(ctx, ts)
}
