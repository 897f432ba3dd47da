package minichain

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/account"
	init8 "github.com/filecoin-project/specs-actors/v8/actors/builtin/init"
	"github.com/filecoin-project/specs-actors/v8/actors/states"
	"github.com/filecoin-project/specs-actors/v8/actors/util/adt"
	"github.com/ipfs/go-cid"
	ipldcbor "github.com/ipfs/go-ipld-cbor"
	"github.com/lodenet/lode/chain/index"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/store"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/types/sigs"
	"github.com/stretchr/testify/require"
)

// Account is an account that the genesis has.
type Account struct {
	Key, ID address.Address
	Type    crypto.SigType
	Private []byte
}

// Chain is a chain that a test extends as it likes.
type Chain struct {
	*store.Store
	Accounts []Account
	// Fee is the base fee of every block made from now on.
	Fee abi.TokenAmount

	tb      testing.TB
	byKey   map[address.Address]Account
	tickets atomic.Uint64
}

// New makes a chain with a genesis and some accounts with a thousand FIL each; the even ones
// sign with BLS, the odd ones with secp256k1.
func New(tb testing.TB, accounts int) *Chain {
	tb.Helper()
	s, err := store.Open("chain", store.Options{FS: vfs.NewMem()})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, s.Close()) })
	c := &Chain{Store: s, tb: tb, Fee: types.MinimumBaseFee, byKey: map[address.Address]Account{}}
	for i := range accounts {
		typ := crypto.SigTypeBLS
		if i%2 == 1 {
			typ = crypto.SigTypeSecp256k1
		}
		private := sigs.KeyFromSeed([]byte(fmt.Sprint("account ", i))) // a scalar of either group
		a, err := sigs.Address(typ, private)
		require.NoError(tb, err)
		c.Accounts = append(c.Accounts, Account{Key: a, Type: typ, Private: private})
	}
	root := c.genesisState()
	for _, a := range c.Accounts {
		c.byKey[a.Key] = a
	}
	meta, err := store.PutMsgMeta(tb.Context(), s, nil, nil)
	require.NoError(tb, err)
	receipts, err := store.PutReceipts(tb.Context(), s, nil)
	require.NoError(tb, err)
	h := c.header(0, nil, root, receipts, meta)
	require.NoError(tb, s.SetGenesis(tb.Context(), h))
	return c
}

// KeyOf is the account with a key address.
func (c *Chain) KeyOf(a address.Address) (Account, bool) {
	k, ok := c.byKey[a]
	return k, ok
}

func (c *Chain) adt(ctx context.Context) adt.Store {
	return adt.WrapStore(ctx, ipldcbor.NewCborStore(c.Store))
}

func (c *Chain) genesisState() cid.Cid {
	ctx := c.tb.Context()
	s := c.adt(ctx)
	tree, err := states.NewTree(s)
	require.NoError(c.tb, err)
	ini, err := init8.ConstructState(s, "minichain")
	require.NoError(c.tb, err)
	for i := range c.Accounts {
		a := &c.Accounts[i]
		a.ID, err = ini.MapAddressToNewID(s, a.Key)
		require.NoError(c.tb, err)
		head, err := s.Put(ctx, &account.State{Address: a.Key})
		require.NoError(c.tb, err)
		require.NoError(c.tb, tree.SetActor(a.ID, &states.Actor{
			Code: builtin.AccountActorCodeID, Head: head, Balance: big.Mul(big.NewInt(1000), types.FilecoinPrecision),
		}))
	}
	head, err := s.Put(ctx, ini)
	require.NoError(c.tb, err)
	require.NoError(c.tb, tree.SetActor(builtin.InitActorAddr, &states.Actor{Code: builtin.InitActorCodeID, Head: head, Balance: big.Zero()}))
	return c.root(tree)
}

// root wraps the tree as the network's version has it.
func (c *Chain) root(tree *states.Tree) cid.Cid {
	actors, err := tree.Flush()
	require.NoError(c.tb, err)
	root, err := c.adt(c.tb.Context()).Put(c.tb.Context(), &types.StateRoot{
		Version: types.StateTreeVersion4, Actors: actors, Info: types.EmptyArrayCid,
	})
	require.NoError(c.tb, err)
	return root
}

func (c *Chain) header(h abi.ChainEpoch, parents []cid.Cid, state, receipts, meta cid.Cid) *types.BlockHeader {
	miner, err := address.NewIDAddress(1000 + c.tickets.Load()%7)
	require.NoError(c.tb, err)
	return &types.BlockHeader{
		Miner:                 miner,
		Ticket:                &types.Ticket{VRFProof: []byte(fmt.Sprint("ticket ", c.tickets.Add(1)))},
		ElectionProof:         &types.ElectionProof{WinCount: 1},
		BeaconEntries:         []types.BeaconEntry{},
		Parents:               parents,
		ParentWeight:          big.NewInt(int64(h)),
		Height:                h,
		ParentStateRoot:       state,
		ParentMessageReceipts: receipts,
		Messages:              meta,
		BLSAggregate:          &crypto.Signature{Type: crypto.SigTypeBLS},
		BlockSig:              &crypto.Signature{Type: crypto.SigTypeBLS},
		Timestamp:             uint64(h) * 30,
		ParentBaseFee:         c.Fee,
	}
}

// Sign signs a message with the key of its sender, which must be a key address.
func (c *Chain) Sign(m types.Message) *types.SignedMessage {
	c.tb.Helper()
	k, ok := c.byKey[m.From]
	require.True(c.tb, ok, "sender %s", m.From)
	sig, err := sigs.Sign(k.Type, k.Private, m.Cid().Bytes())
	require.NoError(c.tb, err)
	return &types.SignedMessage{Message: m, Signature: *sig}
}

