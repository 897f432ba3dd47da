package consensus

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/chain/consensus"
	"github.com/lodenet/lode/chain/mining"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/types/sigs"
	"github.com/lodenet/lode/test/livechain"
)

// world is a chain of some blocks with messages, and one more block that is valid on it.
type world struct {
	*livechain.Chain
	parent *types.TipSet
	block  *types.FullBlock
	miner  *livechain.Miner
}

func newWorld(t testing.TB) *world {
	t.Helper()
	c := livechain.New(t, 2, 1)
	c.Mine(t)
	c.Mine(t, c.Transfer(t, 0, 1, 0), c.Transfer(t, 1, 2, 0))
	parent := c.Mine(t, c.Transfer(t, 0, 3, 1))
	m := c.Miners[0]
	b := c.Block(t, m, parent, parent.Height()+1, c.Transfer(t, 0, 1, 2), c.Transfer(t, 2, 1, 0), c.Transfer(t, 1, 2, 1), c.Transfer(t, 1, 0, 2))
	c.Clock.Set(time.Unix(int64(b.Header.Timestamp), 0))
	return &world{c, parent, b, m}
}

// with makes the block again with other messages.
func (w *world) with(t testing.TB, msgs ...*types.SignedMessage) *types.FullBlock {
	t.Helper()
	return w.Block(t, w.miner, w.parent, w.block.Header.Height, msgs...)
}

func TestMinedBlocksAreValid(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, w.Engine.ValidateBlock(t.Context(), w.block))
	wins := w.Verifier.Wins
	require.NoError(t, w.Engine.ValidateBlock(t.Context(), w.block))
	require.Equal(t, wins, w.Verifier.Wins, "a block that passed is not checked again")
	require.NoError(t, w.Engine.ValidateBlock(t.Context(), w.with(t)), "without messages")

	// Another node that has the same blocks comes to the same result.
	require.NoError(t, w.NewEngine(w.Store).ValidateBlock(t.Context(), w.block))
}

// A sender may be written in either form; both count as one (spec chain.md c.3).
func TestSendersByID(t *testing.T) {
	w := newWorld(t)
	id, err := address.NewIDAddress(102)
	require.NoError(t, err)
	second := w.Transfer(t, 2, 1, 1).Message
	second.From = id
	b := w.with(t, w.Transfer(t, 2, 1, 0), w.Accounts[2].Sign(t, second))
	require.NoError(t, w.Engine.ValidateBlock(t.Context(), b))
	second.Nonce = 0
	b = w.with(t, w.Transfer(t, 2, 1, 0), w.Accounts[2].Sign(t, second))
	require.ErrorIs(t, w.Engine.ValidateBlock(t.Context(), b), consensus.ErrNonce)
}

