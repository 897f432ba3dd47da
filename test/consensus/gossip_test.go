package consensus

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/ipfs/go-cid"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/chain/consensus"
	"github.com/lodenet/lode/chain/store"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/test/livechain"
)

func TestGossipVerdicts(t *testing.T) {
	w := newWorld(t)
	at := time.Unix(int64(w.block.Header.Timestamp), 0)
	other := w.Miners[1]
	for name, c := range map[string]struct {
		spoil func(*types.BlockMsg) // then signed again
		after func(*types.BlockMsg) // not signed again
		now   time.Time             // zero: when the block is due
		want  consensus.Verdict
		rule  error
	}{
		"good":                {want: consensus.Accept},
		"a little early":      {now: at.Add(-20 * time.Second), want: consensus.Accept},
		"from the future":     {spoil: func(m *types.BlockMsg) { m.Header.Height += 6 }, want: consensus.Ignore},
		"no ticket":           {spoil: func(m *types.BlockMsg) { m.Header.Ticket = nil }, want: consensus.Reject, rule: consensus.ErrIncomplete},
		"no election":         {spoil: func(m *types.BlockMsg) { m.Header.ElectionProof = nil }, want: consensus.Reject, rule: consensus.ErrIncomplete},
		"no aggregate":        {spoil: func(m *types.BlockMsg) { m.Header.BLSAggregate = nil }, want: consensus.Reject, rule: consensus.ErrIncomplete},
		"no signature":        {after: func(m *types.BlockMsg) { m.Header.BlockSig = nil }, want: consensus.Reject, rule: consensus.ErrIncomplete},
		"no win":              {spoil: func(m *types.BlockMsg) { m.Header.ElectionProof.WinCount = 0 }, want: consensus.Reject, rule: consensus.ErrNotWinner},
		"height 0":            {spoil: func(m *types.BlockMsg) { m.Header.Height = 0 }, want: consensus.Ignore},
		"negative height":     {spoil: func(m *types.BlockMsg) { m.Header.Height = -1 }, want: consensus.Ignore},
		"lists of another":    {after: func(m *types.BlockMsg) { m.BlsMessages = m.BlsMessages[1:] }, want: consensus.Reject, rule: consensus.ErrMessageLists},
		"too many messages":   {after: func(m *types.BlockMsg) { m.BlsMessages = make([]cid.Cid, 10_001) }, want: consensus.Reject, rule: consensus.ErrBlockLimits},
		"unknown miner":       {spoil: func(m *types.BlockMsg) { m.Header.Miner, _ = address.NewIDAddress(7777) }, want: consensus.Reject, rule: consensus.ErrWorker},
		"signed by another":   {after: func(m *types.BlockMsg) { other.SignBlock(t, m.Header) }, want: consensus.Reject, rule: consensus.ErrSignature},
		"unsigned change":     {after: func(m *types.BlockMsg) { m.Header.ForkSignaling = 1 }, want: consensus.Reject, rule: consensus.ErrSignature},
		"unknown parents":     {spoil: func(m *types.BlockMsg) { m.Header.Parents = []cid.Cid{w.block.Cid()} }, want: consensus.Accept},
		"at its parent":       {spoil: func(m *types.BlockMsg) { m.Header.Height = w.parent.Height() }, want: consensus.Reject, rule: consensus.ErrHeight},
		"no parents":          {spoil: func(m *types.BlockMsg) { m.Header.Parents = nil }, want: consensus.Reject, rule: consensus.ErrParents},
		"old head, unknown":   {spoil: func(m *types.BlockMsg) { m.Header.Miner, _ = address.NewIDAddress(7777) }, now: at.Add(7 * time.Hour), want: consensus.Ignore, rule: consensus.ErrWorker},
		"old head, bad sig":   {after: func(m *types.BlockMsg) { other.SignBlock(t, m.Header) }, now: at.Add(7 * time.Hour), want: consensus.Reject, rule: consensus.ErrSignature},
		"bad sig, no parents": {spoil: func(m *types.BlockMsg) { m.Header.Parents = []cid.Cid{w.block.Cid()} }, after: func(m *types.BlockMsg) { other.SignBlock(t, m.Header) }, want: consensus.Reject, rule: consensus.ErrByHead},
		"what costs is later": {spoil: func(m *types.BlockMsg) { m.Header.WinPoStProof = nil }, want: consensus.Accept},
	} {
		t.Run(name, func(t *testing.T) {
			e := w.NewEngine(w.Store)
			w.Clock.Set(at)
			if !c.now.IsZero() {
				w.Clock.Set(c.now)
			}
			m := livechain.BlockMsg(livechain.Clone(t, w.block))
			if c.spoil != nil {
				c.spoil(m)
				w.miner.SignBlock(t, m.Header)
			}
			if c.after != nil {
				c.after(m)
			}
			got, err := e.CheckGossip(t.Context(), m)
			require.Equal(t, c.want.String(), got.String(), "%v", err)
			require.Equal(t, c.want == consensus.Accept, err == nil)
			if c.rule != nil {
				require.ErrorIs(t, err, c.rule)
				require.Equal(t, c.rule == consensus.ErrByHead, errors.Is(err, consensus.ErrByHead))
			}
			if c.want != consensus.Accept {
				return
			}
			got, _ = e.CheckGossip(t.Context(), m)
			require.Equal(t, consensus.Ignore, got, "seen before")
		})
	}
}

