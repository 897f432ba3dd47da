package cli

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/filecoin-project/go-address"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/api/porcelain"
	"github.com/lodenet/lode/chain/types"
)

func (a *app) mpoolCmd() *cobra.Command {
	return a.noun("mpool", "Messages that wait for a block", nil, a.mpoolLs(), a.mpoolNonce(), a.mpoolReplace(), a.mpoolSelect(), a.mpoolConfig())
}

func (a *app) showMessages(list []*types.SignedMessage) error {
	if list == nil {
		list = []*types.SignedMessage{}
	}
	return a.show(list, func(w io.Writer) error {
		rows := make([][]string, 0, len(list))
		for _, s := range list {
			m := s.Message
			rows = append(rows, []string{s.Cid().String(), m.From.String(), fmt.Sprint(m.Nonce), m.To.String(), fil(m.Value), fmt.Sprint(m.Method), price(m.GasFeeCap), price(m.GasPremium)})
		}
		return grid(w, []string{"message", "from", ">nonce", "to", ">value", ">method", ">fee cap", ">premium"}, rows)
	})
}

func (a *app) mpoolLs() *cobra.Command {
	var local bool
	var from, to string
	return a.verb(verb{
		use: "ls", short: "List the messages that wait", aliases: []string{"pending", "list"},
		example: "  lode mpool ls --local\n  lode mpool ls --from t1abc… --json",
		flags: func(f *pflag.FlagSet) {
			f.BoolVar(&local, "local", false, "only those of the node's wallet")
			f.StringVar(&from, "from", "", "only those of a sender")
			f.StringVar(&to, "to", "", "only those to an address")
		},
		node: func(ctx context.Context, n api.Node, _ []string) error {
			pending, err := n.MpoolPending(ctx, types.TipSetKey{})
			if err != nil {
				return err
			}
			var own []address.Address
			if local {
				if own, err = n.WalletList(ctx); err != nil {
					return err
				}
			}
			sender, err := optionalAddress(from)
			if err != nil {
				return err
			}
			recipient, err := optionalAddress(to)
			if err != nil {
				return err
			}
			list := slices.DeleteFunc(pending, func(m *types.SignedMessage) bool {
				f, t := m.Message.From, m.Message.To
				return local && !slices.Contains(own, f) || sender != address.Undef && f != sender || recipient != address.Undef && t != recipient
			})
			return a.showMessages(list)
		},
	})
}

func (a *app) mpoolNonce() *cobra.Command {
	return a.verb(verb{
		use: "nonce [ADDRESS]", short: "Show the nonce of an address's next message",
		example: "  lode mpool nonce t1abc…",
		args:    cobra.MaximumNArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			addr, err := sender(ctx, n, first(args))
			if err != nil {
				return err
			}
			nonce, err := n.MpoolGetNonce(ctx, addr)
			if err != nil {
				return err
			}
			return a.show(struct{ Nonce uint64 }{nonce}, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, nonce)
				return err
			})
		},
	})
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func (a *app) mpoolReplace() *cobra.Command {
	var premium, feeCap string
	return a.verb(verb{
		use: "replace CID", short: "Send a message that waits again with higher fees",
		long:    "Send a message that waits again with higher fees. Without flags the premium rises by a quarter; pools want a tenth at least. Messages that the node sends by itself are replaced by itself when they are stuck.",
		example: "  lode mpool replace bafy2bza… --yes\n  lode mpool replace bafy2bza… --gas-premium \"2 nanofil\"",
		args:    cobra.ExactArgs(1),
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&premium, "gas-premium", "", "new premium per gas unit")
			f.StringVar(&feeCap, "gas-feecap", "", "new fee cap per gas unit")
		},
		node: func(ctx context.Context, n api.Node, args []string) error {
			c, err := parseCid(args[0])
			if err != nil {
				return err
			}
			p, err := parseAmount(premium)
			if err != nil {
				return err
			}
			f, err := parseAmount(feeCap)
			if err != nil {
				return err
			}
			if err := a.confirm(fmt.Sprintf("replace message %s by one that pays more", c)); err != nil {
				return err
			}
			m, err := porcelain.Replace(ctx, n, c, p, f)
			if err != nil {
				return err
			}
			return a.showCid(m.Cid())
		},
	})
}

func (a *app) mpoolSelect() *cobra.Command {
	var quality float64
	return a.verb(verb{
		use: "select", short: "Show what a miner would put in the next block",
		example: "  lode mpool select --quality 0.8",
		flags:   func(f *pflag.FlagSet) { f.Float64Var(&quality, "quality", 1, "ticket quality, 0 to 1") },
		node: func(ctx context.Context, n api.Node, _ []string) error {
			if quality < 0 || quality > 1 {
				return usagef("quality %v is not between 0 and 1", quality)
			}
			list, err := n.MpoolSelect(ctx, types.TipSetKey{}, quality)
			if err != nil {
				return err
			}
			return a.showMessages(list)
		},
	})
}

func (a *app) mpoolConfig() *cobra.Command {
	return a.verb(verb{
		use: "config", short: "Show the pool's limits",
		example: "  lode mpool config",
		node: func(ctx context.Context, n api.Node, _ []string) error {
			c, err := n.MpoolGetConfig(ctx)
			if err != nil {
				return err
			}
			return a.show(c, func(w io.Writer) error {
				return fields(w, "Most messages", fmt.Sprint(c.SizeLimitHigh), "Pruned to", fmt.Sprint(c.SizeLimitLow),
					"Replacement pays", fmt.Sprintf("%g times", c.ReplaceByFeeRatio), "Gas estimates times", fmt.Sprint(c.GasLimitOverestimation))
			})
		},
	})
}
