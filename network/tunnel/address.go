package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// ErrAddress: an address cannot be used for a tunnel; the text says why.
var ErrAddress = errors.New("tunnel address")

// resolveLimit bounds the look-up of a peer's name.
const resolveLimit = 10 * time.Second

// ParseTarget reads where an offer leads: /ip4/127.0.0.1/tcp/22, /dns/name/udp/53, or
// host:port for TCP.
func ParseTarget(text string) (ma.Multiaddr, error) {
	m, port, err := parseEndpoint(text)
	if err != nil {
		return nil, err
	}
	if port == 0 {
		return nil, fmt.Errorf("%w %s: port can not be 0", ErrAddress, text)
	}
	return m, nil
}

// ParseListen reads where a forward listens: an IP address and a TCP port, 0 for a free one.
func ParseListen(text string) (ma.Multiaddr, error) {
	m, _, err := parseEndpoint(text)
	if err != nil {
		return nil, err
	}
	if network, _, err := manet.DialArgs(m); err != nil || !strings.HasPrefix(network, "tcp") {
		return nil, fmt.Errorf("%w %s: only TCP ports can be forwarded", ErrAddress, text)
	}
	if !manet.IsThinWaist(m) {
		return nil, fmt.Errorf("%w %s: to listen takes an IP address such as /ip4/127.0.0.1/tcp/3000", ErrAddress, text)
	}
	return m, nil
}

// parseEndpoint reads a host and a port, and nothing else.
func parseEndpoint(text string) (ma.Multiaddr, int, error) {
	if !strings.HasPrefix(text, "/") {
		var err error
		if text, err = fromHostPort(text); err != nil {
			return nil, 0, err
		}
	}
	m, err := ma.NewMultiaddr(text)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	port := ""
	for _, code := range []int{ma.P_TCP, ma.P_UDP} {
		if v, err := m.ValueForProtocol(code); err == nil && port == "" {
			port = v
		}
	}
	if port == "" {
		return nil, 0, fmt.Errorf("%w %s: address does not contain tcp or udp protocol", ErrAddress, m)
	}
	// What can be dialled may have more behind it, such as /quic-v1, that would be ignored.
	last := m[len(m)-1].Protocol().Code
	if _, _, err := manet.DialArgs(m); err != nil || last != ma.P_TCP && last != ma.P_UDP {
		return nil, 0, fmt.Errorf("%w %s: want a host and a port, such as /ip4/127.0.0.1/tcp/3000", ErrAddress, m)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, 0, fmt.Errorf("%w %s: %w", ErrAddress, m, err)
	}
	return m, n, nil
}

// fromHostPort writes host:port as a multiaddr.
func fromHostPort(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil || host == "" {
		return "", fmt.Errorf("%w %q is neither a multiaddr such as /ip4/127.0.0.1/tcp/3000 nor host:port", ErrAddress, text)
	}
	kind := "dns"
	if ip, err := netip.ParseAddr(host); err == nil {
		kind = "ip6"
		if ip.Is4() {
			kind = "ip4"
		}
	}
	return "/" + kind + "/" + host + "/tcp/" + port, nil
}

// Resolver looks up the addresses behind a name.
type Resolver func(ctx context.Context, m ma.Multiaddr) ([]ma.Multiaddr, error)

// ParsePeer reads to whom a forward leads: a peer id, /p2p/ID, an address that ends in
// /p2p/ID, or a DNS address that resolves to addresses of exactly one peer. It asks the
// network for the last form only.
func ParsePeer(ctx context.Context, resolve Resolver, text string) (peer.AddrInfo, error) {
	if !strings.HasPrefix(text, "/") {
		id, err := peer.Decode(text)
		if err != nil {
			return peer.AddrInfo{}, fmt.Errorf("%w %q is no peer id and no multiaddr: %w", ErrAddress, text, err)
		}
		return peer.AddrInfo{ID: id}, nil
	}
	m, err := ma.NewMultiaddr(text)
	if err != nil {
		return peer.AddrInfo{}, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	if info, err := peer.AddrInfoFromP2pAddr(m); err == nil {
		return *info, nil
	}
	if resolve == nil {
		return peer.AddrInfo{}, fmt.Errorf("%w %s: names no peer; add /p2p/ and its id", ErrAddress, m)
	}
	ctx, cancel := context.WithTimeout(ctx, resolveLimit)
	defer cancel()
	found, err := resolve(ctx, m)
	if err != nil {
		return peer.AddrInfo{}, fmt.Errorf("%w %s: resolve: %w", ErrAddress, m, err)
	}
	return onePeer(m, found)
}

// onePeer joins what a name resolved to.
func onePeer(name ma.Multiaddr, found []ma.Multiaddr) (peer.AddrInfo, error) {
	var info peer.AddrInfo
	for _, f := range found {
		addr, id := peer.SplitAddr(f)
		switch {
		case id == "":
			continue
		case info.ID != "" && info.ID != id:
			return peer.AddrInfo{}, fmt.Errorf("%w: ambiguous multiaddr %s could refer to %s or %s", ErrAddress, name, info.ID, id)
		}
		info.ID = id
		if addr != nil {
			info.Addrs = append(info.Addrs, addr)
		}
	}
	if info.ID == "" {
		return peer.AddrInfo{}, fmt.Errorf("%w %s: no peer id is behind it; add /p2p/ and the id", ErrAddress, name)
	}
	return info, nil
}
