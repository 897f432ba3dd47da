package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/multiformats/go-multihash"
	"github.com/multiformats/go-varint"
	"github.com/stretchr/testify/require"
	cbg "github.com/whyrusleeping/cbor-gen"

	"github.com/lodenet/lode/chain/types"
)

func message(t T, nonce uint64) *types.Message {
	from, err := address.NewIDAddress(100)
	require.NoError(t, err)
	return &types.Message{To: from, From: from, Nonce: nonce, Value: big.Zero(), GasLimit: 1, GasFeeCap: big.Zero(), GasPremium: big.Zero()}
}

func signed(t T, nonce uint64) *types.SignedMessage {
	return &types.SignedMessage{Message: *message(t, nonce), Signature: crypto.Signature{Type: crypto.SigTypeSecp256k1, Data: make([]byte, 65)}}
}

func fullBlock(t testing.TB, s *Store, on *types.TipSet, miner uint64, bls, secp int) *types.FullBlock {
	b := &types.FullBlock{Header: header(t, on, miner, on.Height()+1, 0, 1)}
	for i := range bls {
		b.BlsMessages = append(b.BlsMessages, message(t, uint64(i)))
	}
	for i := range secp {
		b.SecpkMessages = append(b.SecpkMessages, signed(t, uint64(i)))
	}
	blsCids, secpCids := MessageLists(b)
	meta, err := PutMsgMeta(t.Context(), &types.MemBlocks{}, blsCids, secpCids)
	require.NoError(t, err)
	b.Header.Messages = meta
	return b
}

func TestMessages(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, vfs.NewMem())
	g := genesis(t, s)
	a, b := fullBlock(t, s, g, 1, 20, 9), fullBlock(t, s, g, 2, 0, 0)
	_, _, err := s.BlockMessages(ctx, a.Header)
	require.True(t, ipld.IsNotFound(err))
	require.NoError(t, s.PutFullBlock(ctx, a))
	require.NoError(t, s.PutFullBlock(ctx, b))

	got, err := s.FullBlock(ctx, a.Header)
	require.NoError(t, err)
	require.Equal(t, a, got)
	ts := tipset(t, a.Header, b.Header)
	all, err := s.TipSetMessages(ctx, ts)
	require.NoError(t, err)
	require.Len(t, all, 2)
	for i, bm := range all {
		require.Equal(t, ts.Blocks()[i].Miner, bm.Miner)
		require.Equal(t, int64(1), bm.WinCount)
		if bm.Miner == a.Header.Miner {
			require.Len(t, bm.BlsMessages, 20)
			require.Len(t, bm.SecpkMessages, 9)
			require.Equal(t, a.SecpkMessages[3].Cid(), bm.SecpkMessages[3].Cid())
		} else {
			require.Empty(t, bm.BlsMessages)
			require.Empty(t, bm.SecpkMessages)
		}
	}
	m, err := s.Message(ctx, a.SecpkMessages[0].Cid())
	require.NoError(t, err)
	require.IsType(t, &types.SignedMessage{}, m)
	_, err = s.Message(ctx, a.Cid())
	require.ErrorIs(t, err, ErrNotMessage)

	// Swapped lists: each message is in the list of the other kind.
	bls, secp := MessageLists(a)
	swapped := *a.Header
	swapped.Messages, err = PutMsgMeta(ctx, s, secp, bls)
	require.NoError(t, err)
	_, _, err = s.BlockMessages(ctx, &swapped)
	require.ErrorIs(t, err, ErrNotMessage)
	require.Error(t, s.PutFullBlock(ctx, &types.FullBlock{Header: a.Header}), "messages that the header does not name")

	rs := []types.MessageReceipt{{ExitCode: 1, Return: []byte{2}, GasUsed: 3}, {GasUsed: 9}}
	root, err := PutReceipts(ctx, s, rs)
	require.NoError(t, err)
	back, err := s.Receipts(ctx, root)
	require.NoError(t, err)
	require.Equal(t, rs, back)
}

