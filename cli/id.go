package cli

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/api"
)

// identity is what lode id shows.
type identity struct {
	ID        peer.ID
	Addresses []string
	Agent     string
	PublicKey string // base64 of libp2p's form
}

func (a *app) idCmd() *cobra.Command {
	var format string
	return a.verb(verb{
		use: "id", short: "Show who the node is on the network, and where",
		example: "  lode id\n  lode id -f \"<addrs>\"",
		flags: func(f *pflag.FlagSet) {
			f.StringVarP(&format, "format", "f", "", "print this, with <id>, <addrs>, <agent> and <pubkey> replaced")
		},
		node: func(ctx context.Context, n api.Node, _ []string) error {
			id, err := whoami(ctx, n)
			if err != nil {
				return err
			}
			return a.show(id, func(w io.Writer) error {
				if format == "" {
					return fields(w, "Peer", id.ID.String(), "Agent", id.Agent, "Public key", id.PublicKey, "Addresses", dash(strings.Join(id.Addresses, " ")))
				}
				_, err := fmt.Fprintln(w, strings.NewReplacer("<id>", id.ID.String(), "<addrs>", strings.Join(id.Addresses, "\n"),
					"<agent>", id.Agent, "<pubkey>", id.PublicKey).Replace(format))
				return err
			})
		},
	})
}

func whoami(ctx context.Context, n api.Node) (*identity, error) {
	info, err := n.NetAddrsListen(ctx)
	if err != nil {
		return nil, err
	}
	v, err := n.Version(ctx)
	if err != nil {
		return nil, err
	}
	out := &identity{ID: info.ID, Addresses: []string{}, Agent: v.Agent}
	for _, m := range info.Addrs {
		out.Addresses = append(out.Addresses, fmt.Sprintf("%s/p2p/%s", m, info.ID))
	}
	// The id of an Ed25519 key holds the key; of others the id is only a hash.
	if key, err := info.ID.ExtractPublicKey(); err == nil {
		raw, err := crypto.MarshalPublicKey(key)
		if err != nil {
			return nil, err
		}
		out.PublicKey = base64.StdEncoding.EncodeToString(raw)
	}
	return out, nil
}
