package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/reward"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/state"
	"github.com/lodenet/lode/chain/state/amt"
	"github.com/lodenet/lode/chain/types"
)

// Gas limits of the implicit messages (spec chain.md c.7).
const (
	rewardGas = 1 << 30
	cronGas   = types.BlockGasLimit * 10_000
)

// ErrDuplicateMiner: two blocks of a tipset are of the same miner, so it has no result. One
// of the blocks is a consensus fault; the other alone is fine.
var ErrDuplicateMiner = errors.New("duplicate miner in tipset")

// ErrImplicit: a message of the system itself did not succeed. The node must stop here
// rather than go on with a state of its own.
var ErrImplicit = errors.New("implicit message did not succeed")

// TipSet is what ApplyTipSet executes, taken from the headers of the tipset.
type TipSet struct {
	// Parent is the state root that the headers name: after executing the parent tipset.
	Parent       cid.Cid
	ParentHeight abi.ChainEpoch
	Height       abi.ChainEpoch
	BaseFee      abi.TokenAmount // attoFIL per gas unit
	// Blocks are in canonical order.
	Blocks []types.BlockMessages
}

// ApplyTipSet executes a tipset above the genesis (c.2): a cron for each null round before
// it, the selected messages of each block (c.3) and its reward, and a cron. each, if not
// nil, is called for each explicit message that was applied, in the order of the receipts.
// It returns the new state root and the root of the receipts, both written to env.Blocks.
func ApplyTipSet(ctx context.Context, env Env, ts TipSet, each func(types.ChainMsg, *Result)) (root, receipts cid.Cid, err error) {
	if ts.Height <= ts.ParentHeight {
		return cid.Undef, cid.Undef, fmt.Errorf("tipset at height %d has its parent at %d", ts.Height, ts.ParentHeight)
	}
	blks, err := SelectMessages(ctx, env, ts.Parent, ts.Blocks)
	if err != nil {
		return cid.Undef, cid.Undef, fmt.Errorf("tipset at height %d: %w", ts.Height, err)
	}
	ts.Blocks = blks
	root, receipts, err = applySelected(ctx, env, ts, each)
	if err != nil {
		return cid.Undef, cid.Undef, fmt.Errorf("tipset at height %d: %w", ts.Height, err)
	}
	return root, receipts, nil
}

// applySelected executes all messages of the blocks, each once.
func applySelected(ctx context.Context, env Env, ts TipSet, each func(types.ChainMsg, *Result)) (root, receipts cid.Cid, err error) {
	miners := make(map[address.Address]struct{}, len(ts.Blocks))
	for _, b := range ts.Blocks {
		if _, twice := miners[b.Miner]; twice {
			return cid.Undef, cid.Undef, fmt.Errorf("%w: %s", ErrDuplicateMiner, b.Miner)
		}
		miners[b.Miner] = struct{}{}
	}
	buf := state.NewBuffer(env.Blocks)
	root = ts.Parent
	for epoch := ts.ParentHeight + 1; epoch < ts.Height; epoch++ {
		v, err := newOn(ctx, env, buf, root, epoch, ts.BaseFee)
		if err != nil {
			return cid.Undef, cid.Undef, err
		}
		if err := v.cron(ctx); err != nil {
			return cid.Undef, cid.Undef, err
		}
		if root, err = v.flushTree(ctx); err != nil {
			return cid.Undef, cid.Undef, err
		}
	}
	v, err := newOn(ctx, env, buf, root, ts.Height, ts.BaseFee)
	if err != nil {
		return cid.Undef, cid.Undef, err
	}
	list, err := v.applyBlocks(ctx, ts.Blocks, each)
	if err != nil {
		return cid.Undef, cid.Undef, err
	}
	if err := v.cron(ctx); err != nil {
		return cid.Undef, cid.Undef, err
	}
	if receipts, err = amt.BuildReceipts(ctx, buf, list); err != nil {
		return cid.Undef, cid.Undef, err
	}
	if err := buf.Flush(ctx, receipts); err != nil {
		return cid.Undef, cid.Undef, err
	}
	root, err = v.Flush(ctx)
	return root, receipts, err
}

// applyBlocks runs the messages and the reward of each block.
func (v *VM) applyBlocks(ctx context.Context, blks []types.BlockMessages, each func(types.ChainMsg, *Result)) ([]types.MessageReceipt, error) {
	var receipts []types.MessageReceipt
	applied := make(map[cid.Cid]struct{})
	for _, b := range blks {
		penalty, tip := big.Zero(), big.Zero()
		for _, list := range [][]types.ChainMsg{b.BlsMessages, b.SecpkMessages} {
			for _, m := range list {
				id := m.VMMessage().Cid()
				if _, twice := applied[id]; twice {
					continue
				}
				applied[id] = struct{}{}
				r, err := v.Apply(ctx, m)
				if err != nil {
					return nil, err
				}
				receipts = append(receipts, r.Receipt)
				penalty, tip = big.Add(penalty, r.Penalty), big.Add(tip, r.MinerTip)
				if each != nil {
					each(m, r)
				}
			}
		}
		if err := v.reward(ctx, b, penalty, tip); err != nil {
			return nil, err
		}
	}
	return receipts, nil
}

// reward pays the miner of a block.
func (v *VM) reward(ctx context.Context, b types.BlockMessages, penalty, tip abi.TokenAmount) error {
	params := reward.AwardBlockRewardParams{Miner: b.Miner, Penalty: penalty, GasReward: tip, WinCount: b.WinCount}
	var buf bytes.Buffer
	if err := params.MarshalCBOR(&buf); err != nil {
		return fmt.Errorf("reward of %s: %w", b.Miner, err)
	}
	return v.implicit(ctx, builtin.RewardActorAddr, builtin.MethodsReward.AwardBlockReward, buf.Bytes(), rewardGas)
}

// cron runs what is due at the epoch.
func (v *VM) cron(ctx context.Context) error {
	return v.implicit(ctx, builtin.CronActorAddr, builtin.MethodsCron.EpochTick, nil, cronGas)
}

func (v *VM) implicit(ctx context.Context, to address.Address, method abi.MethodNum, params []byte, gas int64) error {
	m := &types.Message{
		From: builtin.SystemActorAddr, To: to, Nonce: uint64(v.epoch), Value: big.Zero(),
		GasLimit: gas, GasFeeCap: big.Zero(), GasPremium: big.Zero(), Method: method, Params: params,
	}
	r, err := v.ApplyImplicit(ctx, m)
	if err != nil {
		return err
	}
	if r.Code() != exitcode.Ok {
		return fmt.Errorf("%w: to %s method %d at epoch %d: exit code %d: %s", ErrImplicit, to, method, v.epoch, r.Code(), r.Err)
	}
	if v.env.Implicit != nil {
		v.env.Implicit(m, r)
	}
	return nil
}