func TestNotes(t *testing.T) {
	ctx := t.Context()
	fs := vfs.NewMem()
	s := open(t, fs)
	g := genesis(t, s)
	now := time.Unix(5000, 0).UTC()
	state := testCid(t, "state", 5)
	_, _, ok, err := s.StateOf(ctx, g.Key())
	require.NoError(t, err)
	require.False(t, ok)
	require.NoError(t, s.SetStateOf(ctx, g.Key(), state, types.EmptyAMTCid))
	bad := testCid(t, "bad", 1)
	require.NoError(t, s.MarkBad(ctx, bad, "smells", now))
	require.NoError(t, s.MarkBad(ctx, testCid(t, "bad", 2), "too", now))
	require.NoError(t, s.UnmarkBad(ctx, testCid(t, "bad", 2)))
	require.NoError(t, s.Close())

	s = open(t, fs)
	defer func() { require.NoError(t, s.Close()) }()
	root, receipts, ok, err := s.StateOf(ctx, g.Key())
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, []cid.Cid{state, types.EmptyAMTCid}, []cid.Cid{root, receipts})
	b, found, err := s.Bad(ctx, bad)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, BadBlock{Cid: bad, Reason: "smells", Since: now}, b)
	_, found, err = s.Bad(ctx, testCid(t, "bad", 2))
	require.NoError(t, err)
	require.False(t, found)
	list, err := s.BadBlocks(ctx, 10)
	require.NoError(t, err)
	require.Equal(t, []BadBlock{b}, list)
}

func TestBlockstore(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, vfs.NewMem())
	raw := []byte("some bytes")
	c, err := types.CidBuilder.Sum(raw)
	require.NoError(t, err)
	b, err := blocks.NewBlockWithCid(raw, c)
	require.NoError(t, err)
	_, err = s.Get(ctx, c)
	require.True(t, ipld.IsNotFound(err))
	_, err = s.GetSize(ctx, c)
	require.True(t, ipld.IsNotFound(err))
	_, err = s.Get(ctx, cid.Undef)
	require.True(t, ipld.IsNotFound(err))
	require.NoError(t, s.Put(ctx, b))
	require.NoError(t, s.Put(ctx, b))
	got, err := s.Get(ctx, c)
	require.NoError(t, err)
	require.Equal(t, raw, got.RawData())
	has, err := s.Has(ctx, cid.NewCidV1(cid.Raw, c.Hash()))
	require.NoError(t, err)
	require.True(t, has, "another codec, same bytes")

	mh, err := multihash.Sum([]byte("fil/8/account"), multihash.IDENTITY, -1)
	require.NoError(t, err)
	id := cid.NewCidV1(cid.Raw, mh)
	got, err = s.Get(ctx, id)
	require.NoError(t, err)
	require.Equal(t, "fil/8/account", string(got.RawData()))

	keys, err := s.AllKeysChan(ctx)
	require.NoError(t, err)
	var list []cid.Cid
	for k := range keys {
		list = append(list, k)
	}
	require.Equal(t, []cid.Cid{cid.NewCidV1(cid.Raw, c.Hash())}, list)
	require.NoError(t, s.DeleteBlock(ctx, c))
	has, err = s.Has(ctx, c)
	require.NoError(t, err)
	require.False(t, has)

	canceled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = s.Get(canceled, c)
	require.ErrorIs(t, err, context.Canceled)
}

func TestClosedStoreAnswers(t *testing.T) {
	ctx := t.Context()
	s := open(t, vfs.NewMem())
	g := genesis(t, s)
	f, err := s.Follow(ctx, "x")
	require.NoError(t, err)
	var wg sync.WaitGroup
	errs := make([]error, 3)
	wg.Go(func() { _, errs[0] = f.Next(ctx) })
	wg.Go(func() { _, errs[1] = s.HeadChanged(ctx, g.Key()) })
	keys, err := s.AllKeysChan(ctx) // nobody reads
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	wg.Wait()
	for range keys { // wait for the end
	}
	_, errs[2] = s.Get(ctx, g.Cids()[0])
	for _, err := range errs {
		require.ErrorIs(t, err, ErrClosed)
	}
	require.ErrorIs(t, s.Put(ctx, blocks.NewBlock(nil)), ErrClosed)
	_, err = s.Offer(ctx, tipset(t, header(t, g, 1, 1, 0, 1)), weigh)
	require.ErrorIs(t, err, ErrClosed)
}