// Every rule of spec chain.md e.10, broken in turn on a really mined block, gives its error.
func TestBrokenRules(t *testing.T) {
	w := newWorld(t)
	other := w.Miners[1]
	otherSigns := func(h *types.BlockHeader) { other.SignBlock(t, h) }
	change := func(f func(*types.SignedMessage), from, to int, nonce uint64) *types.SignedMessage {
		m := w.Transfer(t, from, to, nonce)
		f(m)
		return w.Accounts[from].Sign(t, m.Message)
	}
	stranger := livechain.NewKey(t, crypto.SigTypeBLS, "stranger")
	fromStranger := w.Transfer(t, 0, 1, 0).Message
	fromStranger.From = stranger.Address
	fromMiner := w.Transfer(t, 0, 1, 0).Message
	fromMiner.From = w.Miners[0].Address
	badSecp := w.Transfer(t, 1, 2, 1)
	badSecp.Signature.Data = slices.Clone(badSecp.Signature.Data)
	badSecp.Signature.Data[9] ^= 1
	sameMiner := w.with(t)
	sameMiner.Header.Ticket = &types.Ticket{VRFProof: []byte("another ticket")}
	w.miner.SignBlock(t, sameMiner.Header)
	require.NoError(t, w.Store.PutHeaders(t.Context(), w.block.Header, sameMiner.Header))
	doubled, err := types.NewTipSet([]*types.BlockHeader{w.block.Header, sameMiner.Header})
	require.NoError(t, err)
	b2 := w.Block(t, other, w.parent, w.parent.Height()+1)
	require.NoError(t, w.Store.PutHeaders(t.Context(), b2.Header))
	noClaim := onState(t, w.Chain, w.parent, withoutClaim(t, w.Chain, w.parent.ParentState(), w.miner.Address))
	indebted := onState(t, w.Chain, w.parent, withFeeDebt(t, w.Chain, w.parent.ParentState(), w.miner.Address))

	for name, c := range map[string]struct {
		want  error
		spoil func(h *types.BlockHeader)          // then signed again
		after func(h *types.BlockHeader)          // not signed again
		body  func(b *types.FullBlock)            // messages, then signed again
		block func(t *testing.T) *types.FullBlock // instead of the block
	}{
		"1 no ticket":         {want: consensus.ErrIncomplete, spoil: func(h *types.BlockHeader) { h.Ticket = nil }},
		"1 no election":       {want: consensus.ErrIncomplete, spoil: func(h *types.BlockHeader) { h.ElectionProof = nil }},
		"1 no signature":      {want: consensus.ErrIncomplete, after: func(h *types.BlockHeader) { h.BlockSig = nil }},
		"1 no aggregate":      {want: consensus.ErrIncomplete, spoil: func(h *types.BlockHeader) { h.BLSAggregate = nil }},
		"1 key address":       {want: consensus.ErrMinerAddress, spoil: func(h *types.BlockHeader) { h.Miner = w.miner.Worker.Address }},
		"2 no parents":        {want: consensus.ErrParents, spoil: func(h *types.BlockHeader) { h.Parents = nil }},
		"2 parent twice":      {want: consensus.ErrParents, spoil: func(h *types.BlockHeader) { h.Parents = append(h.Parents, h.Parents...) }},
		"2 parents of two":    {want: consensus.ErrParents, spoil: func(h *types.BlockHeader) { h.Parents = append(h.Parents, w.Genesis.Cid()) }},
		"2 two of one miner":  {want: consensus.ErrDuplicateMiner, spoil: func(h *types.BlockHeader) { h.Parents = doubled.Cids(); h.Height++ }},
		"3 height of parent":  {want: consensus.ErrHeight, spoil: func(h *types.BlockHeader) { h.Height = w.parent.Height() }},
		"3 height below":      {want: consensus.ErrHeight, spoil: func(h *types.BlockHeader) { h.Height = -5 }},
		"4 too early":         {want: consensus.ErrTimestamp, spoil: func(h *types.BlockHeader) { h.Timestamp-- }},
		"4 too late":          {want: consensus.ErrTimestamp, spoil: func(h *types.BlockHeader) { h.Timestamp++ }},
		"4 absurd":            {want: consensus.ErrTimestamp, spoil: func(h *types.BlockHeader) { h.Timestamp = 1 << 63 }},
		"6 heavier":           {want: consensus.ErrWeight, spoil: func(h *types.BlockHeader) { h.ParentWeight = big.Add(h.ParentWeight, big.NewInt(1)) }},
		"6 no weight":         {want: consensus.ErrWeight, spoil: func(h *types.BlockHeader) { h.ParentWeight = big.Zero() }},
		"7 no such miner":     {want: consensus.ErrWorker, spoil: func(h *types.BlockHeader) { h.Miner, _ = address.NewIDAddress(5000) }},
		"7 an account":        {want: consensus.ErrWorker, spoil: func(h *types.BlockHeader) { h.Miner, _ = address.NewIDAddress(100) }},
		"8 no claim":          {want: consensus.ErrNoClaim, block: func(t *testing.T) *types.FullBlock { return w.Block(t, w.miner, noClaim, noClaim.Height()+1) }},
		"9 ticket of another": {want: consensus.ErrTicket, spoil: func(h *types.BlockHeader) { h.Ticket = b2.Header.Ticket }},
		"9 ticket as drawn for the election": {want: consensus.ErrTicket, spoil: func(h *types.BlockHeader) {
			h.Ticket = &types.Ticket{VRFProof: h.ElectionProof.VRFProof}
		}},
		"9 empty ticket":   {want: consensus.ErrTicket, spoil: func(h *types.BlockHeader) { h.Ticket = &types.Ticket{} }},
		"10 other worker":  {want: consensus.ErrSignature, after: otherSigns},
		"10 signed before": {want: consensus.ErrSignature, after: func(h *types.BlockHeader) { h.ForkSignaling = 7 }},
		"10 secp":          {want: consensus.ErrSignature, after: func(h *types.BlockHeader) { h.BlockSig.Type = crypto.SigTypeSecp256k1 }},
		"11 one entry more": {want: consensus.ErrBeacon, spoil: func(h *types.BlockHeader) {
			h.BeaconEntries = append([]types.BeaconEntry{{Round: 1, Data: []byte{1}}}, h.BeaconEntries...)
		}},
		"12 no proof":    {want: consensus.ErrWinningPoSt, spoil: func(h *types.BlockHeader) { h.WinPoStProof = nil }},
		"12 flipped bit": {want: consensus.ErrWinningPoSt, spoil: func(h *types.BlockHeader) { h.WinPoStProof[0].ProofBytes[3] ^= 1 }},
		"12 proof twice": {want: consensus.ErrWinningPoSt, spoil: func(h *types.BlockHeader) { h.WinPoStProof = append(h.WinPoStProof, h.WinPoStProof[0]) }},
		"12 window type": {want: consensus.ErrWinningPoSt, spoil: func(h *types.BlockHeader) {
			h.WinPoStProof[0].PoStProof = abi.RegisteredPoStProof_StackedDrgWindow2KiBV1
		}},
		"12 of another":           {want: consensus.ErrWinningPoSt, spoil: func(h *types.BlockHeader) { h.WinPoStProof = b2.Header.WinPoStProof }},
		"13 no win":               {want: consensus.ErrNotWinner, spoil: func(h *types.BlockHeader) { h.ElectionProof.WinCount = 0 }},
		"13 negative":             {want: consensus.ErrNotWinner, spoil: func(h *types.BlockHeader) { h.ElectionProof.WinCount = -1 }},
		"13 one win more":         {want: consensus.ErrWinCount, spoil: func(h *types.BlockHeader) { h.ElectionProof.WinCount++ }},
		"13 election of another":  {want: consensus.ErrElection, spoil: func(h *types.BlockHeader) { h.ElectionProof.VRFProof = b2.Header.ElectionProof.VRFProof }},
		"13 drawn as the ticket":  {want: consensus.ErrElection, spoil: func(h *types.BlockHeader) { h.ElectionProof.VRFProof = h.Ticket.VRFProof }},
		"13 fee debt":             {want: consensus.ErrIneligible, block: func(t *testing.T) *types.FullBlock { return w.Block(t, w.miner, indebted, indebted.Height()+1) }},
		"14 a message is missing": {want: consensus.ErrMessageLists, body: func(b *types.FullBlock) { b.BlsMessages = b.BlsMessages[1:] }},
		"14 other order":          {want: consensus.ErrMessageLists, body: func(b *types.FullBlock) { slices.Reverse(b.SecpkMessages) }},
		"14 a nil message":        {want: consensus.ErrMessageLists, body: func(b *types.FullBlock) { b.BlsMessages[0] = nil }},
		"14 a nil secp message":   {want: consensus.ErrMessageLists, body: func(b *types.FullBlock) { b.SecpkMessages[0] = nil }},
		"14 too many": {want: consensus.ErrBlockLimits, body: func(b *types.FullBlock) {
			b.BlsMessages = slices.Repeat(b.BlsMessages[:1], types.MaxBlockMessages)
		}},
		"14 too much gas": {want: consensus.ErrBlockLimits, block: func(t *testing.T) *types.FullBlock {
			half := func(m *types.SignedMessage) { m.Message.GasLimit = types.BlockGasLimit/2 + 1 }
			return w.with(t, change(half, 0, 1, 2), change(half, 2, 1, 0))
		}},
		"14 aggregate of none":    {want: consensus.ErrAggregate, spoil: func(h *types.BlockHeader) { h.BLSAggregate.Data, _ = sigs.Aggregate(nil) }},
		"14 aggregate of another": {want: consensus.ErrAggregate, spoil: func(h *types.BlockHeader) { h.BLSAggregate.Data = h.BlockSig.Data }},
		"14 secp aggregate":       {want: consensus.ErrAggregate, spoil: func(h *types.BlockHeader) { h.BLSAggregate.Type = crypto.SigTypeSecp256k1 }},
		"14 same message twice": {want: consensus.ErrNonce, block: func(t *testing.T) *types.FullBlock {
			return w.with(t, w.Transfer(t, 0, 1, 2), w.Transfer(t, 0, 1, 2))
		}},
		"14 gas below its cost": {want: consensus.ErrMessage, block: func(t *testing.T) *types.FullBlock {
			return w.with(t, change(func(m *types.SignedMessage) { m.Message.GasLimit = 1000 }, 0, 1, 2))
		}},
		"14 premium above cap": {want: consensus.ErrMessage, block: func(t *testing.T) *types.FullBlock {
			return w.with(t, change(func(m *types.SignedMessage) { m.Message.GasPremium = big.Add(m.Message.GasFeeCap, big.NewInt(1)) }, 0, 1, 2))
		}},
		"14 negative value": {want: consensus.ErrMessage, block: func(t *testing.T) *types.FullBlock {
			return w.with(t, change(func(m *types.SignedMessage) { m.Message.Value = big.NewInt(-1) }, 1, 2, 1))
		}},
		"14 unknown sender": {want: consensus.ErrSender, block: func(t *testing.T) *types.FullBlock { return w.with(t, stranger.Sign(t, fromStranger)) }},
		"14 sender is a miner": {want: consensus.ErrSender, block: func(t *testing.T) *types.FullBlock {
			return w.with(t, w.Miners[0].Worker.Sign(t, fromMiner))
		}},
		"14 nonce gap":     {want: consensus.ErrNonce, block: func(t *testing.T) *types.FullBlock { return w.with(t, w.Transfer(t, 0, 1, 3)) }},
		"14 old nonce":     {want: consensus.ErrNonce, block: func(t *testing.T) *types.FullBlock { return w.with(t, w.Transfer(t, 0, 1, 1)) }},
		"14 falling nonce": {want: consensus.ErrNonce, block: func(t *testing.T) *types.FullBlock { return w.with(t, w.Transfer(t, 0, 1, 3), w.Transfer(t, 0, 1, 2)) }},
		"14 bad secp":      {want: consensus.ErrMessageSig, block: func(t *testing.T) *types.FullBlock { return w.with(t, badSecp) }},
		"14 BLS in the secp list": {want: consensus.ErrMessageSig, body: func(b *types.FullBlock) {
			b.SecpkMessages = append(b.SecpkMessages, w.Transfer(t, 2, 1, 1))
		}},
		"14 secp sender in the BLS list": {want: consensus.ErrAggregate, block: func(t *testing.T) *types.FullBlock {
			m := w.Transfer(t, 1, 2, 1).Message
			return w.with(t, w.Accounts[0].Sign(t, m))
		}},
		"14 BLS by another": {want: consensus.ErrAggregate, block: func(t *testing.T) *types.FullBlock {
			return w.with(t, w.Accounts[2].Sign(t, w.Transfer(t, 0, 1, 2).Message))
		}},
		"15 base fee":        {want: consensus.ErrBaseFee, spoil: func(h *types.BlockHeader) { h.ParentBaseFee = big.Add(h.ParentBaseFee, big.NewInt(1)) }},
		"16 state":           {want: consensus.ErrStateRoot, spoil: func(h *types.BlockHeader) { h.ParentStateRoot = w.parent.ParentState() }},
		"16 receipts":        {want: consensus.ErrReceipts, spoil: func(h *types.BlockHeader) { h.ParentMessageReceipts = types.EmptyAMTCid }},
		"16 neither is here": {want: consensus.ErrStateRoot, spoil: func(h *types.BlockHeader) { h.ParentStateRoot = h.Cid() }},
	} {
		t.Run(name, func(t *testing.T) {
			e := w.NewEngine(w.Store) // remembers nothing
			b := livechain.Clone(t, w.block)
			if c.block != nil {
				b = c.block(t)
			}
			if c.spoil != nil {
				c.spoil(b.Header)
			}
			if c.body != nil {
				c.body(b)
			}
			if c.block == nil {
				w.miner.SignBlock(t, b.Header)
			}
			if c.after != nil {
				c.after(b.Header)
			}
			err := e.ValidateBlock(t.Context(), b)
			require.ErrorIs(t, err, c.want)
			require.ErrorIs(t, err, consensus.ErrInvalid)
			require.NotErrorIs(t, err, consensus.ErrTemporal)
			for _, r := range rules {
				require.Equal(t, r == c.want, errors.Is(err, r), "%v as %v", err, r)
			}
			require.NoError(t, e.ValidateBlock(t.Context(), w.block), "the block itself stays valid")
		})
	}
}

