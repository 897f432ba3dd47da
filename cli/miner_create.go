package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/ipfs/go-cid"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/api/porcelain"
	"github.com/lodenet/lode/chain/types"
)

func (a *app) minerCreate() *cobra.Command {
	var owner, worker, funds string
	return a.verb(verb{
		use: "create", short: "Make a miner on the chain, with this node as its peer",
		long: "Make a miner on the chain, with this node as its peer and the sector size of the network's other miners.\n" +
			"The owner gets what the miner earns; the worker signs its blocks and messages and pays for them, deposits and pledges included.\n" +
			"A worker's key is of type BLS. When the owner's is not, a new key is made, and the owner sends it --worker-funds.\n" +
			"Afterwards the settings must name the miner; the command prints what to add.",
		example: "  lode miner create --yes\n  lode miner create --owner t1abc… --worker-funds 5000",
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&owner, "owner", "", "address of the owner (default: the wallet's default)")
			f.StringVar(&worker, "worker", "", "address of the worker, a BLS key of this wallet (default: the owner, or a new key)")
			f.StringVar(&funds, "worker-funds", "1000", "FIL that a new worker's key gets from the owner")
		},
		node: func(ctx context.Context, n api.Node, _ []string) error {
			amount, err := parseAmount(funds)
			if err != nil {
				return err
			}
			m := porcelain.NewMiner{}
			if m.Owner, err = sender(ctx, n, owner); err != nil {
				return err
			}
			if m.Worker, err = optionalAddress(worker); err != nil {
				return err
			}
			if p := m.Worker.Protocol(); m.Worker != address.Undef && p != address.BLS && p != address.ID {
				return usagef("--worker %s is not a BLS key; lode wallet new bls makes one", m.Worker)
			}
			return a.createMiner(ctx, n, m, amount)
		},
	})
}

// createMiner makes the worker's key if it must, and the miner.
func (a *app) createMiner(ctx context.Context, n api.Node, m porcelain.NewMiner, funds abi.TokenAmount) error {
	if m.Worker == address.Undef && m.Owner.Protocol() == address.BLS {
		m.Worker = m.Owner
	}
	question := fmt.Sprintf("make a miner of owner %s and worker %s", m.Owner, m.Worker)
	if m.Worker == address.Undef {
		question = fmt.Sprintf("make a miner of owner %s and a new worker's key that gets %s", m.Owner, fil(funds))
	}
	if err := a.confirm(question); err != nil {
		return err
	}
	fresh := m.Worker == address.Undef
	if fresh {
		var err error
		if m.Worker, err = n.WalletNew(ctx, api.KeyBLS); err != nil {
			return err
		}
	}
	// What can be wrong without a message shows here, before money is sent.
	msg, err := porcelain.CreateMinerMessage(ctx, n, m)
	if err != nil {
		return err
	}
	if fresh {
		a.say("worker's key %s; sending it %s", m.Worker, fil(funds))
		pay := &types.Message{From: m.Owner, To: m.Worker, Value: funds}
		if _, err := porcelain.Send(ctx, n, pay, &api.MessageSendSpec{MaxFee: big.Zero()}, porcelain.Confidence); err != nil {
			return fmt.Errorf("fund the worker %s: %w", m.Worker, err)
		}
	}
	a.say("making the miner; this takes a few epochs")
	found, err := porcelain.Send(ctx, n, msg, &api.MessageSendSpec{MaxFee: big.Zero()}, porcelain.Confidence)
	if err != nil {
		return fmt.Errorf("make the miner (to try again with the same worker: --worker %s): %w", m.Worker, err)
	}
	id, err := porcelain.CreatedMiner(found)
	if err != nil {
		return err
	}
	out := struct {
		Miner, Owner, Worker address.Address
		Message              cid.Cid
	}{id, m.Owner, m.Worker, found.Message}
	return a.show(out, func(w io.Writer) error {
		return fields(w, "Miner", id.String(), "Owner", m.Owner.String(), "Worker", m.Worker.String(), "Message", found.Message.String(),
			"Next", fmt.Sprintf("in %s, under [Mining], set Enabled = true and Miner = %q; then restart the node and pledge sectors: lode sector pledge", filepath.Join(a.dir, "config.toml"), id))
	})
}
