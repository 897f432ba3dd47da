package mpool

import (
	"fmt"
	"slices"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/lodenet/lode/chain/types"
)

// sender has the pending messages of one sender by nonce.
type sender struct {
	msgs map[uint64]*types.SignedMessage
}

// sorted lists the messages in nonce order.
func (s *sender) sorted() []*types.SignedMessage {
	out := make([]*types.SignedMessage, 0, len(s.msgs))
	for _, m := range s.msgs {
		out = append(out, m)
	}
	slices.SortFunc(out, byNonce)
	return out
}

func byNonce(a, b *types.SignedMessage) int {
	switch {
	case a.Message.Nonce < b.Message.Nonce:
		return -1
	case a.Message.Nonce > b.Message.Nonce:
		return 1
	}
	return 0
}

// next is the first nonce from the state's on that is not pending.
func (s *sender) next(state uint64) uint64 {
	for s.msgs[state] != nil {
		state++
	}
	return state
}

// run lists the messages from the state's nonce on without a gap.
func (s *sender) run(state uint64) []*types.SignedMessage {
	var out []*types.SignedMessage
	for m := s.msgs[state]; m != nil; m = s.msgs[state] {
		out = append(out, m)
		state++
	}
	return out
}

// admission says which rules a message meets on its way in.
type admission struct {
	strict  bool   // gaps in the nonces are refused
	gap     uint64 // how many may be missing
	pending int    // how many of one sender there may be
}

// check applies the rules of g.1 between a message and the others of its sender.
func (s *sender) check(m *types.Message, acc account, adm admission) error {
	next := s.next(acc.nonce)
	if adm.strict && m.Nonce > next && m.Nonce-next > adm.gap {
		return fmt.Errorf("%w: it is %d, the next would be %d", ErrNonceGap, m.Nonce, next)
	}
	old := s.msgs[m.Nonce]
	switch {
	case old != nil && adm.strict && m.Nonce > next:
		return fmt.Errorf("%w: no replacement of %d before %d is there", ErrNonceGap, m.Nonce, next)
	case old != nil:
		least := ReplacementPremium(old.Message.GasPremium)
		if m.GasPremium.LessThan(least) {
			return fmt.Errorf("%w: %s is below %s", ErrPremiumTooLow, m.GasPremium, least)
		}
	case len(s.msgs) >= adm.pending:
		return fmt.Errorf("%w: %d", ErrTooMany, len(s.msgs))
	}
	need := m.RequiredFunds()
	for nonce, other := range s.msgs {
		if nonce != m.Nonce {
			need = big.Add(need, other.Message.RequiredFunds())
		}
	}
	if acc.balance.LessThan(need) {
		return fmt.Errorf("%w: balance %s, need %s for all that is pending", ErrFunds, types.FIL(acc.balance), types.FIL(need))
	}
	return nil
}

// ReplacementPremium is the least gas premium that replaces a pending message, in attoFIL
// per gas unit (spec chain.md g.1).
func ReplacementPremium(old abi.TokenAmount) abi.TokenAmount {
	return big.Add(big.Div(big.Mul(old, big.NewInt(replaceRatio)), big.NewInt(100)), big.NewInt(1))
}
