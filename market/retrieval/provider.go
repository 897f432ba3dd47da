package retrieval

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/market/deal"
	"github.com/multiformats/go-multiaddr"
)

// Provider is who may have content: an HTTP gateway, or a peer that is asked how.
type Provider struct {
	URL  string        // base of a gateway; empty: ask the peer
	Peer peer.AddrInfo // used when URL is empty
}

// String names the provider for people.
func (p Provider) String() string {
	if p.URL != "" {
		return p.URL
	}
	return p.Peer.ID.String()
}

// ParseProvider reads an http(s) URL, a multiaddr that ends in /http or /https, or a
// multiaddr with a peer id.
func ParseProvider(s string) (Provider, error) {
	if strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" {
			return Provider{}, fmt.Errorf("provider %q is not a URL with a host", s)
		}
		return Provider{URL: strings.TrimSuffix(s, "/")}, nil
	}
	a, err := multiaddr.NewMultiaddr(s)
	if err != nil {
		return Provider{}, fmt.Errorf("provider %q: give an http URL or a multiaddr with /p2p/: %w", s, err)
	}
	if u, ok := gatewayURL(a); ok {
		return Provider{URL: u}, nil
	}
	ai, err := peer.AddrInfoFromP2pAddr(a)
	if err != nil {
		return Provider{}, fmt.Errorf("provider %q: it has no peer id (/p2p/12D3…): %w", s, err)
	}
	return Provider{Peer: *ai}, nil
}

// gatewayURL turns /ip4/1.2.3.4/tcp/80/http and the like into a URL.
func gatewayURL(a multiaddr.Multiaddr) (string, bool) {
	var h, port, scheme string
	tls := false
	for _, c := range a {
		switch c.Protocol().Code {
		case multiaddr.P_IP4, multiaddr.P_DNS, multiaddr.P_DNS4, multiaddr.P_DNS6:
			h = c.Value()
		case multiaddr.P_IP6:
			h = "[" + c.Value() + "]"
		case multiaddr.P_TCP:
			port = c.Value()
		case multiaddr.P_TLS:
			tls = true
		case multiaddr.P_HTTP:
			scheme = "http"
			if tls {
				scheme = "https"
			}
		case multiaddr.P_HTTPS:
			scheme = "https"
		}
	}
	if h == "" || port == "" || scheme == "" {
		return "", false
	}
	return scheme + "://" + h + ":" + port, true
}

// PublicAddr is the multiaddr of a gateway's URL, such as /dns/example.org/tcp/443/https: what
// peers are told of where plain HTTP is to be had. A URL with a path has none.
func PublicAddr(s string) (multiaddr.Multiaddr, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, err
	}
	port := u.Port()
	switch {
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", u.Path != "" && u.Path != "/":
		return nil, fmt.Errorf("%q is not http://host:port or https://host:port", s)
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	kind := "dns"
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		kind = "ip4"
		if ip.Is6() {
			kind = "ip6"
		}
	}
	return multiaddr.NewMultiaddr("/" + kind + "/" + u.Hostname() + "/tcp/" + port + "/" + u.Scheme)
}

// Finder finds who may have content. None found is no error.
type Finder interface {
	Find(ctx context.Context, root cid.Cid) ([]Provider, error)
}

// Deals is a chain's deals, as deal.State gives them.
type Deals interface {
	ForEachDeal(ctx context.Context, f func(abi.DealID, *market.DealProposal, *market.DealState) error) error
	MinerInfo(ctx context.Context, a address.Address) (*miner.MinerInfo, error)
}

// OnChain finds the providers of active deals whose label is the root, as lode's client
// labels them.
type OnChain struct{ Deals Deals }

var _ Finder = OnChain{}

// Find implements Finder.
func (o OnChain) Find(ctx context.Context, root cid.Cid) ([]Provider, error) {
	var miners []address.Address
	seen := make(map[address.Address]bool)
	err := o.Deals.ForEachDeal(ctx, func(_ abi.DealID, p *market.DealProposal, s *market.DealState) error {
		if s == nil || s.SectorStartEpoch <= 0 || s.SlashEpoch > 0 || seen[p.Provider] {
			return ctx.Err()
		}
		label, err := p.Label.ToString()
		if err != nil {
			return nil // a label of bytes is none of ours
		}
		if c, err := cid.Decode(label); err == nil && c.Equals(root) {
			seen[p.Provider] = true
			miners = append(miners, p.Provider)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("deals on chain: %w", err)
	}
	var out []Provider
	var errs []error
	for _, m := range miners {
		info, err := o.Deals.MinerInfo(ctx, m)
		if err == nil {
			var ai peer.AddrInfo
			if ai, err = deal.PeerOf(info.PeerId, info.Multiaddrs); err == nil {
				out = append(out, Provider{Peer: ai})
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("provider %s: %w", m, err))
		}
	}
	if len(out) == 0 {
		return nil, errors.Join(errs...)
	}
	return out, nil
}