// Followers and HeadChanged sleep until the head changes, and a follower that sleeps holds
// nothing up.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, vfs.NewMem())
		g := genesis(t, s)
		f, err := s.Follow(t.Context(), "")
		require.NoError(t, err)
		got := make(chan Change, 1)
		heads := make(chan *types.TipSet, 1)
		go func() {
			c, err := f.Next(t.Context())
			if err == nil {
				got <- c
			}
		}()
		go func() {
			h, err := s.HeadChanged(t.Context(), g.Key())
			if err == nil {
				heads <- h
			}
		}()
		synctest.Wait()
		require.Empty(t, got)
		require.Empty(t, heads)
		ts := chain(t, s, g, 1, 1)[0]
		require.Equal(t, []*types.TipSet{ts}, (<-got).Apply)
		require.Equal(t, ts.Key(), (<-heads).Key())

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.NoError(t, f.Done(ctx, Change{end: ts.Key()}))
		_, err = f.Next(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestUnknownCursor(t *testing.T) {
	s := newStore(t, vfs.NewMem())
	g := genesis(t, s)
	f, err := s.Follow(t.Context(), "", From(tipset(t, header(t, g, 1, 1, 0, 1)).Key()))
	require.NoError(t, err)
	_, err = f.Next(t.Context())
	require.ErrorIs(t, err, ErrUnknownCursor)

	f, err = s.Follow(t.Context(), "n", FromGenesis())
	require.NoError(t, err)
	require.NoError(t, f.Done(t.Context(), Change{end: chain(t, s, g, 1, 2)[1].Key()}))
	require.NoError(t, s.Forget(t.Context(), "n"))
	f, err = s.Follow(t.Context(), "n", FromGenesis())
	require.NoError(t, err)
	require.Equal(t, g.Key(), f.Cursor())
}

// snapshot builds a chain whose objects are all there, in another store.
func snapshot(t testing.TB) (*Store, *types.TipSet) {
	ctx := t.Context()
	s := newStore(t, vfs.NewMem())
	object := func(v cbg.CBORMarshaler) cid.Cid {
		var buf bytes.Buffer
		require.NoError(t, v.MarshalCBOR(&buf))
		c, err := types.CidBuilder.Sum(buf.Bytes())
		require.NoError(t, err)
		b, err := blocks.NewBlockWithCid(buf.Bytes(), c)
		require.NoError(t, err)
		require.NoError(t, s.Put(ctx, b))
		return c
	}
	empty, err := PutReceipts(ctx, s, nil)
	require.NoError(t, err)
	meta, err := PutMsgMeta(ctx, s, nil, nil)
	require.NoError(t, err)
	leaf := object(message(t, 77))
	g := header(t, nil, 0, 0, 0, 0)
	g.Parents = []cid.Cid{object(message(t, 78))}
	g.Messages, g.ParentStateRoot = meta, object(&types.MsgMeta{BlsMessages: leaf, SecpkMessages: leaf})
	require.NoError(t, s.SetGenesis(ctx, g))
	ts := s.Genesis()
	for range 6 {
		b := fullBlock(t, s, ts, 1, 3, 2)
		b.Header.ParentStateRoot = object(&types.MsgMeta{BlsMessages: leaf, SecpkMessages: object(message(t, uint64(ts.Height())))})
		b.Header.ParentMessageReceipts = empty
		require.NoError(t, s.PutFullBlock(ctx, b))
		ts = tipset(t, b.Header)
		_, err := s.Offer(ctx, ts, weigh)
		require.NoError(t, err)
	}
	return s, ts
}

func TestSnapshot(t *testing.T) {
	ctx := t.Context()
	from, head := snapshot(t)
	var car bytes.Buffer
	require.NoError(t, from.Export(ctx, &car, head, 3))

	to := newStore(t, vfs.NewMem())
	got, err := to.ImportSnapshot(ctx, bytes.NewReader(car.Bytes()))
	require.NoError(t, err)
	require.Equal(t, head.Key(), got.Key())
	require.Equal(t, head.Key(), to.Head().Key())
	require.Equal(t, from.Genesis().Key(), to.Genesis().Key())
	for ts := head; ; {
		has, err := to.Has(ctx, ts.ParentState())
		require.NoError(t, err)
		require.Equal(t, ts.Height() > head.Height()-3 || ts.Height() == 0, has, "state at %d", ts.Height())
		if ts.Height() == 0 {
			break
		}
		_, _, err = to.BlockMessages(ctx, ts.Blocks()[0])
		require.NoError(t, err)
		ts, err = to.TipSetAt(ctx, ts.Height()-1, nil)
		require.NoError(t, err)
	}
	// Into a store of another network.
	other := newStore(t, vfs.NewMem())
	genesis(t, other)
	_, err = other.ImportSnapshot(ctx, bytes.NewReader(car.Bytes()))
	require.ErrorIs(t, err, ErrGenesisMismatch)
	require.Equal(t, other.Genesis().Key(), other.Head().Key())
}

func TestBadCARs(t *testing.T) {
	from, head := snapshot(t)
	var buf bytes.Buffer
	require.NoError(t, from.Export(t.Context(), &buf, head, 3))
	good := buf.Bytes()
	flip := bytes.Clone(good)
	flip[len(flip)-1] ^= 1
	huge := append(bytes.Clone(good), varint.ToUvarint(1<<40)...)
	var v2 bytes.Buffer
	v2.WriteString("\x0a\xa1\x67version\x02")
	for name, raw := range map[string][]byte{
		"empty":        {},
		"text":         []byte(strings.Repeat("hello ", 100)),
		"cut":          good[:len(good)-3],
		"flipped bit":  flip,
		"huge section": huge,
		"huge header":  append(varint.ToUvarint(1<<50), good...),
		"version 2":    v2.Bytes(),
		"other head":   good[:60],
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, vfs.NewMem())
			_, err := s.ImportSnapshot(t.Context(), bytes.NewReader(raw))
			require.ErrorIs(t, err, ErrCAR)
			require.Nil(t, s.Head())
		})
	}
}

