package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/google/uuid"
	"github.com/ipfs/go-cid"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/api/porcelain"
)

func (a *app) dealCmd() *cobra.Command {
	return a.noun("deal", "Deals for storage", nil, a.dealMake(), a.dealLs(), a.dealShow(), a.dealCheck(), a.dealWait())
}

func (a *app) dealMake() *cobra.Command {
	var provider, from, maxPrice, collateral string
	var at []string
	var duration, start int64
	var wait bool
	order := &api.DealOrder{}
	return a.verb(verb{
		use: "make ROOT|FILE", short: "Propose deals for a file to a provider",
		long: "Propose deals for a file to a provider: one for each of its pieces. A file that was not imported is imported first. " +
			"Deals that exist already for the same piece and provider are not made again.",
		example: "  lode deal make holiday.tar --provider t01000\n  lode deal make bafybei… --provider t01000 --max-price \"100 attofil\" --wait --yes",
		args:    cobra.ExactArgs(1),
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&provider, "provider", "", "the provider's miner address (needed)")
			f.StringVar(&from, "from", "", "address that pays (default: the wallet's default)")
			f.StringVar(&maxPrice, "max-price", "", "the most to pay per GiB and epoch (default: what the provider asks)")
			f.StringVar(&collateral, "provider-collateral", "", "what the provider sets at stake (default: a bit over the least allowed)")
			f.Int64Var(&duration, "duration", 0, "epochs (default: the shortest allowed)")
			f.Int64Var(&start, "start-epoch", 0, "latest epoch for the sector to be proven (default: as soon as sealing allows)")
			f.StringArrayVar(&at, "at", nil, "where the provider is reached, a multiaddr with /p2p/ (default: what the chain says)")
			f.BoolVar(&order.Verified, "verified", false, "use data cap")
			f.BoolVar(&order.RemoveUnsealed, "remove-unsealed-copy", false, "let the provider drop the copy that retrieval is quick from")
			f.BoolVar(&order.SkipAnnounce, "skip-announce", false, "ask the provider not to announce the data")
			f.BoolVar(&wait, "wait", false, "wait until the deals are active")
		},
		node: func(ctx context.Context, n api.Node, args []string) error {
			if provider == "" {
				return usagef("name the provider with --provider; lode miner ls lists miners")
			}
			var err error
			if order.Provider, err = parseAddress(provider); err != nil {
				return err
			}
			if from != "" {
				if order.Wallet, err = parseAddress(from); err != nil {
					return err
				}
			}
			if order.Price, err = optionalAmount(maxPrice); err != nil {
				return err
			}
			if order.Collateral, err = optionalAmount(collateral); err != nil {
				return err
			}
			if len(at) > 0 {
				if order.Addrs, err = parsePeers(at); err != nil {
					return err
				}
			}
			order.Duration, order.StartEpoch = abi.ChainEpoch(duration), abi.ChainEpoch(start)
			return a.makeDeals(ctx, n, args[0], order, wait)
		},
	})
}

func optionalAmount(s string) (*abi.TokenAmount, error) {
	if s == "" {
		return nil, nil
	}
	v, err := parseAmount(s)
	return &v, err
}

// makeDeals imports if need be, shows the price, asks, proposes, and waits if asked to.
func (a *app) makeDeals(ctx context.Context, n api.Node, what string, order *api.DealOrder, wait bool) error {
	root, err := cid.Decode(what)
	if err != nil {
		d, err := importFile(ctx, n, what)
		if err != nil {
			return fmt.Errorf("%q is neither the CID of something imported nor a file: %w", what, err)
		}
		a.say("imported %s: root %s, %d pieces", what, d.Root, len(d.Pieces))
		root = d.Root
	}
	order.Root = root
	most := order.Price
	if most == nil && !a.yes {
		ask, err := n.DealAsk(ctx, order.Provider)
		if err != nil {
			return err
		}
		most = &ask.Price
		if order.Verified {
			most = &ask.VerifiedPrice
		}
		order.Price = most // what was agreed to is what is paid
	}
	if most == nil {
		most = &big.Int{}
	}
	if err := a.confirm(fmt.Sprintf("store %s with %s for at most %s per GiB and epoch", root, order.Provider, price(*most))); err != nil {
		return err
	}
	deals, err := n.DealMake(ctx, order)
	if err != nil {
		return err
	}
	if wait {
		if deals, err = a.waitDeals(ctx, n, deals); err != nil {
			return err
		}
	}
	return a.showDeals(deals)
}

