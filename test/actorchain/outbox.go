package actorchain

import (
	"bytes"
	"context"
	"strings"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/exitcode"

	"github.com/lodenet/lode/chain/outbox"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/vm"
)

// sent is a message.
type sent struct {
	in     outbox.Intent
	result *outbox.Result // guarded by Chain.mu; nil until on chain
}

// Send implements sealing.Messages.
func (c *Chain) Send(ctx context.Context, in outbox.Intent) (outbox.ID, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.box[in.Key]; s != nil && in.Key != "" {
		if !bytes.Equal(s.in.Params, in.Params) || s.in.Method != in.Method || !s.in.Value.Equals(in.Value) {
			return 0, outbox.ErrKeyReused
		}
		return c.idOf(s), nil
	}
	s := &sent{in: in}
	c.box[in.Key] = s
	c.ids = append(c.ids, s)
	return c.idOf(s), nil
}

func (c *Chain) idOf(s *sent) outbox.ID {
	for i, o := range c.ids {
		if o == s {
			return outbox.ID(i + 1)
		}
	}
	return 0
}

// ByKey implements sealing.Messages.
func (c *Chain) ByKey(_ context.Context, key string) (outbox.ID, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.box[key]; s != nil {
		return c.idOf(s), nil
	}
	return 0, outbox.ErrUnknown
}

// Wait implements sealing.Messages.
func (c *Chain) Wait(ctx context.Context, id outbox.ID, confidence abi.ChainEpoch) (*outbox.Result, error) {
	for {
		c.mu.Lock()
		if id < 1 || int(id) > len(c.ids) {
			c.mu.Unlock()
			return nil, outbox.ErrUnknown
		}
		res, head, changed := c.ids[id-1].result, abi.ChainEpoch(len(c.main)-1), c.changed
		if res != nil && head >= res.IncludedHeight+max(1, confidence) {
			out := *res
			out.Height = res.IncludedHeight + 1
			out.TipSet = c.main[out.Height].ts.Key()
			c.mu.Unlock()
			return &out, nil
		}
		c.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take executes the messages that wait, in the order they were sent. mu is held.
func (c *Chain) take(ctx context.Context, m *vm.VM, h abi.ChainEpoch) []*sent {
	var out []*sent
	for _, s := range c.ids {
		if s.result != nil || c.hold != nil && c.hold(s.in) {
			continue
		}
		msg := &types.Message{
			From: s.in.From, To: s.in.To, Value: s.in.Value, Method: s.in.Method, Params: s.in.Params,
			GasLimit: 1 << 40, GasFeeCap: big.Zero(), GasPremium: big.Zero(),
		}
		if c.spoil != nil && c.spoil(s.in) {
			msg.Method = 99
		}
		res, err := m.ApplyImplicit(ctx, msg)
		if err != nil {
			c.t.Errorf("message %s: %v", s.in.Key, err)
			return out
		}
		if code := exitcode.ExitCode(res.Receipt.ExitCode); code != exitcode.Ok && msg.Method != 99 {
			c.t.Logf("epoch %d: message %s: %s: %s", h, s.in.Key, code, res.Err)
		}
		s.result = &outbox.Result{Message: msg.Cid(), Receipt: res.Receipt, Included: c.main[h].ts.Key(), IncludedHeight: h}
		out = append(out, s)
	}
	return out
}

// Hold keeps messages back while f says so; nil lets all go.
func (c *Chain) Hold(f func(outbox.Intent) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hold = f
}

// Spoil makes messages fail on chain while f says so.
func (c *Chain) Spoil(f func(outbox.Intent) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spoil = f
}

// Sent lists the intents whose keys begin so, in the order they were sent.
func (c *Chain) Sent(prefix string) []outbox.Intent {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []outbox.Intent
	for _, s := range c.ids {
		if strings.HasPrefix(s.in.Key, prefix) {
			out = append(out, s.in)
		}
	}
	return out
}

// Do executes one message of a test at the next tick and returns its receipt.
func (c *Chain) Do(in outbox.Intent) types.MessageReceipt {
	c.t.Helper()
	ctx := c.t.Context()
	id, err := c.Send(ctx, in)
	if err != nil {
		c.t.Fatal(err)
	}
	c.Tick()
	c.Tick()
	res, err := c.Wait(ctx, id, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	return res.Receipt
}