var rules = []error{
	consensus.ErrIncomplete, consensus.ErrMinerAddress, consensus.ErrParents, consensus.ErrHeight, consensus.ErrTimestamp,
	consensus.ErrWeight, consensus.ErrWorker, consensus.ErrNoClaim, consensus.ErrTicket, consensus.ErrSignature, consensus.ErrBeacon,
	consensus.ErrWinningPoSt, consensus.ErrNotWinner, consensus.ErrIneligible, consensus.ErrElection, consensus.ErrWinCount,
	consensus.ErrBlockLimits, consensus.ErrAggregate, consensus.ErrMessage, consensus.ErrSender, consensus.ErrNonce,
	consensus.ErrMessageSig, consensus.ErrMessageLists, consensus.ErrBaseFee, consensus.ErrStateRoot, consensus.ErrReceipts,
	consensus.ErrDuplicateMiner,
}

// Rule 5: the time alone is no mark against a block.
func TestFutureBlocksAreTemporal(t *testing.T) {
	w := newWorld(t)
	at := time.Unix(int64(w.block.Header.Timestamp), 0)
	for name, c := range map[string]struct {
		now  time.Time
		want error
	}{
		"long before":       {at.Add(-time.Hour), consensus.ErrTemporal},
		"an epoch before":   {at.Add(-4 * time.Second), consensus.ErrTemporal},
		"beyond the drift":  {at.Add(-1001 * time.Millisecond), consensus.ErrTemporal},
		"within the drift":  {at.Add(-time.Second), nil},
		"on time":           {at, nil},
		"an hour too late":  {at.Add(time.Hour), nil},
		"before unix epoch": {time.Unix(-100, 0), consensus.ErrTemporal},
	} {
		t.Run(name, func(t *testing.T) {
			w.Clock.Set(c.now)
			e := w.NewEngine(w.Store)
			for range 2 { // the second time from memory
				err := e.ValidateBlock(t.Context(), w.block)
				if c.want == nil {
					require.NoError(t, err)
					continue
				}
				require.ErrorIs(t, err, c.want)
				require.NotErrorIs(t, err, consensus.ErrInvalid)
			}
			w.Clock.Set(at)
			require.NoError(t, e.ValidateBlock(t.Context(), w.block), "when its time has come")

			// An invalid block from the near future is invalid.
			bad := livechain.Clone(t, w.block)
			bad.Header.ParentBaseFee = big.NewInt(1)
			w.miner.SignBlock(t, bad.Header)
			w.Clock.Set(at.Add(-4 * time.Second))
			require.ErrorIs(t, e.ValidateBlock(t.Context(), bad), consensus.ErrBaseFee)
		})
	}
}