// waitDeals waits with a line for each change.
func (a *app) waitDeals(ctx context.Context, n api.Node, deals []*api.ClientDeal) ([]*api.ClientDeal, error) {
	ids := make([]uuid.UUID, len(deals))
	for i, d := range deals {
		ids[i] = d.ID
	}
	return porcelain.WaitDeals(ctx, n, ids, func(d *api.ClientDeal) { a.say("deal %s: %s", d.ID, progress(d)) })
}

// progress tells in a line where a deal is.
func progress(d *api.ClientDeal) string {
	switch {
	case d.Err != "":
		return d.State + ": " + d.Err
	case d.Active:
		return "active"
	case d.Waiting != "":
		return d.State + ": " + d.Waiting
	}
	return d.State
}

func (a *app) showDeals(list []*api.ClientDeal) error {
	if list == nil {
		list = []*api.ClientDeal{}
	}
	return a.show(list, func(w io.Writer) error {
		rows := make([][]string, 0, len(list))
		for _, d := range list {
			rows = append(rows, []string{
				d.ID.String(), d.Proposal.Provider.String(), fmt.Sprintf("%d/%d", d.Piece+1, d.Pieces),
				size(uint64(d.Proposal.PieceSize)), dealID(d.ChainDealID, d.Active), progress(d), d.Root.String(),
			})
		}
		return grid(w, []string{"deal", "provider", ">piece", ">size", ">on chain", "state", "root"}, rows)
	})
}

// dealID shows a deal's number on chain. The first deal of a chain has the number 0, so that
// alone does not tell whether there is one.
func dealID(id abi.DealID, published bool) string {
	if id == 0 && !published {
		return "-"
	}
	return fmt.Sprint(id)
}

func (a *app) dealLs() *cobra.Command {
	var provider bool
	return a.verb(verb{
		use: "ls", short: "List deals, newest first", aliases: []string{"list"},
		example: "  lode deal ls\n  lode deal ls --provider",
		flags: func(f *pflag.FlagSet) {
			f.BoolVar(&provider, "provider", false, "those that this node took as a provider")
		},
		node: func(ctx context.Context, n api.Node, _ []string) error {
			if provider {
				list, err := n.ProviderDeals(ctx)
				if err != nil {
					return err
				}
				return a.showTaken(list)
			}
			list, err := n.DealList(ctx)
			if err != nil {
				return err
			}
			return a.showDeals(list)
		},
	})
}

func (a *app) showTaken(list []*api.ProviderDeal) error {
	if list == nil {
		list = []*api.ProviderDeal{}
	}
	return a.show(list, func(w io.Writer) error {
		rows := make([][]string, 0, len(list))
		for _, d := range list {
			state := d.Checkpoint
			if d.Err != "" {
				state += ": " + d.Err
			} else if d.Waiting != "" {
				state += ": " + d.Waiting
			}
			sector := "-"
			if d.Sector != nil {
				sector = fmt.Sprint(*d.Sector)
			}
			rows = append(rows, []string{d.ID.String(), d.Proposal.Client.String(), size(uint64(d.Proposal.PieceSize)), dealID(d.ChainDealID, d.Sector != nil), sector, dash(d.SectorState), state})
		}
		return grid(w, []string{"deal", "client", ">size", ">on chain", ">sector", "sector state", "state"}, rows)
	})
}

func (a *app) dealShow() *cobra.Command {
	return a.verb(verb{
		use: "show ID", short: "Show a deal as this node knows it",
		example: "  lode deal show 9f4c…",
		args:    cobra.ExactArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			id, err := parseUUID(args[0])
			if err != nil {
				return err
			}
			d, err := n.DealGet(ctx, id)
			if err == nil {
				return a.show(d, func(w io.Writer) error { return showDeal(w, d) })
			}
			taken, e := n.ProviderDeal(ctx, id)
			switch {
			case errors.Is(e, api.ErrNoRole):
				return err
			case e != nil:
				return errors.Join(err, e)
			}
			return a.show(taken, func(w io.Writer) error { return showTakenDeal(w, taken) })
		},
	})
}

