package devnet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/mpool"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/node"
)

// head is the key of the head.
var head = types.TipSetKey{}

// apiTest is a network of a miner and a client, and the two nodes' methods.
type apiTest struct {
	ctx   context.Context // of one test
	net   *Network
	miner *node.API
	*node.API
}

// TestAPI asks two nodes of a living network everything that does not belong to a role.
func TestAPI(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	n, err := Launch(ctx, t.TempDir(), testSpec(2), clock.System{}, testLog(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	for _, nd := range n.Nodes {
		if _, err := nd.AwaitHeight(ctx, 3); err != nil {
			t.Fatal(err)
		}
	}
	a := &apiTest{ctx, n, n.Nodes[0].API(), n.Nodes[1].API()}
	for _, c := range []struct {
		name string
		run  func(*testing.T, *apiTest)
	}{
		{"common", testCommon},
		{"wallet", testWallet},
		{"message of the wallet", testMessage},
		{"message signed elsewhere", testSigned},
		{"pool", testPool},
		{"notify", testNotify},
		{"chain", testChain},
		{"objects", testObjects},
		{"state", testState},
		{"miner", testMiner},
		{"calls", testCalls},
		{"nothing there", testUnknown},
		{"network", testNetwork},
		{"peers", testPeers},
		{"tunnels", testTunnels},
		{"shutdown", testShutdown},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, a) })
	}
}