func TestGossipOfIneligibleMiner(t *testing.T) {
	w := newWorld(t)
	indebted := onState(t, w.Chain, w.parent, withFeeDebt(t, w.Chain, w.parent.ParentState(), w.miner.Address))
	b := w.Block(t, w.miner, indebted, indebted.Height()+1)
	got, err := w.Engine.CheckGossip(t.Context(), livechain.BlockMsg(b))
	require.Equal(t, consensus.Reject, got)
	require.ErrorIs(t, err, consensus.ErrIneligible)
}

func TestGossipIsIgnoredWhenWeCannotTell(t *testing.T) {
	w := newWorld(t)
	got, err := w.Engine.CheckGossip(canceled(t), livechain.BlockMsg(w.block))
	require.Equal(t, consensus.Ignore, got)
	require.NotErrorIs(t, err, consensus.ErrInvalid)
	got, err = w.Engine.CheckGossip(t.Context(), livechain.BlockMsg(w.block))
	require.Equal(t, consensus.Accept, got, "%v: what could not be judged is not seen", err)

	require.NoError(t, w.Store.DeleteBlock(t.Context(), w.Genesis.ParentStateRoot))
	got, err = w.NewEngine(w.Store).CheckGossip(t.Context(), livechain.BlockMsg(w.block))
	require.Equal(t, consensus.Ignore, got, "%v", err)
}

// FuzzBlockMsg decodes announcements and runs them through the gossip check and, with no
// messages, through validation. Nothing may panic, and nothing but the good block is valid.
func FuzzBlockMsg(f *testing.F) {
	w := newWorld(f)
	empty := w.with(f)
	for _, b := range []*types.FullBlock{w.block, empty} {
		raw, err := livechain.BlockMsg(b).Serialize()
		require.NoError(f, err)
		f.Add(raw)
	}
	short := livechain.BlockMsg(livechain.Clone(f, empty))
	short.Header.Ticket, short.Header.BlockSig, short.Header.WinPoStProof = nil, &crypto.Signature{Type: crypto.SigTypeBLS}, nil
	raw, err := short.Serialize()
	require.NoError(f, err)
	f.Add(raw)
	good := empty.Cid()
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := types.DecodeBlockMsg(raw)
		if err != nil {
			return
		}
		e := w.NewEngine(w.Store)
		_, _ = e.CheckGossip(t.Context(), m)
		if _, err := types.NewTipSet([]*types.BlockHeader{m.Header}); err == nil {
			_, _ = e.Weight(t.Context(), one(t, m.Header))
		}
		err = e.ValidateBlock(t.Context(), &types.FullBlock{Header: m.Header})
		if err == nil && m.Header.Cid() != good {
			t.Fatalf("%s is valid", m.Header.Cid())
		}
	})
}

// FuzzMessageLists feeds decoded messages to the message rules.
func FuzzMessageLists(f *testing.F) {
	w := newWorld(f)
	for _, m := range []*types.SignedMessage{w.Transfer(f, 0, 1, 2), w.Transfer(f, 1, 2, 1)} {
		raw, err := m.Serialize()
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := types.DecodeSignedMessage(raw)
		if err != nil {
			return
		}
		b := livechain.Clone(t, w.block)
		b.BlsMessages, b.SecpkMessages = nil, nil
		if m.Signature.Type == crypto.SigTypeBLS {
			b.BlsMessages = []*types.Message{&m.Message}
		} else {
			b.SecpkMessages = []*types.SignedMessage{m}
		}
		bls, secp := store.MessageLists(b)
		b.Header.Messages, err = store.PutMsgMeta(t.Context(), &types.MemBlocks{}, bls, secp)
		if err != nil {
			t.Fatal(err)
		}
		err = w.Engine.CheckMessages(t.Context(), w.parent, b)
		if err == nil && !bytes.Equal(m.Message.Cid().Bytes(), w.Transfer(t, 1, 2, 1).Message.Cid().Bytes()) {
			t.Fatalf("message %s is taken", m.Cid())
		}
	})
}
