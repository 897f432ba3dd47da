package node

import (
	"context"
	"encoding/base32"
	"fmt"
	"path/filepath"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/lodenet/lode/chain/sync/exchange"
	"github.com/lodenet/lode/chain/sync/hello"
	"github.com/lodenet/lode/chain/sync/inbound"
	"github.com/lodenet/lode/network/bitswap"
	"github.com/lodenet/lode/network/dispatch"
	"github.com/lodenet/lode/network/gossip"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/network/peers"
)

// identityFile is the keystore entry of the libp2p identity (spec chain.md a.5).
const identityFile = "libp2p-host"

// IdentityPath is where a repo keeps the key of its peer id.
func IdentityPath(keystore string) string {
	return filepath.Join(keystore, keystoreName(identityFile))
}

// buildNetwork makes the host, which does not listen yet, and the protocols on it.
func (n *Node) buildNetwork(context.Context) error {
	bans := peers.NewBans(n.clk)
	if n.host = n.opt.Host; n.host == nil {
		key, err := host.Identity(IdentityPath(n.opt.Repo.KeystoreDir()))
		if err != nil {
			return err
		}
		listen, err := multiaddrs(n.config.Libp2p.ListenAddresses)
		if err != nil {
			return fmt.Errorf("settings: Libp2p.ListenAddresses: %w", err)
		}
		n.host, err = host.New(host.Options{
			Key: key, Listen: listen, Version: n.opt.Version, Gater: bans,
			Low: n.config.Libp2p.ConnMgrLow, High: n.config.Libp2p.ConnMgrHigh, Grace: n.config.Libp2p.ConnMgrGrace,
			Extra: n.opt.Libp2p,
		})
		if err != nil {
			return err
		}
	}
	n.group.Own("libp2p host", closing(n.host.Close))

	bootstrap, err := host.ParseAddrs(append(append([]string{}, n.network.Bootstrap...), n.config.Libp2p.Bootstrap...))
	if err != nil {
		return fmt.Errorf("bootstrap peers: %w", err)
	}
	n.bootstrap = len(bootstrap)
	n.dispatcher = dispatch.New()
	n.heads = dispatch.NewTopic[hello.Head]("heads")
	n.gate = inbound.New(inbound.Checks{Block: n.checkBlock, Message: n.checkMessage}, n.clk, n.log)
	n.hello = hello.New(n.host, n.store, n.engine.Weight, n.onHello, n.clk, n.log)
	n.peers = peers.New(n.host, bans, n.hello, peers.Options{Bootstrap: bootstrap}, n.clk, n.log)
	n.gossip = gossip.New(n.host, n.network.Name, n.gate.Validators(), gossip.Options{Score: n.peers.Score}, n.log)
	answers, err := exchange.NewDesk(n.dispatcher)
	if err != nil {
		return err
	}
	n.exchange = exchange.NewClient(n.host, n.peers, exchange.ClientOptions{Answers: answers}, n.clk, n.log)
	n.exchangeServer = exchange.NewServer(n.host, n.store, n.dispatcher, n.log)
	n.chainSwap = bitswap.New(n.host, n.store, bitswap.Options{Prefix: bitswap.ChainPrefix}, n.log)
	return nil
}

func multiaddrs(list []string) ([]ma.Multiaddr, error) {
	out := make([]ma.Multiaddr, 0, len(list))
	for _, s := range list {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// keystoreName is the file of a keystore entry: upper-case base32 without padding (spec a.5).
func keystoreName(entry string) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(entry))
}