// What this node lacks is no fault of the block.
func TestOwnTroubleIsNotInvalid(t *testing.T) {
	w := newWorld(t)
	orphan := livechain.Clone(t, w.block)
	orphan.Header.Parents = []cid.Cid{w.block.Cid()}
	orphan.Header.Height++
	err := w.NewEngine(w.Store).ValidateBlock(t.Context(), orphan)
	require.True(t, ipld.IsNotFound(err), "%v", err)
	require.NotErrorIs(t, err, consensus.ErrInvalid)

	// A state block is gone.
	for _, root := range []cid.Cid{w.parent.ParentState(), w.Genesis.ParentStateRoot, w.parent.Blocks()[0].Messages} {
		gone, err := w.Store.Get(t.Context(), root)
		require.NoError(t, err)
		require.NoError(t, w.Store.DeleteBlock(t.Context(), root))
		err = w.NewEngine(w.Store).ValidateBlock(t.Context(), w.block)
		require.True(t, ipld.IsNotFound(err), "%v", err)
		require.NotErrorIs(t, err, consensus.ErrInvalid)
		require.NoError(t, w.Store.Put(t.Context(), gone))
	}

	err = w.NewEngine(w.Store).ValidateBlock(canceled(t), w.block)
	require.NotErrorIs(t, err, consensus.ErrInvalid)
	require.Error(t, err)
	require.NoError(t, w.NewEngine(w.Store).ValidateBlock(t.Context(), w.block))
}

func TestCheckMessages(t *testing.T) {
	w := newWorld(t)
	tpl := w.Template(t, w.miner, w.parent, w.block.Header.Height)
	tpl.Messages = []*types.SignedMessage{w.Transfer(t, 0, 1, 9)}
	b, err := mining.Block(t.Context(), w.Store, *tpl)
	require.NoError(t, err)
	err = w.Engine.CheckMessages(t.Context(), w.parent, b)
	require.ErrorIs(t, err, consensus.ErrNonce)
	require.NoError(t, w.Engine.CheckMessages(t.Context(), w.parent, w.block))
}