// must gives a result of a method that does not fail.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func testCommon(t *testing.T, a *apiTest) {
	v := must[api.Version](t)(a.Version(a.ctx))
	if v.BlockDelay != 1 || v.Network != a.net.Birth.Network.Name || v.APIVersion != api.APIVersion || v.Proofs != types.ProofsInsecure {
		t.Errorf("version: got %+v", v)
	}
	other, err := a.miner.Session(a.ctx)
	if mine, err2 := a.Session(a.ctx); err != nil || err2 != nil || mine == other {
		t.Errorf("sessions of two nodes: got %v and %v", mine, other)
	}
	started := must[time.Time](t)(a.StartTime(a.ctx))
	if age := time.Since(started); age < 0 || age > 10*time.Minute { // which is the limit of the test
		t.Errorf("started %s ago", age)
	}
	status := func(chain bool) api.NodeStatus { // a busy machine is late for a while, and says so
		end := time.Now().Add(5 * time.Minute)
		for {
			s := must[api.NodeStatus](t)(a.NodeStatus(a.ctx, chain))
			if s.Healthy && s.SyncStatus.Behind <= 5 || time.Now().After(end) {
				return s
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	s := status(true)
	if !s.Healthy || s.Reason != "" || s.SyncStatus.Epoch < 3 || s.SyncStatus.Behind > 5 {
		t.Errorf("status: got %+v", s)
	}
	if c := s.ChainStatus; c.BlocksPerTipsetLast100 != 1 || c.BlocksPerTipsetLastFinality != 1 || c.BaseFee.Sign() <= 0 {
		t.Errorf("a chain of one miner: got %+v", c)
	}
	if s := status(false); !s.Healthy || s.ChainStatus.BlocksPerTipsetLast100 != 0 {
		t.Errorf("status without chain: got %+v", s)
	}
	sync := must[*api.SyncState](t)(a.SyncState(a.ctx))
	if len(sync.ActiveSyncs) != 1 || sync.VMApplied == 0 {
		t.Errorf("sync: got %+v", sync)
	}
}

// testMessage follows a message from the wallet to every place where it can be found.
func testMessage(t *testing.T, a *apiTest) {
	from := must[address.Address](t)(a.WalletDefaultAddress(a.ctx))
	to := must[address.Address](t)(a.WalletNew(a.ctx, api.KeySecp256k1))
	value := big.NewInt(1_000_000_000_000_000) // more than gas costs
	msg := &types.Message{From: from, To: to, Value: value}
	nonce := must[uint64](t)(a.MpoolGetNonce(a.ctx, from))

	spec := &api.MessageSendSpec{MsgUuid: "one"}
	sent := must[*types.SignedMessage](t)(a.MpoolPushMessage(a.ctx, msg, spec))
	if sent.Message.Nonce != nonce || sent.Message.GasLimit == 0 {
		t.Errorf("sent: got %+v, want nonce %d and gas", sent.Message, nonce)
	}
	if again := must[*types.SignedMessage](t)(a.MpoolPushMessage(a.ctx, msg, spec)); again.Cid() != sent.Cid() {
		t.Errorf("the same uuid sent %s after %s", again.Cid(), sent.Cid())
	}
	if got := must[uint64](t)(a.MpoolGetNonce(a.ctx, from)); got != nonce+1 {
		t.Errorf("next nonce: got %d, want %d", got, nonce+1)
	}
	found := must[*api.MsgLookup](t)(a.StateWaitMsg(a.ctx, sent.Cid(), 2, -1, true))
	checkPlaces(t, a, &sent.Message, sent.Cid(), found)

	ts := must[*types.TipSet](t)(a.ChainGetTipSet(a.ctx, found.TipSet))
	if _, err := a.StateGetActor(a.ctx, to, ts.Parents()); !errors.Is(err, api.ErrActorNotFound) {
		t.Errorf("recipient below the message's tipset: got %v, want %v", err, api.ErrActorNotFound)
	}
	if act := must[*types.Actor](t)(a.StateGetActor(a.ctx, to, found.TipSet)); !act.Balance.Equals(value) {
		t.Errorf("balance of the recipient: got %s, want %s", act.Balance, value)
	}
	before := must[*types.Actor](t)(a.StateGetActor(a.ctx, from, ts.Parents()))
	after := must[*types.Actor](t)(a.StateGetActor(a.ctx, from, found.TipSet))
	paid := big.Sub(before.Balance, after.Balance)
	if after.Nonce != nonce+1 || paid.LessThan(value) || paid.GreaterThan(big.Add(value, sent.Message.RequiredFunds())) {
		t.Errorf("sender: got nonce %d and %s paid", after.Nonce, paid)
	}
	// A call on the message's tipset comes after the message, which took money; on the one
	// below it does not.
	all := &types.Message{From: from, To: to, Value: before.Balance}
	if r := must[*api.InvocResult](t)(a.StateCall(a.ctx, all, ts.Parents())); r.MsgRct.ExitCode != int64(exitcode.SysErrInsufficientFunds) {
		t.Errorf("call after the message: got %+v", r.MsgRct)
	}
	below := must[*types.TipSet](t)(a.ChainGetTipSet(a.ctx, ts.Parents())).Parents()
	if r := must[*api.InvocResult](t)(a.StateCall(a.ctx, all, below)); r.MsgRct.ExitCode != int64(exitcode.Ok) {
		t.Errorf("call before the message: got %+v", r.MsgRct)
	}
	if got := must[abi.TokenAmount](t)(a.WalletBalance(a.ctx, to)); !got.Equals(value) {
		t.Errorf("wallet: got %s, want %s", got, value)
	}
	// The recipient has nothing for the gas beside it.
	if _, err := a.MpoolPushMessage(a.ctx, &types.Message{From: to, To: from, Value: value}, nil); err == nil || !strings.Contains(err.Error(), "gas included") {
		t.Errorf("push of the whole balance: got %v, want what is needed with gas", err)
	}
	if _, err := a.MarketAddBalance(a.ctx, to, to, value); err == nil || !strings.Contains(err.Error(), "gas included") {
		t.Errorf("escrow of the whole balance: got %v, want what is needed with gas", err)
	}
	half := &types.Message{From: to, To: from, Value: big.Div(value, big.NewInt(2))}
	if m := must[*types.SignedMessage](t)(a.MpoolPushMessage(a.ctx, half, nil)); m.Message.Nonce != 0 {
		t.Errorf("push of half the balance: got nonce %d, want 0", m.Message.Nonce)
	}
	// The other node saw the same.
	if l := must[*api.MsgLookup](t)(a.miner.StateWaitMsg(a.ctx, sent.Cid(), 0, -1, false)); l.TipSet != found.TipSet {
		t.Errorf("the miner found it in %s, the client in %s", l.TipSet, found.TipSet)
	}
}

// checkPlaces looks a message up by every method.
func checkPlaces(t *testing.T, a *apiTest, msg *types.Message, c cid.Cid, found *api.MsgLookup) {
	t.Helper()
	if found.Message != c || found.Receipt.ExitCode != int64(exitcode.Ok) || found.Receipt.GasUsed == 0 {
		t.Fatalf("lookup: got %+v, want %s and a good receipt", found, c)
	}
	searched := must[*api.MsgLookup](t)(a.StateSearchMsg(a.ctx, head, c, -1, false))
	if searched == nil || searched.TipSet != found.TipSet || searched.Height != found.Height || !searched.Receipt.Equals(&found.Receipt) {
		t.Errorf("search: got %+v, want %+v", searched, found)
	}
	if got := must[*types.Message](t)(a.ChainGetMessage(a.ctx, c)); got.Cid() != msg.Cid() {
		t.Errorf("message: got %+v, want %+v", got, msg)
	}
	ts := must[*types.TipSet](t)(a.ChainGetTipSet(a.ctx, found.TipSet))
	if ts.Height() != found.Height {
		t.Errorf("height: got %d, the tipset has %d", found.Height, ts.Height())
	}
	for _, b := range ts.Cids() {
		msgs := must[[]api.ParentMessage](t)(a.ChainGetParentMessages(a.ctx, b))
		receipts := must[[]*types.MessageReceipt](t)(a.ChainGetParentReceipts(a.ctx, b))
		if len(msgs) != len(receipts) {
			t.Fatalf("block %s: %d messages and %d receipts", b, len(msgs), len(receipts))
		}
		i := position(msgs, c)
		if i < 0 || !receipts[i].Equals(&found.Receipt) || msgs[i].Message.Cid() != msg.Cid() {
			t.Errorf("block %s has the message at %d of %d", b, i, len(msgs))
		}
	}
	if i := position(must[[]api.ParentMessage](t)(a.ChainGetMessagesInTipset(a.ctx, ts.Parents())), c); i < 0 {
		t.Errorf("message is not in its tipset %s", ts.Parents())
	}
	included := 0
	for _, b := range ts.Parents().Cids() {
		in := must[*api.BlockMessages](t)(a.ChainGetBlockMessages(a.ctx, b))
		if len(in.Cids) != len(in.BlsMessages)+len(in.SecpkMessages) {
			t.Errorf("block %s: %d CIDs for %d and %d messages", b, len(in.Cids), len(in.BlsMessages), len(in.SecpkMessages))
		}
		for i, got := range in.Cids {
			if got == c {
				included++
				if i >= len(in.BlsMessages) && in.SecpkMessages[i-len(in.BlsMessages)].Cid() != c {
					t.Errorf("block %s: CID %d is of another message", b, i)
				}
			}
		}
	}
	if included == 0 {
		t.Errorf("message is in no block of %s", ts.Parents())
	}
}

func position(msgs []api.ParentMessage, c cid.Cid) int {
	for i, m := range msgs {
		if m.Cid == c {
			return i
		}
	}
	return -1
}

// testSigned sends a message as a wallet elsewhere would, from a BLS key.
func testSigned(t *testing.T, a *apiTest) {
	from := must[address.Address](t)(a.miner.WalletDefaultAddress(a.ctx))
	to := must[address.Address](t)(a.WalletDefaultAddress(a.ctx))
	m := must[*types.Message](t)(a.miner.GasEstimateMessageGas(a.ctx, &types.Message{From: from, To: to, Value: big.NewInt(5)}, nil, head))
	for i := 0; ; i++ {
		m.Nonce = must[uint64](t)(a.miner.MpoolGetNonce(a.ctx, from))
		sent := must[*types.SignedMessage](t)(a.miner.WalletSignMessage(a.ctx, from, m))
		c, err := a.miner.MpoolPush(a.ctx, sent)
		if err != nil && i < 9 {
			continue // the storage miner sends from the same key, and was faster
		}
		if err != nil || c != m.Cid() {
			t.Fatalf("push: got %s and %v, want the CID %s of the unsigned message", c, err, m.Cid())
		}
		again, err := a.miner.MpoolPush(a.ctx, sent)
		if errors.Is(err, mpool.ErrNonceTooLow) && i < 9 {
			continue // a block took it in between
		}
		if err != nil || again != c {
			t.Errorf("pushed again: got %s and %v, want %s", again, err, c)
		}
		break
	}
	found := must[*api.MsgLookup](t)(a.StateWaitMsg(a.ctx, m.Cid(), 1, -1, true))
	checkPlaces(t, a, m, m.Cid(), found)
	// It is nowhere below, and not within nothing.
	ts := must[*types.TipSet](t)(a.ChainGetTipSet(a.ctx, found.TipSet))
	parent := must[*types.TipSet](t)(a.ChainGetTipSet(a.ctx, ts.Parents()))
	if l, err := a.StateSearchMsg(a.ctx, parent.Key(), m.Cid(), -1, true); l != nil || err != nil {
		t.Errorf("search below: got %+v, %v", l, err)
	}
}

// testPool leaves a message waiting behind a gap of nonces.
func testPool(t *testing.T, a *apiTest) {
	ctx, cancel := context.WithCancel(a.ctx)
	defer cancel()
	updates := must[<-chan *api.MpoolUpdate](t)(a.MpoolSub(ctx))
	from := must[address.Address](t)(a.WalletDefaultAddress(a.ctx))
	m := must[*types.Message](t)(a.GasEstimateMessageGas(a.ctx, &types.Message{From: from, To: from, Value: big.Zero()}, nil, head))
	next := must[uint64](t)(a.MpoolGetNonce(a.ctx, from))
	m.Nonce = next + 1
	c := must[cid.Cid](t)(a.MpoolPush(a.ctx, must[*types.SignedMessage](t)(a.WalletSignMessage(a.ctx, from, m))))
	await(t, ctx, updates, func(u *api.MpoolUpdate) bool { return u.Type == api.MpoolAdd && u.Message.Cid() == c })
	if got := must[uint64](t)(a.MpoolGetNonce(a.ctx, from)); got != next {
		t.Errorf("nonce before the gap: got %d, want %d", got, next)
	}
	for _, key := range []types.TipSetKey{head, must[*types.TipSet](t)(a.ChainHead(a.ctx)).Key()} {
		if !holds(must[[]*types.SignedMessage](t)(a.MpoolPending(a.ctx, key)), c) {
			t.Errorf("message %s does not wait for %s", c, key)
		}
	}
	if holds(must[[]*types.SignedMessage](t)(a.MpoolSelect(a.ctx, head, 0.5)), c) {
		t.Error("a message behind a gap was selected")
	}
	// What fills the gap sends both.
	first := must[*types.SignedMessage](t)(a.MpoolPushMessage(a.ctx, &types.Message{From: from, To: from}, &api.MessageSendSpec{MaximizeFeeCap: true, MaxFee: types.FilecoinPrecision}))
	if first.Message.Nonce != next {
		t.Errorf("the gap: got nonce %d, want %d", first.Message.Nonce, next)
	}
	if fee := first.Message.RequiredFunds(); fee.GreaterThan(types.FilecoinPrecision) || fee.LessThan(big.Sub(types.FilecoinPrecision, big.NewInt(first.Message.GasLimit))) {
		t.Errorf("maximized fee: got %s of %s", fee, types.FilecoinPrecision)
	}
	await(t, ctx, updates, func(u *api.MpoolUpdate) bool { return u.Type == api.MpoolRemove && u.Message.Cid() == c })
	found := must[*api.MsgLookup](t)(a.StateWaitMsg(a.ctx, c, 1, -1, true))
	if holds(must[[]*types.SignedMessage](t)(a.MpoolPending(a.ctx, found.TipSet)), c) {
		t.Error("a message on chain still waits")
	}
	if conf := must[*api.MpoolConfig](t)(a.MpoolGetConfig(a.ctx)); conf.SizeLimitHigh <= conf.SizeLimitLow || conf.ReplaceByFeeRatio <= 1 || conf.GasLimitOverestimation <= 1 {
		t.Errorf("config: got %+v", conf)
	}
	cancel()
	for range updates { // closes
	}
}

func holds(msgs []*types.SignedMessage, c cid.Cid) bool {
	for _, m := range msgs {
		if m.Cid() == c {
			return true
		}
	}
	return false
}

// await takes values until one fits.
func await[T any](t *testing.T, ctx context.Context, ch <-chan T, fits func(T) bool) {
	t.Helper()
	for {
		select {
		case v, ok := <-ch:
			if !ok {
				t.Fatal("channel was closed")
			}
			if fits(v) {
				return
			}
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		}
	}
}

// testNotify follows the head over some epochs.
func testNotify(t *testing.T, a *apiTest) {
	ctx, cancel := context.WithCancel(a.ctx)
	defer cancel()
	ch := must[<-chan []*api.HeadChange](t)(a.ChainNotify(ctx))
	first := <-ch
	if len(first) != 1 || first[0].Type != api.HeadCurrent {
		t.Fatalf("first value: got %+v, want one current", first)
	}
	at := first[0].Val
	for applied := 0; applied < 3; {
		changes, ok := <-ch
		if !ok {
			t.Fatal("the subscription was cut off")
		}
		for _, c := range changes {
			switch {
			case c.Type == api.HeadRevert && c.Val.Equals(at):
				at = must[*types.TipSet](t)(a.ChainGetTipSet(a.ctx, at.Parents()))
			case c.Type == api.HeadApply && c.Val.IsChildOf(at):
				at = c.Val
				applied++
			default:
				t.Fatalf("%s of %s after %s", c.Type, c.Val, at)
			}
		}
	}
	cancel()
	for range ch { // closes
	}
	if _, err := a.StateWaitMsg(ctx, at.Cids()[0], 0, -1, true); !errors.Is(err, context.Canceled) {
		t.Errorf("wait with a canceled context: got %v", fmt.Sprint(err))
	}
}
