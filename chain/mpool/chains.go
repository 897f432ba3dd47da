package mpool

import (
	"bytes"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/lodenet/lode/chain/types"
)

// chain is a run of one sender's messages that are taken together: a cheap message comes
// along when a dear one behind it pays for both (spec chain.md g.3).
type chain struct {
	from     address.Address
	place    int // among the sender's chains
	priority bool
	msgs     []*types.SignedMessage
	rewards  []abi.TokenAmount // of each message, in attoFIL
	gas      int64
	reward   abi.TokenAmount
	perf     big.Int // reward for a full block of it
}

// chains splits a sender's messages so that performance falls from chain to chain.
func chains(msgs []*types.SignedMessage, baseFee abi.TokenAmount) []*chain {
	var out []*chain
	for _, m := range msgs {
		r := rewardOf(&m.Message, baseFee)
		if n := len(out); n > 0 {
			longer := performance(big.Add(out[n-1].reward, r), out[n-1].gas+m.Message.GasLimit)
			if !longer.LessThan(out[n-1].perf) {
				out[n-1].extend(m, r)
				continue
			}
		}
		c := &chain{from: m.Message.From, reward: big.Zero(), perf: big.Zero()}
		c.extend(m, r)
		out = append(out, c)
	}
	for merged := true; merged; {
		merged = false
		for i := len(out) - 1; i > 0; i-- {
			if out[i].perf.LessThan(out[i-1].perf) {
				continue
			}
			for j, m := range out[i].msgs {
				out[i-1].extend(m, out[i].rewards[j])
			}
			out = append(out[:i], out[i+1:]...)
			merged = true
		}
	}
	for i, c := range out {
		c.place = i
	}
	return out
}

func (c *chain) extend(m *types.SignedMessage, reward abi.TokenAmount) {
	c.msgs = append(c.msgs, m)
	c.rewards = append(c.rewards, reward)
	c.gas += m.Message.GasLimit
	c.reward = big.Add(c.reward, reward)
	c.perf = performance(c.reward, c.gas)
}

// trim drops the last message.
func (c *chain) trim() {
	n := len(c.msgs) - 1
	c.gas -= c.msgs[n].Message.GasLimit
	c.reward = big.Sub(c.reward, c.rewards[n])
	c.msgs, c.rewards = c.msgs[:n], c.rewards[:n]
	if n > 0 {
		c.perf = performance(c.reward, c.gas)
	}
}

// rewardOf is what a miner earns by a message, in attoFIL; what it loses counts three times.
func rewardOf(m *types.Message, baseFee abi.TokenAmount) abi.TokenAmount {
	tip := big.Min(big.Sub(m.GasFeeCap, baseFee), m.GasPremium)
	r := big.Mul(tip, big.NewInt(m.GasLimit))
	if r.Sign() < 0 {
		r = big.Mul(r, big.NewInt(3))
	}
	return r
}

func performance(reward abi.TokenAmount, gas int64) big.Int {
	return big.Div(big.Mul(reward, big.NewInt(types.BlockGasLimit)), big.NewInt(max(1, gas)))
}

// better orders chains: those of priority senders, then by performance, then by reward. The
// rest makes the order the same everywhere.
func better(a, b *chain) int {
	if a.priority != b.priority {
		if a.priority {
			return -1
		}
		return 1
	}
	if c := big.Cmp(b.perf, a.perf); c != 0 {
		return c
	}
	if c := big.Cmp(b.reward, a.reward); c != 0 {
		return c
	}
	if c := bytes.Compare(a.from.Bytes(), b.from.Bytes()); c != 0 {
		return c
	}
	return a.place - b.place
}
