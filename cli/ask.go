package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/api"
)

func (a *app) askCmd() *cobra.Command {
	return a.noun("ask", "What providers charge and take", nil, a.askShow(), a.askSet())
}

func (a *app) showAsk(ask *api.Ask) error {
	return a.show(ask, func(w io.Writer) error {
		return fields(w, "Provider", ask.Miner.String(), "Price", price(ask.Price)+" per GiB and epoch",
			"Verified", price(ask.VerifiedPrice)+" per GiB and epoch",
			"Pieces", fmt.Sprintf("%s to %s", size(uint64(ask.MinPieceSize)), size(uint64(ask.MaxPieceSize))),
			"Good until", fmt.Sprintf("epoch %d", ask.Expiry))
	})
}

func (a *app) askShow() *cobra.Command {
	return a.verb(verb{
		use: "show [PROVIDER]", short: "Ask a provider for its terms; without one, show this node's own",
		example: "  lode ask show t01000\n  lode --repo net/node-0 ask show",
		args:    cobra.MaximumNArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			if len(args) == 0 {
				ask, err := n.ProviderAsk(ctx)
				if err != nil {
					return err
				}
				return a.showAsk(ask)
			}
			addr, err := parseAddress(args[0])
			if err != nil {
				return err
			}
			ask, err := n.DealAsk(ctx, addr)
			if err != nil {
				return err
			}
			return a.showAsk(ask)
		},
	})
}

func (a *app) askSet() *cobra.Command {
	var verified string
	var least, most uint64
	var expiry int64
	return a.verb(verb{
		use: "set PRICE", short: "Set what this provider charges per GiB and epoch",
		example: "  lode ask set \"500 attofil\" --verified-price 0 --min-piece-size 1024",
		args:    cobra.ExactArgs(1),
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&verified, "verified-price", "", "for verified deals (default: as now)")
			f.Uint64Var(&least, "min-piece-size", 0, "smallest piece in bytes (default: as now)")
			f.Uint64Var(&most, "max-piece-size", 0, "largest piece in bytes (default: as now)")
			f.Int64Var(&expiry, "expiry", 0, "epoch up to which this holds (default: as now)")
		},
		node: func(ctx context.Context, n api.Node, args []string) error {
			ask, err := n.ProviderAsk(ctx)
			if err != nil {
				return err
			}
			if ask.Price, err = parseAmount(args[0]); err != nil {
				return err
			}
			if verified != "" {
				if ask.VerifiedPrice, err = parseAmount(verified); err != nil {
					return err
				}
			}
			if least > 0 {
				ask.MinPieceSize = abi.PaddedPieceSize(least)
			}
			if most > 0 {
				ask.MaxPieceSize = abi.PaddedPieceSize(most)
			}
			if expiry > 0 {
				ask.Expiry = abi.ChainEpoch(expiry)
			}
			if err := n.ProviderSetAsk(ctx, ask); err != nil {
				return err
			}
			if ask, err = n.ProviderAsk(ctx); err != nil {
				return err
			}
			return a.showAsk(ask)
		},
	})
}
