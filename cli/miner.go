package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/spf13/cobra"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/types"
)

func (a *app) minerCmd() *cobra.Command {
	return a.noun("miner", "Storage miners: this node's and others", nil,
		a.minerLs(), a.minerShow(), a.minerPower(), a.minerSwitch(true), a.minerSwitch(false), a.minerStatus(), a.minerCreate())
}

// minerOf is the miner named, or the node's own.
func minerOf(ctx context.Context, n api.Provider, args []string) (address.Address, error) {
	if len(args) > 0 {
		return parseAddress(args[0])
	}
	return n.ActorAddress(ctx)
}

func (a *app) minerLs() *cobra.Command {
	return a.verb(verb{
		use: "ls", short: "List the miners of the network", aliases: []string{"list"},
		example: "  lode miner ls",
		node: func(ctx context.Context, n api.Node, _ []string) error {
			head, err := n.ChainHead(ctx)
			if err != nil {
				return err
			}
			addrs, err := n.StateListMiners(ctx, head.Key())
			if err != nil {
				return err
			}
			slices.SortFunc(addrs, byID)
			type row struct {
				Miner address.Address
				Power api.Claim
			}
			list := []row{}
			for _, addr := range addrs {
				p, err := n.StateMinerPower(ctx, addr, head.Key())
				if err != nil {
					return err
				}
				list = append(list, row{addr, p.MinerPower})
			}
			return a.show(list, func(w io.Writer) error {
				var rows [][]string
				for _, r := range list {
					rows = append(rows, []string{r.Miner.String(), power(r.Power.RawBytePower), power(r.Power.QualityAdjPower)})
				}
				return grid(w, []string{"miner", ">raw power", ">adjusted power"}, rows)
			})
		},
	})
}

// power shows an amount of power, which may be beyond 64 bits.
func power(p abi.StoragePower) string {
	if p.Int == nil {
		return "0 B"
	}
	if !p.IsUint64() {
		return p.String() + " B"
	}
	return size(p.Uint64())
}

func (a *app) minerShow() *cobra.Command {
	return a.verb(verb{
		use: "show [MINER]", short: "Show who a miner is and what it has", aliases: []string{"info"},
		example: "  lode miner show\n  lode miner info t01000",
		args:    cobra.MaximumNArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			m, err := minerOf(ctx, n, args)
			if err != nil {
				return err
			}
			ts, err := n.ChainHead(ctx)
			if err != nil {
				return err
			}
			head := ts.Key() // all of one, also when it moves
			out := &struct {
				Miner     address.Address
				Info      *api.MinerInfo
				Power     *api.MinerPower
				Sectors   api.MinerSectors
				Available abi.TokenAmount
				Market    api.MarketBalance
			}{Miner: m}
			if out.Info, err = n.StateMinerInfo(ctx, m, head); err != nil {
				return err
			}
			if out.Power, err = n.StateMinerPower(ctx, m, head); err != nil {
				return err
			}
			if out.Sectors, err = n.StateMinerSectorCount(ctx, m, head); err != nil {
				return err
			}
			if out.Available, err = n.StateMinerAvailableBalance(ctx, m, head); err != nil {
				return err
			}
			if out.Market, err = n.StateMarketBalance(ctx, m, head); err != nil {
				return err
			}
			return a.show(out, func(w io.Writer) error {
				var control []string
				for _, c := range out.Info.ControlAddresses {
					control = append(control, c.String())
				}
				id := ""
				if out.Info.PeerId != nil {
					id = out.Info.PeerId.String()
				}
				return fields(w, "Miner", m.String(), "Owner", out.Info.Owner.String(), "Worker", out.Info.Worker.String(), "Control", strings.Join(control, " "),
					"Peer", id, "Sector size", size(uint64(out.Info.SectorSize)), "Power", share(out.Power),
					"Can win blocks", yesNo(out.Power.HasMinPower),
					"Sectors", fmt.Sprintf("%d live, %d active, %d faulty", out.Sectors.Live, out.Sectors.Active, out.Sectors.Faulty),
					"Available", fil(out.Available), "Escrow", fmt.Sprintf("%s, of which %s locked", fil(out.Market.Escrow), fil(out.Market.Locked)))
			})
		},
	})
}

// share shows a miner's part of the network's power.
func share(p *api.MinerPower) string {
	text := fmt.Sprintf("%s of %s", power(p.MinerPower.QualityAdjPower), power(p.TotalPower.QualityAdjPower))
	if t := p.TotalPower.QualityAdjPower; t.Int != nil && t.Sign() > 0 {
		permyriad := big.Div(big.Mul(p.MinerPower.QualityAdjPower, big.NewInt(10_000)), t)
		text += fmt.Sprintf(" (%d.%02d%%)", permyriad.Int64()/100, permyriad.Int64()%100)
	}
	return text
}

func (a *app) minerPower() *cobra.Command {
	return a.verb(verb{
		use: "power [MINER]", short: "Show a miner's power and the network's",
		example: "  lode miner power t01000",
		args:    cobra.MaximumNArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			m, err := minerOf(ctx, n, args)
			if err != nil {
				return err
			}
			p, err := n.StateMinerPower(ctx, m, types.TipSetKey{})
			if err != nil {
				return err
			}
			return a.show(p, func(w io.Writer) error {
				return fields(w, "Raw", fmt.Sprintf("%s of %s", power(p.MinerPower.RawBytePower), power(p.TotalPower.RawBytePower)),
					"Adjusted", share(p), "Can win blocks", yesNo(p.HasMinPower))
			})
		},
	})
}

func (a *app) minerSwitch(on bool) *cobra.Command {
	use, what, example := "start", "Begin to seal, prove, take deals and make blocks", "  lode miner start"
	if !on {
		use, what, example = "stop", "End that, and wait for what is under way", "  lode miner stop --yes"
	}
	return a.verb(verb{
		use: use, short: what, example: example,
		node: func(ctx context.Context, n api.Node, _ []string) error {
			do := n.MiningStart
			if !on {
				if err := a.confirm("stop the provider: deadlines that come while it is off are missed"); err != nil {
					return err
				}
				do = n.MiningStop
			}
			if err := do(ctx); err != nil {
				return err
			}
			return a.showMining(ctx, n)
		},
	})
}

func (a *app) minerStatus() *cobra.Command {
	return a.verb(verb{
		use: "status", short: "Show what this node's provider has done since it started",
		example: "  lode miner status",
		node:    func(ctx context.Context, n api.Node, _ []string) error { return a.showMining(ctx, n) },
	})
}

// some is a number that is left out when it is nothing.
func some(n uint64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func (a *app) showMining(ctx context.Context, n api.Provider) error {
	s, err := n.MiningStatus(ctx)
	if err != nil {
		return err
	}
	return a.show(s, func(w io.Writer) error {
		return fields(w, "Miner", s.Miner.String(), "On", yesNo(s.On), "Went off", s.Why,
			"Elections won", fmt.Sprint(s.Won), "Blocks", fmt.Sprintf("%d made, %d too late, %d missed, %d not kept by the chain", s.Mined, s.Late, s.Missed, s.Orphans),
			"Rounds left out", some(s.Skipped), "Proven ahead", some(s.Ahead),
			"Deadlines", fmt.Sprintf("%d proven in time, %d late, %d missed, %d skipped", s.PoSt.OnTime, s.PoSt.Late, s.PoSt.Missed, s.PoSt.Skipped))
	})
}
