package sim_test

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/builtin"

	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/store"
	"github.com/lodenet/lode/chain/types"
)

// executed is a message that took effect on the chain, with what came of it.
type executed struct {
	*types.Message
	at      abi.ChainEpoch
	receipt types.MessageReceipt
}

// checkChains opens the stores of the nodes, which are down now, and reads node 0's chain
// from end to end.
func (r *run) checkChains() {
	r.t.Helper()
	ctx := r.t.Context()
	for i := range r.nodes {
		r.withStore(i, func(s *store.Store) error {
			bad, err := s.BadBlocks(ctx, 10)
			for _, b := range bad {
				r.t.Errorf("node %d calls a block bad that an honest node made: %+v", i, b)
			}
			return err
		})
	}
	r.withStore(0, func(s *store.Store) error {
		chain, err := walk(ctx, s)
		if err != nil {
			return err
		}
		if err := r.checkSupply(ctx, s, chain); err != nil {
			return err
		}
		done, err := history(ctx, s, chain)
		if err != nil {
			return err
		}
		r.checkSent(done)
		return r.checkProving(ctx, s, chain, done)
	})
}

func (r *run) withStore(i int, f func(*store.Store) error) {
	r.t.Helper()
	s, err := store.Open(filepath.Join(r.dirs[i], "chain"), store.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			r.t.Error(err)
		}
	}()
	if err := f(s); err != nil {
		r.t.Errorf("node %d: %v", i, err)
	}
}

// walk lists the main chain, oldest first.
func walk(ctx context.Context, s *store.Store) ([]*types.TipSet, error) {
	var out []*types.TipSet
	for ts := s.Genesis(); ; {
		out = append(out, ts)
		if ts.Equals(s.Head()) {
			return out, nil
		}
		var err error
		if ts, err = s.TipSetAfter(ctx, ts.Height()+1, nil); err != nil {
			return nil, err
		}
		if ts.Parents() != out[len(out)-1].Key() {
			return nil, fmt.Errorf("%s does not build on %s", ts, out[len(out)-1])
		}
	}
}

// checkSupply adds up what all actors have, in the state below each tipset.
func (r *run) checkSupply(ctx context.Context, s *store.Store, chain []*types.TipSet) error {
	for _, ts := range chain {
		sum := big.Zero()
		err := view.At(s, ts.ParentState()).ForEachActor(ctx, func(_ address.Address, a *types.Actor) error {
			sum = big.Add(sum, a.Balance)
			return nil
		})
		if err != nil {
			return err
		}
		if !sum.Equals(types.TotalFilecoin) {
			r.t.Errorf("below %s all actors together have %s attoFIL, not %s", ts, sum, types.TotalFilecoin)
		}
	}
	return nil
}

// history lists the messages that took effect, in the order of their receipts.
func history(ctx context.Context, s *store.Store, chain []*types.TipSet) ([]executed, error) {
	var out []executed
	for i, ts := range chain[:len(chain)-1] {
		blocks, err := s.TipSetMessages(ctx, ts)
		if err != nil {
			return nil, err
		}
		receipts, err := s.Receipts(ctx, chain[i+1].Blocks()[0].ParentMessageReceipts)
		if err != nil {
			return nil, err
		}
		msgs := selected(blocks)
		if len(msgs) != len(receipts) {
			return nil, fmt.Errorf("%s has %d messages that count and %d receipts", ts, len(msgs), len(receipts))
		}
		for n, m := range msgs {
			out = append(out, executed{m, ts.Height(), receipts[n]})
		}
	}
	return out, nil
}

// selected says in plain words which messages of a tipset's blocks have an effect and a
// receipt (spec chain.md c.3): block by block, BLS before secp256k1, those of each sender in
// the order of its nonces. What has another nonce is skipped: a message that an earlier
// block has too, or one whose fee was raised, where one block has the old form and another
// the new one. All senders here are written as key addresses.
func selected(blocks []types.BlockMessages) []*types.Message {
	var out []*types.Message
	next := make(map[address.Address]uint64)
	for _, b := range blocks {
		for _, cm := range append(append([]types.ChainMsg{}, b.BlsMessages...), b.SecpkMessages...) {
			m := cm.VMMessage()
			if want, seen := next[m.From]; seen && m.Nonce != want {
				continue
			}
			next[m.From] = m.Nonce + 1
			out = append(out, m)
		}
	}
	return out
}

// checkSent finds each transfer once.
func (r *run) checkSent(done []executed) {
	r.t.Helper()
	count := make(map[string]int)
	for _, m := range done {
		if m.Method == builtin.MethodSend {
			count[m.Value.String()]++
			if m.receipt.ExitCode != 0 {
				r.t.Errorf("transfer of %s at height %d ended with code %d", m.Value, m.at, m.receipt.ExitCode)
			}
		}
	}
	for serial, e := range r.sent {
		v := amount(serial).String()
		if count[v] != 1 {
			r.t.Errorf("%v is on chain %d times", e, count[v])
		}
		delete(count, v)
	}
	for v, n := range count {
		r.t.Errorf("%d transfers of %s, which nobody sent", n, v)
	}
	r.t.Logf("%d transfers on chain, %d messages in all", len(r.sent), len(done))
}

// checkProving goes through every window of every miner that passed: where the miner had
// sectors and nothing was done to it, its proof is on chain within the window.
func (r *run) checkProving(ctx context.Context, s *store.Store, chain []*types.TipSet, done []executed) error {
	head := chain[len(chain)-1]
	proven, excused, missed := 0, 0, 0
	for i, m := range r.birth.Members[:r.schedule.miners] {
		maddr := m.Miner
		for h := abi.ChainEpoch(1); h < head.Height(); {
			ts, err := s.TipSetAt(ctx, h, nil)
			if err != nil {
				return err
			}
			v := view.At(s, ts.ParentState())
			dl, err := v.DeadlineInfo(ctx, maddr, h)
			if err != nil {
				return err
			}
			if dl.Close > head.Height() {
				break
			}
			h = dl.Close
			if dl.Open < 1 {
				continue
			}
			parts, err := v.Partitions(ctx, maddr, dl.Index)
			if err != nil {
				return err
			}
			live := uint64(0)
			for _, p := range parts {
				set, err := p.LiveSectors()
				if err != nil {
					return err
				}
				n, err := set.Count()
				if err != nil {
					return err
				}
				live += n
			}
			if live == 0 {
				continue
			}
			ok := false
			for _, d := range done {
				if d.To == maddr && d.Method == builtin.MethodsMiner.SubmitWindowedPoSt && d.at >= dl.Open && d.at < dl.Close && d.receipt.ExitCode == 0 {
					ok = true
				}
			}
			switch {
			case ok:
				proven++
			case r.wasRough(i, dl.Open-1, dl.Close):
				excused++
			default:
				missed++
				r.t.Errorf("%s was up and did not prove deadline %d, epochs %d to %d, with %d sectors", maddr, dl.Index, dl.Open, dl.Close, live)
			}
		}
	}
	if proven < r.schedule.provesAtLeast {
		r.t.Errorf("%d windows were proven, at least %d should have been", proven, r.schedule.provesAtLeast)
	}
	r.t.Logf("window PoSts: %d proven, %d excused, %d missed", proven, excused, missed)
	return nil
}

// wasRough tells whether a node had trouble between two epochs.
func (r *run) wasRough(i int, from, to abi.ChainEpoch) bool {
	a, b := time.Duration(from)*r.schedule.epoch, time.Duration(to)*r.schedule.epoch
	for _, s := range r.rough[i] {
		if s.from < b && s.to > a {
			return true
		}
	}
	return false
}