func FuzzImportCAR(f *testing.F) {
	from, head := snapshot(f)
	var buf bytes.Buffer
	require.NoError(f, from.Export(f.Context(), &buf, head, 2))
	f.Add(buf.Bytes())
	f.Add([]byte{})
	f.Add(binary.AppendUvarint(nil, 1<<60))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := newStore(t, vfs.NewMem())
		head, err := s.ImportSnapshot(t.Context(), bytes.NewReader(raw))
		if (err == nil) != (s.Head() != nil) || (err == nil && !head.Equals(s.Head())) {
			t.Fatalf("head %v, imported %v, err %v", s.Head(), head, err)
		}
	})
}

func FuzzMessage(f *testing.F) {
	for _, m := range []types.ChainMsg{message(noT{}, 1), signed(noT{}, 2)} {
		b, err := m.ToStorageBlock()
		require.NoError(f, err)
		f.Add(b.RawData())
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := newStore(t, vfs.NewMem())
		c, err := types.CidBuilder.Sum(raw)
		require.NoError(t, err)
		b, err := blocks.NewBlockWithCid(raw, c)
		require.NoError(t, err)
		require.NoError(t, s.Put(t.Context(), b))
		m, err := s.Message(t.Context(), c)
		if err != nil {
			if !errors.Is(err, ErrNotMessage) {
				t.Fatal(err)
			}
			return
		}
		m.VMMessage().Cid() // must be encodable
		_ = m.ChainLength()
	})
}
