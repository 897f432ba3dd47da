package cli

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/ipfs/go-cid"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/api/porcelain"
	"github.com/lodenet/lode/chain/types"
)

func (a *app) messageCmd() *cobra.Command {
	return a.noun("message", "Send messages and see what came of them", []string{"msg"},
		a.messageSend("send TO AMOUNT"), a.messageWait(), a.messageSearch(), a.chainMessageAs("show CID"))
}

func (a *app) chainMessageAs(use string) *cobra.Command {
	c := a.chainMessage()
	c.Use, c.Aliases, c.Example = use, nil, "  lode message show bafy2bza…"
	return c
}

func (a *app) sendCmd() *cobra.Command { return a.messageSend("send TO AMOUNT") }

func (a *app) messageSend(use string) *cobra.Command {
	var from, params, maxFee string
	var method uint64
	var preview, wait bool
	return a.verb(verb{
		use: use, short: "Send money, or call a method of an actor",
		long: "Send money, or call a method of an actor.\n" +
			"Amounts are in FIL unless they name another unit: 1.5, \"10 nanofil\", 123attofil. The effect and the most that it costs are shown first.",
		example: "  lode send t1abc… 1.5\n  lode send t01000 0 --method 16 --params 80 --yes --wait\n  lode send t1abc… 3 --preview",
		args:    cobra.ExactArgs(2),
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&from, "from", "", "address that pays (default: the wallet's default)")
			f.Uint64Var(&method, "method", 0, "method to call")
			f.StringVar(&params, "params", "", "its parameters, CBOR in hex")
			f.StringVar(&maxFee, "max-fee", "", "the most that gas may cost (default: the node's)")
			f.BoolVar(&preview, "preview", false, "show the cost and send nothing")
			f.BoolVar(&wait, "wait", false, "wait for the receipt")
		},
		node: func(ctx context.Context, n api.Node, args []string) error {
			m := &types.Message{Method: abi.MethodNum(method), GasFeeCap: big.Zero(), GasPremium: big.Zero()}
			var err error
			if m.To, err = parseAddress(args[0]); err != nil {
				return err
			}
			if m.Value, err = parseAmount(args[1]); err != nil {
				return err
			}
			if m.Params, err = hex.DecodeString(params); err != nil {
				return usagef("--params %q is not hex: %w", params, err)
			}
			fee, err := parseAmount(maxFee)
			if err != nil {
				return err
			}
			if m.From, err = sender(ctx, n, from); err != nil {
				return err
			}
			spec := &api.MessageSendSpec{MaxFee: fee}
			return a.send(ctx, n, m, spec, preview, wait)
		},
	})
}

// send shows what a message does and costs, asks, and sends it.
func (a *app) send(ctx context.Context, n api.Node, m *types.Message, spec *api.MessageSendSpec, preview, wait bool) error {
	estimated, cost, err := porcelain.Preview(ctx, n, m, spec)
	if err != nil {
		return err
	}
	if preview {
		return a.show(&struct {
			Message *types.Message
			Cost    *porcelain.Cost
		}{estimated, &cost}, func(w io.Writer) error {
			if err := showMessage(w, estimated); err != nil {
				return err
			}
			return fields(w, "Cost at most", fil(cost.Total))
		})
	}
	if err := a.confirm(fmt.Sprintf("send %s from %s to %s, method %d, for at most %s of gas", fil(m.Value), m.From, m.To, m.Method, fil(cost.MaxGas))); err != nil {
		return err
	}
	if !wait {
		sent, err := n.MpoolPushMessage(ctx, m, spec)
		if err != nil {
			return err
		}
		return a.showCid(sent.Cid())
	}
	found, err := porcelain.Send(ctx, n, m, spec, porcelain.Confidence)
	return a.showLookup(found, err)
}

// showCid prints a message's CID.
func (a *app) showCid(c cid.Cid) error {
	return a.show(struct{ Message cid.Cid }{c}, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, c)
		return err
	})
}

// showLookup prints a receipt, also of a message that failed, and passes the error on.
func (a *app) showLookup(found *api.MsgLookup, err error) error {
	if found == nil {
		return err
	}
	if e := a.show(found, func(w io.Writer) error {
		return fields(w, "Message", found.Message.String(), "Height", fmt.Sprint(found.Height), "Exit code", fmt.Sprint(found.Receipt.ExitCode),
			"Gas used", fmt.Sprint(found.Receipt.GasUsed), "Return", hex.EncodeToString(found.Receipt.Return), "Tipset", found.TipSet.String())
	}); e != nil {
		return e
	}
	return err
}

func (a *app) messageWait() *cobra.Command {
	var confidence uint64
	return a.verb(verb{
		use: "wait CID", short: "Wait for a message's receipt",
		example: "  lode message wait bafy2bza… --confidence 5 --timeout 10m",
		args:    cobra.ExactArgs(1),
		flags: func(f *pflag.FlagSet) {
			f.Uint64Var(&confidence, "confidence", porcelain.Confidence, "epochs on top of the message")
		},
		node: func(ctx context.Context, n api.Node, args []string) error {
			c, err := parseCid(args[0])
			if err != nil {
				return err
			}
			return a.showLookup(porcelain.Wait(ctx, n, c, confidence))
		},
	})
}

func (a *app) messageSearch() *cobra.Command {
	var lookback int64
	return a.verb(verb{
		use: "search CID", short: "Find a message on chain",
		example: "  lode message search bafy2bza…",
		args:    cobra.ExactArgs(1),
		flags:   func(f *pflag.FlagSet) { f.Int64Var(&lookback, "lookback", -1, "epochs to search (-1: all)") },
		node: func(ctx context.Context, n api.Node, args []string) error {
			c, err := parseCid(args[0])
			if err != nil {
				return err
			}
			found, err := n.StateSearchMsg(ctx, types.TipSetKey{}, c, abi.ChainEpoch(lookback), true)
			if err != nil {
				return err
			}
			if found == nil {
				return fmt.Errorf("message %s is not on chain; if it was sent lately, wait for it with lode message wait", c)
			}
			return a.showLookup(found, nil)
		},
	})
}
