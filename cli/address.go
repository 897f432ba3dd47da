package cli

import (
	"context"
	"io"
	"strings"

	"github.com/filecoin-project/go-address"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/api/porcelain"
	"github.com/lodenet/lode/chain/types"
)

func (a *app) addressCmd() *cobra.Command {
	return a.noun("address", "Addresses on chain", nil, a.addressLookup())
}

// found is what the chain says of an address.
type found struct {
	Address address.Address
	ID      address.Address
	Peer    *peer.ID `json:",omitempty"`
	Addrs   []string `json:",omitempty"`
}

func (a *app) addressLookup() *cobra.Command {
	return a.verb(verb{
		use: "lookup ADDRESS", short: "Show the ID of an address, and the peer of a miner",
		example: "  lode address lookup t01000\n  lode address lookup t1…",
		args:    cobra.ExactArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			addr, err := parseAddress(args[0])
			if err != nil {
				return err
			}
			out := &found{Address: addr}
			if out.ID, err = n.StateLookupID(ctx, addr, types.TipSetKey{}); err != nil {
				return err
			}
			who := ""
			if info, err := porcelain.MinerPeer(ctx, n, out.ID); err == nil { // else it is no miner, or has no peer
				out.Peer, who = &info.ID, info.ID.String()
				for _, m := range info.Addrs {
					out.Addrs = append(out.Addrs, m.String())
				}
			}
			return a.show(out, func(w io.Writer) error {
				return fields(w, "Address", out.Address.String(), "ID", out.ID.String(), "Peer", who, "At", strings.Join(out.Addrs, " "))
			})
		},
	})
}
