package node

import (
	"context"
	"encoding/base32"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/lodenet/lode/chain/sync/exchange"
	"github.com/lodenet/lode/chain/sync/hello"
	"github.com/lodenet/lode/chain/sync/inbound"
	"github.com/lodenet/lode/network/bitswap"
	"github.com/lodenet/lode/network/dht"
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
func (n *Node) buildNetwork(ctx context.Context) error {
	bans := peers.NewBans(n.clk)
	if n.host = n.opt.Host; n.host == nil {
		var err error
		if n.host, err = n.buildHost(bans); err != nil {
			return err
		}
	}
	n.group.Own("libp2p host", closing(n.host.Close))

	var bootstrap []peer.AddrInfo
	if !n.host.Offline() {
		var err error
		if bootstrap, err = host.ParseAddrs(append(append([]string{}, n.network.Bootstrap...), n.config.Libp2p.Bootstrap...)); err != nil {
			return fmt.Errorf("bootstrap peers: %w", err)
		}
	}
	n.bootstrap = len(bootstrap)
	memory, err := peers.OpenStore(ctx, n.db)
	if err != nil {
		return err
	}
	if err := n.buildRouter(); err != nil {
		return err
	}
	n.dispatcher = dispatch.New()
	n.heads = dispatch.NewTopic[hello.Head]("heads")
	n.gate = inbound.New(inbound.Checks{Block: n.checkBlock, Message: n.checkMessage, Blame: n.blame}, n.dispatcher, n.clk, n.log)
	n.hello = hello.New(n.host, n.store, n.engine.Weight, n.onHello, n.config.Libp2p.GenesisBan, n.clk, n.log)
	c := n.config.Libp2p
	n.peers = peers.New(n.host, bans, n.hello, peers.Options{
		Bootstrap: bootstrap, Threshold: c.BootstrapMinPeers, Period: c.BootstrapPeriod,
		MaxPeers: c.MaxPeers, MaxGuests: c.MaxGuests, Useful: n.useful, Memory: memory, Intro: n.intro,
	}, n.clk, n.log)
	n.rightClock = &rightClock{offset: n.peers.ClockOffset, clk: n.clk, log: n.log}
	n.gossip = gossip.New(n.host, n.network.Name, n.gate.Validators(), gossip.Options{Score: n.peers.Score}, n.log)
	answers, err := exchange.NewDesk(n.dispatcher)
	if err != nil {
		return err
	}
	n.exchange = exchange.NewClient(n.host, n.peers, exchange.ClientOptions{MinRate: n.config.Libp2p.MinAnswerRate, Answers: answers}, n.clk, n.log)
	n.exchangeServer = exchange.NewServer(n.host, n.store, n.dispatcher, n.peers.Report, n.log)
	n.chainSwap = bitswap.New(n.host, n.store, bitswap.Options{Prefix: bitswap.ChainPrefix}, n.log)
	return n.buildHeartbeat()
}

// buildHost makes the host that the settings describe.
func (n *Node) buildHost(bans *peers.Bans) (*host.Host, error) {
	c := n.config.Libp2p
	key, err := host.Identity(IdentityPath(n.opt.Repo.KeystoreDir()))
	if err != nil {
		return nil, err
	}
	opt := host.Options{
		Key: key, Version: n.opt.Version, Gater: bans,
		NATPortMap: c.NatPortMap, Relay: c.Relay, HolePunching: c.HolePunching,
		Low: c.ConnMgrLow, High: c.ConnMgrHigh, Grace: c.ConnMgrGrace, Extra: n.opt.Libp2p,
	}
	if c.Offline {
		return host.NewOffline(opt)
	}
	for _, x := range []struct {
		name string
		from []string
		to   *[]ma.Multiaddr
	}{
		{"ListenAddresses", c.ListenAddresses, &opt.Listen},
		{"AnnounceAddresses", c.AnnounceAddresses, &opt.Announce},
		{"NoAnnounceAddresses", c.NoAnnounceAddresses, &opt.NoAnnounce},
	} {
		if *x.to, err = multiaddrs(x.from); err != nil {
			return nil, fmt.Errorf("settings: Libp2p.%s: %w", x.name, err)
		}
	}
	if opt.Relays, err = host.ParseAddrs(c.Relays); err != nil {
		return nil, fmt.Errorf("settings: Libp2p.Relays: %w", err)
	}
	return host.New(opt)
}

// buildRouter makes the DHT, or what stands for it on a node without one.
func (n *Node) buildRouter() (err error) {
	if n.host.Offline() || n.config.Libp2p.DHT == "off" {
		n.router = dht.Offline{}
		return nil
	}
	if n.table, err = dht.New(n.host, n.network.Name, dht.Mode(n.config.Libp2p.DHT)); err != nil {
		return err
	}
	n.router = n.table
	n.announcer = dht.NewAnnouncer(n.router, n.contentRoots, n.clk, n.log)
	return nil
}

// contentRoots are the roots of what this node can serve: imports, and deals whose sector
// has them.
func (n *Node) contentRoots(ctx context.Context) ([]cid.Cid, error) {
	list, err := n.files.List(ctx)
	if err != nil {
		return nil, err
	}
	var out []cid.Cid
	for _, imp := range list {
		out = append(out, imp.Root)
	}
	if n.provider == nil {
		return out, nil
	}
	deals, err := n.provider.deals.Deals(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range deals {
		if d.Place.Size == 0 || !d.DataRoot.Defined() {
			continue
		}
		// Also a piece without the root itself: who looks for the file finds this part here.
		kept, err := n.pieces.Piece(ctx, d.Signed.Proposal.PieceCID)
		if err != nil {
			return nil, err
		}
		if len(kept) > 0 {
			out = append(out, d.DataRoot)
		}
	}
	return out, nil
}

// useful tells whether a guest that speaks these protocols may stay without having anything
// under way: one that serves or wants blocks, gossip, or records of our DHT.
func (n *Node) useful(protocols []protocol.ID) bool {
	return slices.ContainsFunc(protocols, func(p protocol.ID) bool {
		return p == exchange.Protocol || p == dht.Protocol(n.network.Name) || strings.HasPrefix(string(p), "/ipfs/bitswap") ||
			strings.HasPrefix(string(p), string(bitswap.ChainPrefix)+"/ipfs/bitswap") || strings.HasPrefix(string(p), "/meshsub/")
	})
}

// intro is what this node tells other nodes of lode of itself.
func (n *Node) intro(ctx context.Context) peers.Intro {
	i := peers.Intro{
		Network: n.network.Name, Agent: "lode/" + n.opt.Version, NewestState: uint64(n.store.Head().Height()),
		Capabilities: peers.ServesChain | peers.ServesState | peers.ServesContent,
	}
	if n.config.Libp2p.Relay {
		i.Capabilities |= peers.Relays
	}
	if n.provider != nil {
		if on, _ := n.provider.role.Status(ctx); on {
			i.Capabilities |= peers.TakesDeals
		}
	}
	return i
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
