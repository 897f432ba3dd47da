package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/ipfs/go-cid"
	"github.com/spf13/cobra"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/types"
)

func (a *app) actorCmd() *cobra.Command {
	return a.noun("actor", "Actors and their states", nil, a.actorLs(), a.actorShow())
}

// actorInfo is an actor with its address.
type actorInfo struct {
	Address address.Address
	Kind    string
	*types.Actor
}

func kind(code cid.Cid) string { return builtin.ActorNameByCode(code) }

func (a *app) actorLs() *cobra.Command {
	return a.verb(verb{
		use: "ls", short: "List all actors", aliases: []string{"list"},
		example: "  lode actor ls",
		node: func(ctx context.Context, n api.Node, _ []string) error {
			head, err := n.ChainHead(ctx)
			if err != nil {
				return err
			}
			addrs, err := n.StateListActors(ctx, head.Key())
			if err != nil {
				return err
			}
			slices.SortFunc(addrs, byID)
			list := []actorInfo{}
			for _, addr := range addrs {
				act, err := n.StateGetActor(ctx, addr, head.Key())
				if err != nil {
					return err
				}
				list = append(list, actorInfo{addr, kind(act.Code), act})
			}
			return a.show(list, func(w io.Writer) error {
				var rows [][]string
				for _, i := range list {
					rows = append(rows, []string{i.Address.String(), i.Kind, fil(i.Balance), fmt.Sprint(i.Nonce), i.Head.String()})
				}
				return grid(w, []string{"address", "type", ">balance", ">nonce", "head"}, rows)
			})
		},
	})
}

// byID orders ID addresses as numbers.
func byID(x, y address.Address) int {
	i, _ := address.IDFromAddress(x)
	j, _ := address.IDFromAddress(y)
	return cmp.Compare(i, j)
}

func (a *app) actorShow() *cobra.Command {
	return a.verb(verb{
		use: "show ADDRESS", short: "Show an actor and its state",
		example: "  lode actor show t01000 --json",
		args:    cobra.ExactArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			addr, err := parseAddress(args[0])
			if err != nil {
				return err
			}
			ts, err := n.ChainHead(ctx)
			if err != nil {
				return err
			}
			head := ts.Key() // all of one, also when it moves
			id, err := n.StateLookupID(ctx, addr, head)
			if err != nil {
				return err
			}
			act, err := n.StateGetActor(ctx, id, head)
			if err != nil {
				return err
			}
			st, err := n.StateReadState(ctx, id, head)
			if err != nil {
				return err
			}
			out := &struct {
				actorInfo
				State any
			}{actorInfo{id, kind(act.Code), act}, st.State}
			return a.show(out, func(w io.Writer) error {
				return fields(w, "Address", id.String(), "Type", kind(act.Code), "Balance", fil(act.Balance),
					"Nonce", fmt.Sprint(act.Nonce), "Head", act.Head.String(), "State", "with --json")
			})
		},
	})
}