func showDeal(w io.Writer, d *api.ClientDeal) error {
	return fields(w, append([]string{
		"Deal", d.ID.String(), "Root", d.Root.String(), "Piece", fmt.Sprintf("%d of %d", d.Piece+1, d.Pieces), "State", progress(d),
		"Provider says", d.Checkpoint, "Sent", fmt.Sprintf("%s of %s", size(d.Sent), size(d.Size)),
		"Published in", cidText(d.PublishCid), "On chain", dealID(d.ChainDealID, d.Active), "Made", when(d.Created),
	}, proposalFields(&d.Proposal)...)...)
}

func showTakenDeal(w io.Writer, d *api.ProviderDeal) error {
	sector := ""
	if d.Sector != nil {
		sector = fmt.Sprintf("%d, %s", *d.Sector, d.SectorState)
	}
	return fields(w, append([]string{
		"Deal", d.ID.String(), "Root", d.Root.String(), "State", d.Checkpoint, "Waits for", d.Waiting, "Error", d.Err,
		"Received", fmt.Sprintf("%s of %s", size(d.Received), size(d.Size)), "Published in", cidText(d.PublishCid),
		"On chain", dealID(d.ChainDealID, d.Sector != nil), "Sector", sector, "Taken", when(d.Created),
	}, proposalFields(&d.Proposal)...)...)
}

func proposalFields(p *api.DealProposal) []string {
	return []string{
		"Piece CID", p.PieceCID.String(), "Piece size", size(uint64(p.PieceSize)), "Client", p.Client.String(), "Provider", p.Provider.String(),
		"Epochs", fmt.Sprintf("%d to %d", p.StartEpoch, p.EndEpoch), "Price per epoch", price(p.StoragePricePerEpoch),
		"Collateral", fmt.Sprintf("%s of the provider, %s of the client", fil(p.ProviderCollateral), fil(p.ClientCollateral)),
		"Verified", yesNo(p.VerifiedDeal), "Label", p.Label.String(),
	}
}

func cidText(c *cid.Cid) string {
	if c == nil {
		return ""
	}
	return c.String()
}

func (a *app) dealCheck() *cobra.Command {
	return a.verb(verb{
		use: "check ID", short: "Ask the provider and the chain how a deal stands",
		example: "  lode deal check 9f4c…",
		args:    cobra.ExactArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			id, err := parseUUID(args[0])
			if err != nil {
				return err
			}
			c, err := n.DealCheck(ctx, id)
			if err != nil {
				return err
			}
			return a.show(c, func(w io.Writer) error {
				says := "does not answer: " + c.ProviderErr
				if p := c.Provider; p != nil {
					says = p.Checkpoint
					if p.SealingStatus != "" {
						says += ", sector " + p.SealingStatus
					}
					if p.Err != "" {
						says += ": " + p.Err
					}
				}
				chain := "not published yet"
				if c.Chain != nil {
					chain = "published, not active yet"
					if c.Chain.State.SectorStartEpoch >= 0 {
						chain = fmt.Sprintf("active since epoch %d", c.Chain.State.SectorStartEpoch)
					}
					if c.Chain.State.SlashEpoch >= 0 {
						chain = fmt.Sprintf("slashed at epoch %d", c.Chain.State.SlashEpoch)
					}
				}
				return fields(w, "Deal", c.Deal.ID.String(), "Here", progress(c.Deal), "Provider", says, "Chain", chain)
			})
		},
	})
}

func (a *app) dealWait() *cobra.Command {
	return a.verb(verb{
		use: "wait ID…", short: "Wait until deals are active",
		example: "  lode deal wait 9f4c… --timeout 30m",
		args:    cobra.MinimumNArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			deals := make([]*api.ClientDeal, len(args))
			for i, s := range args {
				id, err := parseUUID(s)
				if err != nil {
					return err
				}
				deals[i] = &api.ClientDeal{ID: id}
			}
			deals, err := a.waitDeals(ctx, n, deals)
			if err != nil {
				return err
			}
			return a.showDeals(deals)
		},
	})
}