// Mine makes a tipset of blocks with these messages on the head, and the new head.
func (c *Chain) Mine(blocks ...[]*types.SignedMessage) *types.TipSet {
	c.tb.Helper()
	ts := c.On(c.Head(), 0, blocks...)
	c.Go(ts)
	return ts
}

// Go makes a tipset the head.
func (c *Chain) Go(ts *types.TipSet) {
	c.tb.Helper()
	require.NoError(c.tb, c.SetHead(c.tb.Context(), ts))
}

// On makes a tipset of blocks on a parent, after some null rounds, and leaves the head. No
// block means one without messages.
func (c *Chain) On(parent *types.TipSet, nulls int, blocks ...[]*types.SignedMessage) *types.TipSet {
	c.tb.Helper()
	ctx := c.tb.Context()
	if len(blocks) == 0 {
		blocks = [][]*types.SignedMessage{nil}
	}
	state, receipts, err := c.State(ctx, parent)
	require.NoError(c.tb, err)
	var headers []*types.BlockHeader
	for _, msgs := range blocks {
		var bls, secp []cid.Cid
		for _, m := range msgs {
			require.NoError(c.tb, c.PutMessages(ctx, m))
			if m.Signature.Type == crypto.SigTypeBLS {
				bls = append(bls, m.Cid())
			} else {
				secp = append(secp, m.Cid())
			}
		}
		meta, err := store.PutMsgMeta(ctx, c.Store, bls, secp)
		require.NoError(c.tb, err)
		headers = append(headers, c.header(parent.Height()+1+abi.ChainEpoch(nulls), parent.Cids(), state, receipts, meta))
	}
	ts, err := types.NewTipSet(headers)
	require.NoError(c.tb, err)
	require.NoError(c.tb, c.PutTipSet(ctx, ts))
	return ts
}

// State is the state after a tipset, and its receipts.
func (c *Chain) State(ctx context.Context, ts *types.TipSet) (state, receipts cid.Cid, err error) {
	if state, receipts, ok, err := c.StateOf(ctx, ts.Key()); ok || err != nil {
		return state, receipts, err
	}
	if ts.Height() == 0 {
		return ts.ParentState(), ts.ParentReceipts(), nil
	}
	msgs, err := index.Executed(ctx, c.Store, ts)
	if err != nil {
		return cid.Undef, cid.Undef, err
	}
	root := ts.ParentState()
	var rs []types.MessageReceipt
	for _, m := range msgs {
		r := types.MessageReceipt{GasUsed: m.VMMessage().GasLimit}
		if root, err = c.apply(ctx, root, m.VMMessage()); err != nil {
			return cid.Undef, cid.Undef, fmt.Errorf("message %s in tipset %s: %w", m.Cid(), ts, err)
		}
		rs = append(rs, r)
	}
	if receipts, err = store.PutReceipts(ctx, c.Store, rs); err != nil {
		return cid.Undef, cid.Undef, err
	}
	return root, receipts, c.SetStateOf(ctx, ts.Key(), root, receipts)
}

// View is the state after a tipset.
func (c *Chain) View(ctx context.Context, ts *types.TipSet) (*view.View, error) {
	root, _, err := c.State(ctx, ts)
	if err != nil {
		return nil, err
	}
	return view.At(c.Store, root), nil
}

// BaseFee is Fee.
func (c *Chain) BaseFee(context.Context, *types.TipSet) (abi.TokenAmount, error) { return c.Fee, nil }

// apply moves the value and counts the nonce; a message that a valid block could not hold is
// an error.
func (c *Chain) apply(ctx context.Context, root cid.Cid, m *types.Message) (cid.Cid, error) {
	v := view.At(c.Store, root)
	var wrap types.StateRoot
	if err := c.adt(ctx).Get(ctx, root, &wrap); err != nil {
		return cid.Undef, err
	}
	tree, err := states.LoadTree(c.adt(ctx), wrap.Actors)
	if err != nil {
		return cid.Undef, err
	}
	change := func(a address.Address, f func(*states.Actor) error) error {
		id, err := v.LookupID(ctx, a)
		if err != nil {
			return err
		}
		act, found, err := tree.GetActor(id)
		if err != nil || !found {
			return fmt.Errorf("actor %s: found %t, %w", a, found, err)
		}
		if err := f(act); err != nil {
			return err
		}
		return tree.SetActor(id, act)
	}
	err = change(m.From, func(act *states.Actor) error {
		if act.CallSeqNum != m.Nonce {
			return fmt.Errorf("nonce %d, want %d", m.Nonce, act.CallSeqNum)
		}
		if need := big.Add(m.Value, m.RequiredFunds()); act.Balance.LessThan(need) {
			return fmt.Errorf("balance %s, need %s", act.Balance, need)
		}
		act.CallSeqNum++
		act.Balance = big.Sub(act.Balance, m.Value)
		return nil
	})
	if err != nil {
		return cid.Undef, err
	}
	if m.Method == 0 {
		err = change(m.To, func(act *states.Actor) error {
			act.Balance = big.Add(act.Balance, m.Value)
			return nil
		})
		if err != nil {
			return cid.Undef, err
		}
	}
	return c.root(tree), nil
}

// Plain is a plain transfer between two accounts.
func (c *Chain) Plain(from, to int, nonce uint64) types.Message {
	return types.Message{
		From: c.Accounts[from].Key, To: c.Accounts[to].Key, Nonce: nonce, Value: big.NewInt(1),
		GasLimit: 1_000_000, GasFeeCap: big.NewInt(1000), GasPremium: big.NewInt(500),
	}
}

// Transfer is Plain, signed.
func (c *Chain) Transfer(from, to int, nonce uint64) *types.SignedMessage {
	return c.Sign(c.Plain(from, to, nonce))
}
